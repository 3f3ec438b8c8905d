"""Notices and alarms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What is wrong now."""
    op.create_table(
        "alarm_signal",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("store_id", sa.String(), nullable=True),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("active", sa.Boolean(), nullable=False),
        sa.Column("since", INSTANT, nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("merchant_id", "kind", "subject"),
    )
    op.create_index("ix_alarm_signal_merchant_id", "alarm_signal", ["merchant_id"])
    op.create_index("ix_alarm_signal_store_id", "alarm_signal", ["store_id"])


def downgrade() -> None:
    """Back before it."""
    op.drop_table("alarm_signal")
