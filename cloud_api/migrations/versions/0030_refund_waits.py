"""Money of a cancelled order waits until its store says that nobody used it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """No order waits yet."""
    op.add_column(
        "orders",
        sa.Column("waiting_fen", sa.Integer(), nullable=False, server_default=sa.text("0")),
    )
    op.create_table(
        "refund_wait",
        sa.Column("order_id", sa.String(), sa.ForeignKey("orders.id"), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("store_id", sa.String(), sa.ForeignKey("store.id"), nullable=False),
        sa.Column("account_id", sa.String(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("claim_id", sa.String(), sa.ForeignKey("room_claim.id"), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("over_at", INSTANT, nullable=False),
        sa.Column("told_epoch", sa.Integer(), nullable=True),
        sa.Column("told_rev", sa.Integer(), nullable=True),
        sa.Column("settled_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("state IN ('waiting','back','kept')"),
        sa.CheckConstraint("amount_fen > 0"),
    )
    for name in ("merchant_id", "store_id", "account_id"):
        op.create_index(f"ix_refund_wait_{name}", "refund_wait", [name])


def downgrade() -> None:
    """What waited is forgotten; its orders stay cancelled."""
    op.drop_table("refund_wait")
    op.drop_column("orders", "waiting_fen")
