"""Bills of providers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

_SUMS = ("lines", "theirs_paid_fen", "theirs_refunded_fen", "fee_fen", "ours_paid_fen")
_COUNTS = ("ours_refunded_fen", "open_differences", "healed", "tries")


def upgrade() -> None:
    """What providers say moved on a day, and where that differs from our books."""
    op.create_table(
        "provider_bill",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("store_id", sa.String(), sa.ForeignKey("store.id"), nullable=True),
        sa.Column("account_ref", sa.String(), sa.ForeignKey("provider_account.id"), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in (*_SUMS, *_COUNTS)),
        sa.Column("last_error", sa.String(), nullable=True),
        sa.Column("read_at", INSTANT, nullable=True),
        sa.UniqueConstraint("account_ref", "day"),
    )
    op.create_index("ix_provider_bill_merchant_id", "provider_bill", ["merchant_id"])
    op.create_table(
        "provider_bill_line",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("account_ref", sa.String(), sa.ForeignKey("provider_account.id"), nullable=False),
        sa.Column("bill_id", sa.String(), sa.ForeignKey("provider_bill.id"), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("payment_number", sa.String(), nullable=False),
        sa.Column("provider_no", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("fee_fen", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("at", INSTANT, nullable=True),
        sa.UniqueConstraint("bill_id", "kind", "number", "payment_number"),
    )
    for name in ("merchant_id", "bill_id", "number"):
        op.create_index(f"ix_provider_bill_line_{name}", "provider_bill_line", [name])
    op.create_table(
        "bill_difference",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("store_id", sa.String(), sa.ForeignKey("store.id"), nullable=True),
        sa.Column("bill_id", sa.String(), sa.ForeignKey("provider_bill.id"), nullable=False),
        sa.Column("category", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("number", sa.String(), nullable=False),
        sa.Column("theirs_fen", sa.Integer(), nullable=True),
        sa.Column("ours_fen", sa.Integer(), nullable=True),
        sa.Column("ours_state", sa.String(), nullable=True),
        sa.Column("pays", sa.String(), nullable=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("found_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.UniqueConstraint("bill_id", "category", "kind", "number"),
    )
    for name in ("merchant_id", "bill_id"):
        op.create_index(f"ix_bill_difference_{name}", "bill_difference", [name])


def downgrade() -> None:
    """Bills are read nowhere."""
    for table in ("bill_difference", "provider_bill_line", "provider_bill"):
        op.drop_table(table)
