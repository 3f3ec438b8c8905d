"""Orders and money mends."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A refund that the provider refused is asked again, or given back by hand."""
    op.add_column("refund_attempt", sa.Column("replaced_by", sa.String(), nullable=True))
    op.add_column("refund_attempt", sa.Column("proof", sa.String(), nullable=True))


def downgrade() -> None:
    """Back before it."""
    op.drop_column("refund_attempt", "proof")
    op.drop_column("refund_attempt", "replaced_by")
