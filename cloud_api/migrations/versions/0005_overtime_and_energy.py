"""Overtime: what a store charges for it, what an order owes, and rooms that are still taken."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_NUMBERS = {
    "overtime_free_minutes": "0",
    "overtime_unit_minutes": "15",
    "overtime_unit_fen": "0",
    "overtime_per_cent": "100",
    "resting_w": "30",
}


def upgrade() -> None:
    """Stores of before charge nothing for overtime."""
    op.add_column(
        "store", sa.Column("overtime_mode", sa.String(), nullable=False, server_default="off")
    )
    for name, value in _NUMBERS.items():
        op.add_column("store", sa.Column(name, sa.Integer(), nullable=False, server_default=value))
    op.add_column("store", sa.Column("overtime_cap_fen", sa.Integer(), nullable=True))
    op.add_column("room_claim", sa.Column("overstay_until", INSTANT, nullable=True))
    op.create_table(
        "overtime_charge",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("store_id", sa.String(), sa.ForeignKey("store.id"), nullable=False),
        sa.Column("account_id", sa.String(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("order_id", sa.String(), sa.ForeignKey("orders.id"), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("seconds", sa.Integer(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("free_minutes", sa.Integer(), nullable=False),
        sa.Column("units", sa.Integer(), nullable=False),
        sa.Column("unit_minutes", sa.Integer(), nullable=False),
        sa.Column("unit_fen", sa.Integer(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("capped", sa.Boolean(), nullable=False),
        sa.Column("left_at", INSTANT, nullable=False),
        sa.Column("evidence", JSON, nullable=False),
        sa.Column("waived_by", sa.String(), nullable=True),
        sa.Column("waived_why", sa.String(), nullable=True),
        sa.Column("settled_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.UniqueConstraint("order_id"),
        sa.CheckConstraint("state IN ('free','due','paid','waived')"),
        sa.CheckConstraint("amount_fen >= 0 AND seconds >= 0 AND unit_minutes > 0"),
        sa.CheckConstraint("state = 'free' OR amount_fen > 0"),
        sa.CheckConstraint("state <> 'waived' OR waived_by IS NOT NULL"),
    )
    for name in ("merchant_id", "store_id", "account_id"):
        op.create_index(f"ix_overtime_charge_{name}", "overtime_charge", [name])


def downgrade() -> None:
    """Back before it."""
    op.drop_table("overtime_charge")
    op.drop_column("room_claim", "overstay_until")
    op.drop_column("store", "overtime_cap_fen")
    for name in reversed(_NUMBERS):
        op.drop_column("store", name)
    op.drop_column("store", "overtime_mode")
