"""How long what is kept, and what a night's clearing took."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0036"
down_revision = "0035"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "retention_rule",
        _merchant(),
        sa.Column("days", JSON, nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
    )
    op.create_table(
        "retention_run",
        _merchant(),
        sa.Column("night", sa.String(10), primary_key=True),
        sa.Column("kind", sa.String(20), primary_key=True),
        sa.Column("before", INSTANT, nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.Column("done_at", INSTANT, nullable=True),
        sa.CheckConstraint("rows >= 0"),
    )
    op.create_index("store_event_old", "store_event", ["merchant_id", "received_at"])


def downgrade() -> None:
    """Take them away."""
    op.drop_index("store_event_old", table_name="store_event")
    op.drop_table("retention_run")
    op.drop_table("retention_rule")


def _merchant() -> sa.Column[str]:
    return sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), primary_key=True)
