"""How often shared pages of group-buy were opened."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "groupbuy_share_visit",
        sa.Column("campaign_id", sa.String(), sa.ForeignKey("campaign.id"), primary_key=True),
        sa.Column("day", sa.Date(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("visits", sa.Integer(), nullable=False),
    )
    op.create_index("ix_groupbuy_share_visit_merchant_id", "groupbuy_share_visit", ["merchant_id"])


def downgrade() -> None:
    """The table goes."""
    op.drop_table("groupbuy_share_visit")
