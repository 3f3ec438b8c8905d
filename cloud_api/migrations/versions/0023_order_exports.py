"""Order lists carry their file: encrypted, gone when its time is over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.kit.columns import Encrypted

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nobody has asked for a list yet."""
    op.add_column("order_export", sa.Column("content", Encrypted("order_export.content")))
    zero = sa.text("0")
    op.add_column(
        "order_export", sa.Column("size_bytes", sa.Integer(), nullable=False, server_default=zero)
    )


def downgrade() -> None:
    """The files go."""
    op.drop_column("order_export", "size_bytes")
    op.drop_column("order_export", "content")
