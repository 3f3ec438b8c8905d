"""Group orders and vouchers keep the terms they were bought under; what came back of a used voucher."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import JSON

revision = "0034"
down_revision = "0033"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Three columns come, one goes; vouchers sold before are as refundable as their campaigns are now."""
    op.add_column(
        "voucher", sa.Column("refundable", sa.Boolean(), nullable=False, server_default=sa.true())
    )
    op.add_column(
        "voucher", sa.Column("returned_fen", sa.Integer(), nullable=False, server_default="0")
    )
    op.add_column("group_order", sa.Column("terms", JSON, nullable=False, server_default="{}"))
    op.drop_column("campaign", "video")  # never filled: films stand among the pictures
    campaign = sa.table("campaign", sa.column("id"), sa.column("refundable", sa.Boolean()))
    voucher = sa.table("voucher", sa.column("campaign_id"), sa.column("refundable", sa.Boolean()))
    strict = sa.select(campaign.c.id).where(campaign.c.refundable.is_(sa.false()))
    op.execute(
        voucher.update().where(voucher.c.campaign_id.in_(strict)).values(refundable=sa.false())
    )


def downgrade() -> None:
    """They go."""
    op.add_column("campaign", sa.Column("video", sa.String(), nullable=False, server_default=""))
    op.drop_column("group_order", "terms")
    op.drop_column("voucher", "returned_fen")
    op.drop_column("voucher", "refundable")
