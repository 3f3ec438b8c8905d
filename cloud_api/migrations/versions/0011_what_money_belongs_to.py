"""What money belongs to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An attempt names the thing it is part of; a refund says of what it is."""
    op.add_column(
        "payment_attempt", sa.Column("part_of", sa.String(), nullable=False, server_default="")
    )
    op.execute("UPDATE payment_attempt SET part_of = pays")
    op.execute(
        "UPDATE payment_attempt SET part_of = 'order:' || substr(pays, 10) "
        "WHERE pays LIKE 'overtime:%'"
    )
    op.create_index("ix_payment_attempt_part_of", "payment_attempt", ["part_of"])
    op.add_column(
        "refund_attempt",
        sa.Column("purpose", sa.String(), nullable=False, server_default="price"),
    )


def downgrade() -> None:
    """Back before it."""
    op.drop_column("refund_attempt", "purpose")
    op.drop_index("ix_payment_attempt_part_of", "payment_attempt")
    op.drop_column("payment_attempt", "part_of")
