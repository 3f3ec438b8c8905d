"""Stored value, deposits' rules, requests for refunds."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None
_OWNERS = {
    "merchant_id": "merchant.id",
    "store_id": "store.id",
    "account_id": "account.id",
    "wallet_id": "wallet.id",
    "order_id": "orders.id",
    "plan_id": "topup_plan.id",
}


def upgrade() -> None:
    """Make the tables."""
    op.add_column("payment_attempt", sa.Column("with_id", sa.String(), nullable=True))
    op.create_index("ix_payment_attempt_with_id", "payment_attempt", ["with_id"])
    op.add_column(
        "deposit", sa.Column("return_minutes", sa.Integer(), nullable=False, server_default="30")
    )
    _wallets()
    _topups()
    _requests()


def _table(name: str, owners: list[str], *columns: sa.schema.SchemaItem) -> None:
    op.create_table(
        name,
        sa.Column("id", sa.String(), primary_key=True),
        *(
            sa.Column(one, sa.String(), sa.ForeignKey(_OWNERS[one]), nullable=False)
            for one in owners
        ),
        *columns,
    )


def _index(table: str, *columns: str) -> None:
    for name in columns:
        op.create_index(f"ix_{table}_{name}", table, [name])


def _fen(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def _text(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _wallets() -> None:
    _table(
        "wallet",
        ["merchant_id", "account_id"],
        *_fen("paid_fen", "gift_fen", "held_paid_fen", "held_gift_fen"),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.UniqueConstraint("merchant_id", "account_id"),
        sa.CheckConstraint(
            "paid_fen >= 0 AND gift_fen >= 0 AND held_paid_fen >= 0 AND held_gift_fen >= 0"
        ),
    )
    _index("wallet", "merchant_id", "account_id")
    _table(
        "gift_lot",
        ["merchant_id", "account_id", "wallet_id", "store_id"],
        *_fen("amount_fen", "left_fen"),
        sa.Column("expires_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("left_fen >= 0 AND left_fen <= amount_fen"),
    )
    _index("gift_lot", "merchant_id", "account_id", "wallet_id")
    _table(
        "wallet_move",
        ["merchant_id", "store_id", "account_id", "wallet_id"],
        *_text("key", "kind"),
        *_fen("paid_fen", "gift_fen", "paid_after_fen", "gift_after_fen"),
        *_text("subject", "text", "by"),
        sa.Column("lots", JSON, nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.UniqueConstraint("wallet_id", "key"),
    )
    _index("wallet_move", "merchant_id", "account_id", "wallet_id")
    _table(
        "wallet_hold",
        ["merchant_id", "account_id", "wallet_id"],
        sa.Column(
            "payment_id",
            sa.String(),
            sa.ForeignKey("payment_attempt.id"),
            nullable=False,
            unique=True,
        ),
        *_text("state"),
        *_fen("paid_fen", "gift_fen"),
        sa.Column("lots", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("state IN ('held','taken','released')"),
        sa.CheckConstraint("paid_fen >= 0 AND gift_fen >= 0 AND paid_fen + gift_fen > 0"),
    )
    _index("wallet_hold", "merchant_id", "account_id", "wallet_id")
    op.create_table(
        "balance_rule",
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), primary_key=True),
        *_text("spend"),
        sa.CheckConstraint("spend IN ('gift_first','paid_first','in_proportion')"),
    )


def _topups() -> None:
    _table(
        "topup_plan",
        ["merchant_id"],
        *_text("name"),
        *_fen("pay_fen", "gift_fen"),
        sa.Column("gift_days", sa.Integer(), nullable=True),
        sa.Column("per_member", sa.Integer(), nullable=True),
        sa.Column("active", sa.Boolean(), nullable=False),
        *_fen("sort"),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("pay_fen > 0 AND gift_fen >= 0"),
    )
    _index("topup_plan", "merchant_id")
    _table(
        "topup",
        ["merchant_id", "store_id", "account_id", "plan_id"],
        sa.Column("number", sa.String(), nullable=False, unique=True),
        *_text("state"),
        *_fen("pay_fen", "gift_fen"),
        sa.Column("gift_days", sa.Integer(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("done_at", INSTANT, nullable=True),
        sa.CheckConstraint("state IN ('waiting','done','void')"),
    )
    _index("topup", "merchant_id", "store_id", "account_id", "plan_id")


def _requests() -> None:
    _table(
        "deposit_rule",
        ["merchant_id", "store_id"],
        sa.Column("room_id", sa.String(), sa.ForeignKey("room.id"), nullable=True),
        *_fen("amount_fen", "return_minutes"),
        sa.UniqueConstraint("store_id", "room_id"),
        sa.CheckConstraint("amount_fen >= 0 AND return_minutes >= 0"),
    )
    _index("deposit_rule", "merchant_id", "store_id")
    _table(
        "refund_request",
        ["merchant_id", "store_id", "account_id", "order_id"],
        *_text("state", "why"),
        *_fen("asked_fen"),
        sa.Column("approved_fen", sa.Integer(), nullable=True),
        *_fen("proposal_fen"),
        *_text("proposal_text"),
        sa.Column("passed_up_by", sa.String(), nullable=True),
        *_text("passed_up_why"),
        sa.Column("decided_by", sa.String(), nullable=True),
        *_text("decided_why"),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=True),
        sa.CheckConstraint("state IN ('open','approved','declined','withdrawn')"),
        sa.CheckConstraint("asked_fen > 0 AND (approved_fen IS NULL OR approved_fen <= asked_fen)"),
    )
    _index("refund_request", "merchant_id", "store_id", "account_id", "order_id")
    op.create_index(
        "one_open_refund_request",
        "refund_request",
        ["order_id"],
        unique=True,
        postgresql_where=sa.text("state = 'open'"),
        sqlite_where=sa.text("state = 'open'"),
    )


def downgrade() -> None:
    """Back before it."""
    for table in (
        "refund_request",
        "deposit_rule",
        "topup",
        "topup_plan",
        "balance_rule",
        "wallet_hold",
        "wallet_move",
        "gift_lot",
        "wallet",
    ):
        op.drop_table(table)
    op.drop_column("deposit", "return_minutes")
    op.drop_index("ix_payment_attempt_with_id", "payment_attempt")
    op.drop_column("payment_attempt", "with_id")
