"""The books: ledger, business days, the drawer, deposits."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; guards are put up afterwards (migrations/guards.py)."""
    _ledger()
    _deposits()


def _owner(*more: str) -> list[sa.Column[str]]:
    told = {"merchant_id": "merchant.id", "store_id": "store.id", "account_id": "account.id"}
    return [
        sa.Column(name, sa.String(), sa.ForeignKey(told[name]), nullable=False)
        for name in ("merchant_id", "store_id", *more)
    ]


def _ledger() -> None:
    op.create_table(
        "ledger_txn",
        sa.Column("id", sa.String(), primary_key=True),
        *_owner(),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.UniqueConstraint("merchant_id", "key"),
    )
    op.create_index("ix_ledger_txn_merchant_id", "ledger_txn", ["merchant_id"])
    op.create_index("ix_ledger_txn_subject", "ledger_txn", ["subject"])
    op.create_index("ledger_txn_of_day", "ledger_txn", ["store_id", "day"])
    op.create_table(
        "ledger_entry",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column(
            "txn_id",
            sa.String(),
            sa.ForeignKey("ledger_txn.id", deferrable=True, initially="DEFERRED"),
            nullable=False,
        ),
        *_owner(),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("account", sa.String(), nullable=False),
        sa.Column("detail", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.CheckConstraint("amount_fen <> 0"),
    )
    op.create_index("ix_ledger_entry_merchant_id", "ledger_entry", ["merchant_id"])
    op.create_index("ix_ledger_entry_txn_id", "ledger_entry", ["txn_id"])
    op.create_index("ledger_entry_of_day", "ledger_entry", ["store_id", "day", "account"])
    op.create_index("ledger_entry_of_subject", "ledger_entry", ["subject", "account"])
    op.create_table(
        "ledger_day",
        sa.Column("id", sa.String(), primary_key=True),
        *_owner(),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("totals", JSON, nullable=False),
        sa.Column("closed_at", INSTANT, nullable=True),
        sa.Column("closed_by", sa.String(), nullable=True),
        sa.UniqueConstraint("store_id", "day"),
        sa.CheckConstraint("state IN ('open','closed')"),
    )
    op.create_table(
        "cash_count",
        sa.Column("id", sa.String(), primary_key=True),
        *_owner(),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("expected_fen", sa.Integer(), nullable=False),
        sa.Column("counted_fen", sa.Integer(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("counted_fen >= 0"),
    )
    _index("ledger_day", "cash_count")


def _deposits() -> None:
    op.create_table(
        "deposit",
        sa.Column("id", sa.String(), primary_key=True),
        *_owner("account_id"),
        sa.Column("order_id", sa.String(), sa.ForeignKey("orders.id"), nullable=False, unique=True),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("returned_fen", sa.Integer(), nullable=False),
        sa.Column("damage_fen", sa.Integer(), nullable=False),
        sa.Column("overtime_fen", sa.Integer(), nullable=False),
        sa.Column("return_at", INSTANT, nullable=True),
        sa.Column("settled_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("state IN ('waiting','held','settled','void')"),
        sa.CheckConstraint(
            "amount_fen > 0 AND returned_fen >= 0 AND damage_fen >= 0 AND overtime_fen >= 0 "
            "AND returned_fen + damage_fen + overtime_fen <= amount_fen"
        ),
    )
    op.create_table(
        "deposit_claim",
        sa.Column("id", sa.String(), primary_key=True),
        *_owner("account_id"),
        sa.Column("deposit_id", sa.String(), sa.ForeignKey("deposit.id"), nullable=False),
        sa.Column("order_id", sa.String(), sa.ForeignKey("orders.id"), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("photo", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("objection", sa.String(), nullable=False),
        sa.Column("decided_by", sa.String(), nullable=True),
        sa.Column("decided_why", sa.String(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.CheckConstraint("amount_fen > 0"),
        sa.CheckConstraint("state IN ('open','disputed','kept','dropped')"),
    )
    _index("deposit", "deposit_claim")
    op.create_index("ix_deposit_account_id", "deposit", ["account_id"])
    for name in ("account_id", "deposit_id", "order_id"):
        op.create_index(f"ix_deposit_claim_{name}", "deposit_claim", [name])


def _index(*tables: str) -> None:
    for table in tables:
        for name in ("merchant_id", "store_id"):
            op.create_index(f"ix_{table}_{name}", table, [name])


def downgrade() -> None:
    """Back before it."""
    for table in (
        "deposit_claim",
        "deposit",
        "cash_count",
        "ledger_day",
        "ledger_entry",
        "ledger_txn",
    ):
        op.drop_table(table)
