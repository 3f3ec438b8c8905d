"""How a merchant looks to its guests."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0040"
down_revision = "0039"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    words = (
        sa.Column(name, sa.String(most), nullable=False)
        for name, most in (
            ("name", 24), ("short", 12), ("slogan", 40), ("phone", 20), ("wechat", 40),
            ("footer", 80), ("colour", 7),
        )
    )  # fmt: skip
    op.create_table(
        "brand",
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), primary_key=True),
        *words,
        sa.Column("square_id", sa.String(), nullable=True),
        sa.Column("wide_id", sa.String(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("before", JSON, nullable=True),
        sa.Column("changed_at", INSTANT, nullable=False),
        sa.Column("changed_by", sa.String(), nullable=False),
        sa.CheckConstraint("colour = '' OR length(colour) = 7"),
        sa.CheckConstraint("version > 0"),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("brand")
