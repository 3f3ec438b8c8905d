"""Overtime paid in parts: how much of a charge is covered."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing was paid in part before: what is paid is covered, the rest is not."""
    op.add_column(
        "overtime_charge",
        sa.Column("covered_fen", sa.Integer(), nullable=False, server_default="0"),
    )
    op.execute("UPDATE overtime_charge SET covered_fen = amount_fen WHERE state = 'paid'")


def downgrade() -> None:
    """A charge that is paid in part is due as a whole again."""
    op.drop_column("overtime_charge", "covered_fen")
