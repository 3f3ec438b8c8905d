"""Months of the rollups in whole, and who came as bits: long periods read few rows.

The sums of months are made here. Who came is made with each day's next making, for which all are marked.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0037"
down_revision = "0036"
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
    """Make the tables and fill what a statement can fill."""
    _table(
        "report_month_part",
        [("month", sa.Date()), ("room_id", sa.String()), ("channel", sa.String())],
        [sa.Column(name, sa.Integer(), nullable=False) for name in _MEASURES],
    )
    _table(
        "report_month_hour",
        [("month", sa.Date()), ("weekday", sa.Integer()), ("hour", sa.Integer())],
        [sa.Column(f"{what}_minutes", sa.Integer(), nullable=False) for what in ("busy", "open")],
    )
    for what in ("part", "hour"):
        op.create_index(
            f"report_month_{what}_of_merchant", f"report_month_{what}", ["merchant_id", "month"]
        )
    op.create_table(
        "report_number",
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), primary_key=True),
        sa.Column("account_id", sa.String(), sa.ForeignKey("account.id"), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.UniqueConstraint("merchant_id", "number"),
    )
    op.create_index("report_number_of_person", "report_number", ["account_id"])
    _table(
        "report_crowd",
        [("span", sa.String()), ("first", sa.Date())],
        [
            sa.Column(name, sa.LargeBinary(), nullable=False)
            for name in ("came", "again", "by_voucher")
        ],
    )
    op.create_index("report_crowd_of_merchant", "report_crowd", ["merchant_id", "span", "first"])
    op.drop_index("report_guest_with_voucher", "report_guest")
    op.drop_index("report_life_of_merchant", "report_life")
    op.create_index(
        "report_life_of_merchant",
        "report_life",
        ["merchant_id", "account_id", "visits", "spent_fen", "first_day", "last_day", "store_id"],
    )
    _fill()


def downgrade() -> None:
    """Take them away."""
    op.drop_index("report_life_of_merchant", "report_life")
    op.create_index("report_life_of_merchant", "report_life", ["merchant_id"])
    only = sa.text("vouchers > 0")
    op.create_index(
        "report_guest_with_voucher",
        "report_guest",
        ["merchant_id", "day"],
        postgresql_where=only,
        sqlite_where=only,
    )
    for table in ("report_crowd", "report_number", "report_month_hour", "report_month_part"):
        op.drop_table(table)


def _fill() -> None:
    sqlite = op.get_bind().dialect.name == "sqlite"
    month = "date(day, 'start of month')" if sqlite else "CAST(date_trunc('month', day) AS date)"
    weekday = (
        "(CAST(strftime('%w', day) AS integer) + 6) % 7"
        if sqlite
        else "CAST(extract(isodow FROM day) AS integer) - 1"
    )
    names = ", ".join(_MEASURES)
    sums = ", ".join(f"sum({name})" for name in _MEASURES)
    op.execute(
        f"INSERT INTO report_month_part (store_id, month, room_id, channel, merchant_id, {names}) "
        f"SELECT store_id, {month}, room_id, channel, merchant_id, {sums} FROM report_part GROUP BY 1, 2, 3, 4, 5"
    )
    op.execute(
        "INSERT INTO report_month_hour (store_id, month, weekday, hour, merchant_id, busy_minutes, open_minutes) "
        f"SELECT store_id, {month}, {weekday}, hour, merchant_id, sum(busy_minutes), sum(open_minutes) "
        "FROM report_hour GROUP BY 1, 2, 3, 4, 5"
    )
    op.execute(
        "INSERT INTO report_touched (store_id, day, merchant_id) "
        "SELECT store_id, day, merchant_id FROM report_day WHERE true ON CONFLICT DO NOTHING"
    )


def _table(
    name: str,
    key: list[tuple[str, Any]],
    columns: list[Any],
) -> None:
    op.create_table(
        name,
        sa.Column("store_id", sa.String(), sa.ForeignKey("store.id"), primary_key=True),
        *(sa.Column(one, kind, primary_key=True) for one, kind in key),
        sa.Column("merchant_id", sa.String(), sa.ForeignKey("merchant.id"), nullable=False),
        *columns,
    )
