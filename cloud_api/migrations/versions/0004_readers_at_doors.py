"""Readers at doors: which binding hears the passes and PINs shown there."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A door may have a reader."""
    op.add_column("door", sa.Column("reader_binding_id", sa.String(), nullable=True))


def downgrade() -> None:
    """Back before it."""
    op.drop_column("door", "reader_binding_id")
