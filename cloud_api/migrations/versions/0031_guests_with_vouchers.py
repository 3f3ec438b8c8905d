"""Visits that a voucher paid for are found without the others."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One index."""
    only = sa.text("vouchers > 0")
    op.create_index(
        "report_guest_with_voucher",
        "report_guest",
        ["merchant_id", "day"],
        postgresql_where=only,
        sqlite_where=only,
    )


def downgrade() -> None:
    """It goes."""
    op.drop_index("report_guest_with_voucher", "report_guest")
