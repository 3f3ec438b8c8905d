"""Rollups of a store's business day, and what was touched since."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from cloud_api.migrations.types import INSTANT

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None
_MEASURES = [
    "made",
    "made_fen",
    "lapsed",
    "cancelled",
    "lead_minutes",
    "lead_now",
    "lead_hours",
    "lead_day",
    "lead_days",
    "lead_more",
    "stays",
    "minutes",
    "stay_fen",
    "spend_50",
    "spend_100",
    "spend_200",
    "spend_300",
    "spend_500",
    "spend_more",
    "energy_wh",
    "energy_minutes",
    "busy_minutes",
    "open_minutes",
    "room_fen",
    "overtime_fen",
    "voucher_fen",
    "other_fen",
    "cash_order_fen",
    "cash_more_fen",
    "cash_group_fen",
    "cash_topup_fen",
    "back_fen",
    "group_sold",
    "group_fen",
    "redeemed",
    "faults",
]


def upgrade() -> None:
    """Make the tables; the next look fills them."""
    op.create_index("orders_by_start", "orders", ["store_id", "starts_at"])
    op.create_index("orders_by_making", "orders", ["store_id", "created_at"])
    _table("report_day", [], _measures(), [sa.Column("made_at", INSTANT, nullable=False)])
    _table("report_part", [_key("room_id"), _key("channel")], _measures())
    _table(
        "report_hour",
        [sa.Column("hour", sa.Integer(), primary_key=True)],
        _numbers("busy_minutes", "open_minutes"),
    )
    _table("report_guest", [_person()], _numbers("visits", "spent_fen", "vouchers"))
    op.create_index("report_guest_of_person", "report_guest", ["account_id"])
    op.create_table(
        "report_life",
        _store(),
        _person(),
        _merchant(),
        *_numbers("visits", "spent_fen", "vouchers"),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
    )
    op.create_index("report_life_of_merchant", "report_life", ["merchant_id"])
    op.create_table(
        "report_touched", _store(), sa.Column("day", sa.Date(), primary_key=True), _merchant()
    )
    op.create_table(
        "report_cursor",
        sa.Column("name", sa.String(), primary_key=True),
        sa.Column("at", sa.String(), nullable=False),
        sa.Column("looked_at", INSTANT, nullable=False),
    )


def _table(
    name: str,
    keys: list[Any],
    numbers: list[sa.Column[int]],
    more: list[Any] | None = None,
) -> None:
    op.create_table(
        name,
        _store(),
        sa.Column("day", sa.Date(), primary_key=True),
        *keys,
        _merchant(),
        *numbers,
        *(more or ()),
    )
    op.create_index(f"{name}_of_merchant", name, ["merchant_id", "day"])


def _store() -> sa.Column[str]:
    return sa.Column("store_id", sa.String(), sa.ForeignKey("store.id"), primary_key=True)


def _merchant() -> sa.Column[str]:
    return sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False)


def _person() -> sa.Column[str]:
    return sa.Column("account_id", sa.String(), sa.ForeignKey("account.id"), primary_key=True)


def _key(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.String(), primary_key=True)


def _numbers(*names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, sa.Integer(), nullable=False) for name in names]


def _measures() -> list[sa.Column[int]]:
    return _numbers(*_MEASURES)


def downgrade() -> None:
    """The rollups go; nothing is lost with them."""
    for name in ("cursor", "touched", "life", "guest", "hour", "part", "day"):
        op.drop_table(f"report_{name}")
    op.drop_index("orders_by_making", "orders")
    op.drop_index("orders_by_start", "orders")
