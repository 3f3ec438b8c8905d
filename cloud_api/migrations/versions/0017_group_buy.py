"""Campaigns, teams, group orders, vouchers and what was redeemed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT, JSON

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def _index(table: str, *names: str) -> None:
    for name in names:
        op.create_index(f"ix_{table}_{name}", table, [name])


def upgrade() -> None:
    """Nine words of the field: five tables."""
    _campaign()
    _team()
    _order()
    _voucher()
    _redemption()


def _campaign() -> None:
    op.create_table(
        "campaign",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("tagline", sa.String(120), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("price_fen", sa.Integer(), nullable=False),
        sa.Column("list_fen", sa.Integer(), nullable=False),
        sa.Column("team_size", sa.Integer(), nullable=False),
        sa.Column("team_hours", sa.Integer(), nullable=False),
        sa.Column("on_fail", sa.String(), nullable=False),
        sa.Column("starts_at", INSTANT, nullable=False),
        sa.Column("ends_at", INSTANT, nullable=False),
        sa.Column("stock", sa.Integer(), nullable=True),
        sa.Column("taken", sa.Integer(), nullable=False),
        sa.Column("most_per_customer", sa.Integer(), nullable=True),
        sa.Column("most_per_order", sa.Integer(), nullable=False),
        sa.Column("valid_days", sa.Integer(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("store_ids", JSON, nullable=False),
        sa.Column("room_ids", JSON, nullable=False),
        sa.Column("weekdays", sa.Integer(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("until_minute", sa.Integer(), nullable=False),
        sa.Column("extras", JSON, nullable=False),
        sa.Column("story", sa.String(), nullable=False),
        sa.Column("pictures", JSON, nullable=False),
        sa.Column("video", sa.String(), nullable=False),
        sa.Column("picture", sa.String(), nullable=False),
        sa.Column("rules", sa.String(), nullable=False),
        sa.Column("refundable", sa.Boolean(), nullable=False),
        sa.Column("refund_on_expiry", sa.Boolean(), nullable=False),
        sa.Column("sort", sa.Integer(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("state IN ('draft','published','paused','ended')"),
        sa.CheckConstraint("price_fen > 0 AND list_fen >= price_fen"),
        sa.CheckConstraint("team_size BETWEEN 1 AND 20 AND team_hours > 0"),
        sa.CheckConstraint("taken >= 0 AND (stock IS NULL OR taken <= stock)"),
        sa.CheckConstraint("minutes > 0 AND valid_days > 0 AND most_per_order > 0"),
        sa.CheckConstraint("starts_at < ends_at"),
        sa.CheckConstraint("on_fail IN ('refund','complete')"),
        sa.CheckConstraint("weekdays BETWEEN 1 AND 127"),
        sa.CheckConstraint(
            "from_minute >= 0 AND from_minute < until_minute AND until_minute <= 2880"
        ),
    )
    _index("campaign", "merchant_id", "state")
    op.create_table(
        "groupbuy_bought",
        sa.Column("campaign_id", sa.String(), sa.ForeignKey("campaign.id"), primary_key=True),
        sa.Column("account_id", sa.String(), sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.CheckConstraint("count >= 0"),
    )
    _index("groupbuy_bought", "merchant_id")


def _team() -> None:
    op.create_table(
        "team",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("campaign_id", sa.String(), sa.ForeignKey("campaign.id"), nullable=False),
        sa.Column("token", sa.String(), nullable=False, unique=True),
        sa.Column("opened_by", sa.String(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("size", sa.Integer(), nullable=False),
        sa.Column("reserved", sa.Integer(), nullable=False),
        sa.Column("paid", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("deadline", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.CheckConstraint("state IN ('open','full','failed')"),
        sa.CheckConstraint("paid >= 0 AND paid <= reserved AND reserved <= size"),
    )
    _index("team", "merchant_id", "campaign_id")


def _order() -> None:
    op.create_table(
        "group_order",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("store_id", sa.String(), sa.ForeignKey("store.id"), nullable=False),
        sa.Column("account_id", sa.String(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("campaign_id", sa.String(), sa.ForeignKey("campaign.id"), nullable=False),
        sa.Column("team_id", sa.String(), sa.ForeignKey("team.id"), nullable=True),
        sa.Column("number", sa.String(), nullable=False, unique=True),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("quantity", sa.Integer(), nullable=False),
        sa.Column("price_fen", sa.Integer(), nullable=False),
        sa.Column("total_fen", sa.Integer(), nullable=False),
        sa.Column("refunded_fen", sa.Integer(), nullable=False),
        sa.Column("hold_expires_at", INSTANT, nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("paid_at", INSTANT, nullable=True),
        sa.Column("shared_by", sa.String(), nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending_payment','paid','issued','cancelled','refunding','refunded')"
        ),
        sa.CheckConstraint("quantity > 0 AND total_fen = quantity * price_fen"),
        sa.CheckConstraint("refunded_fen >= 0 AND refunded_fen <= total_fen"),
    )
    _index("group_order", "merchant_id", "store_id", "account_id", "campaign_id", "team_id")
    active = sa.text("team_id IS NOT NULL AND status IN ('pending_payment','paid','issued')")
    op.create_index(
        "one_seat_each",
        "group_order",
        ["team_id", "account_id"],
        unique=True,
        postgresql_where=active,
        sqlite_where=active,
    )


def _voucher() -> None:
    op.create_table(
        "voucher",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("account_id", sa.String(), sa.ForeignKey("account.id"), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("campaign_id", sa.String(), nullable=False),
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("code", sa.Text(), nullable=False),
        sa.Column("code_index", sa.String(), nullable=False, unique=True),
        sa.Column("value_fen", sa.Integer(), nullable=False),
        sa.Column("minutes", sa.Integer(), nullable=False),
        sa.Column("people", sa.Integer(), nullable=False),
        sa.Column("store_ids", JSON, nullable=False),
        sa.Column("room_ids", JSON, nullable=False),
        sa.Column("weekdays", sa.Integer(), nullable=False),
        sa.Column("from_minute", sa.Integer(), nullable=False),
        sa.Column("until_minute", sa.Integer(), nullable=False),
        sa.Column("rules", sa.String(), nullable=False),
        sa.Column("valid_from", INSTANT, nullable=False),
        sa.Column("valid_until", INSTANT, nullable=False),
        sa.Column("refund_on_expiry", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("redemption_id", sa.String(), nullable=True, unique=True),
        sa.Column("gift_hash", sa.String(), nullable=True, unique=True),
        sa.Column("reminded_at", INSTANT, nullable=True),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.CheckConstraint("state IN ('issued','redeemed','expired','refunding','refunded')"),
        sa.CheckConstraint("minutes > 0 AND value_fen >= 0 AND valid_from < valid_until"),
        sa.CheckConstraint("state <> 'redeemed' OR redemption_id IS NOT NULL"),
        sa.CheckConstraint("weekdays BETWEEN 1 AND 127"),
        sa.CheckConstraint(
            "from_minute >= 0 AND from_minute < until_minute AND until_minute <= 2880"
        ),
    )
    _index("voucher", "merchant_id", "account_id", "source", "campaign_id", "state")


def _redemption() -> None:
    op.create_table(
        "redemption",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        sa.Column("store_id", sa.String(), sa.ForeignKey("store.id"), nullable=False),
        sa.Column("voucher_id", sa.String(), sa.ForeignKey("voucher.id"), nullable=False),
        sa.Column("campaign_id", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("undoes", sa.String(), nullable=True, unique=True),
        sa.Column("order_id", sa.String(), nullable=False),
        sa.Column("room_id", sa.String(), nullable=False),
        sa.Column("way", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("by_name", sa.String(), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.CheckConstraint("kind IN ('redeem','undo')"),
        sa.CheckConstraint("kind = 'redeem' OR undoes IS NOT NULL"),
    )
    _index("redemption", "merchant_id", "store_id", "voucher_id", "campaign_id", "order_id", "at")


def downgrade() -> None:
    """Back before it."""
    for table in ("redemption", "voucher", "group_order", "team", "groupbuy_bought", "campaign"):
        op.drop_table(table)
