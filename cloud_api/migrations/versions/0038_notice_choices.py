"""What guests want to be told of outside the app."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT

revision = "0038"
down_revision = "0037"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "notice_choice",
        sa.Column("account_id", sa.String(), sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("kind", sa.String(20), primary_key=True),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("changed_at", INSTANT, nullable=False),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("notice_choice")
