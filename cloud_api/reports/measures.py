"""What each figure means, in words, and in which rows it is found: the one table of it.

A figure is a sum of columns of the rollups, or a ratio of two such sums. ``source`` says of what its rows
are: orders (``placed`` or ``stays``), the books, group orders, redemptions, alarms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cloud_api.kit.i18n import gettext as _
from cloud_api.reports.models import Measures

COLUMNS: Final = tuple(Measures.model_fields)
REVENUE: Final = ("room_fen", "overtime_fen", "voucher_fen", "other_fen")
CASH: Final = ("cash_order_fen", "cash_more_fen", "cash_group_fen", "cash_topup_fen")
LEADS: Final = {
    "lead_now": "1 小时内",
    "lead_hours": "1–6 小时",
    "lead_day": "6–24 小时",
    "lead_days": "1–3 天",
    "lead_more": "3 天以上",
}
SPENDS: Final = {
    "spend_50": "¥50 以下",
    "spend_100": "¥50–100",
    "spend_200": "¥100–200",
    "spend_300": "¥200–300",
    "spend_500": "¥300–500",
    "spend_more": "¥500 以上",
}
CASH_WORDS: Final = {
    "cash_order_fen": "预约",
    "cash_more_fen": "续时与超时",
    "cash_group_fen": "团购",
    "cash_topup_fen": "储值与其他",
}
REVENUE_WORDS: Final = {
    "room_fen": "包间时长",
    "overtime_fen": "超时费",
    "voucher_fen": "团购与平台券",
    "other_fen": "其他",
}
WORDS: Final = {
    "made": "订单",
    "made_fen": "下单金额（元）",
    "lapsed": "没付款放弃",
    "cancelled": "取消",
    "lead_minutes": "提前（分钟，合计）",
    "stays": "场次",
    "minutes": "卖出（分钟）",
    "stay_fen": "实付（元）",
    "energy_wh": "用电（瓦时）",
    "energy_minutes": "有电表的使用（分钟）",
    "busy_minutes": "占用（分钟）",
    "open_minutes": "营业（分钟）",
    "back_fen": "退款（元）",
    "group_sold": "团购售出",
    "group_fen": "团购金额（元）",
    "redeemed": "核销",
    "faults": "设备故障",
}
_PARTS: Final = {
    "提前 {part}": LEADS,
    "实付 {part}": SPENDS,
    "到账 {part}（元）": CASH_WORDS,
    "收入 {part}（元）": REVENUE_WORDS,
}
CHANNELS: Final = {
    "app": "自己的页面",
    "staff": "代客下单",
    "waitlist": "候补",
    "series": "每周预订",
    "groupbuy": "团购券",
    "meituan": "美团、大众点评",
    "douyin": "抖音",
    "kuaishou": "快手",
    "platform": "其他平台",
    "": "不属于订单",
}
PLATFORMS: Final = {
    "meituan": "meituan",
    "dianping": "meituan",
    "douyin": "douyin",
    "kuaishou": "kuaishou",
}
"""Providers of payments and vouchers that are platforms, and the channel an order of theirs is of."""


def head_of(column: str) -> str:
    """A column as the head of a sheet, in the language that is spoken."""
    if column in WORDS:
        return _(WORDS[column])
    return next(
        _(whole).format(part=_(parts[column])) for whole, parts in _PARTS.items() if column in parts
    )


@dataclass(frozen=True, slots=True)
class Figure:
    """``unit``: fen, count, per_cent (of ``of``), minutes, kwh_per_hour, fen_each. ``good``: more is good."""

    key: str
    text: str
    what: str
    unit: str
    columns: tuple[str, ...]
    of: tuple[str, ...] = ()
    source: str = ""
    good: bool | None = True


FIGURES: Final = {
    one.key: one
    for one in (
        Figure("cash", "到账收入", "顾客付来的减去退回的；余额付款不算，充值时已算", "fen", CASH, source="cash"),
        Figure("revenue", "确认收入", "用掉了才算的收入，与账本的收入科目一分不差", "fen", REVENUE, source="revenue"),
        Figure("made", "订单", "当天下单并付款的订单", "count", ("made",), source="placed"),
        Figure("stays", "使用场次", "当天开始、没有取消的订单", "count", ("stays",), source="stays"),
        Figure("occupancy", "出租率", "卖出的时间占营业时间", "per_cent", ("busy_minutes",), ("open_minutes",), source="stays"),
        Figure("ticket", "场均消费", "每场实付，退掉的不算", "fen_each", ("stay_fen",), ("stays",), source="stays"),
        Figure("cancelled", "取消率", "当天下的订单里后来取消的", "per_cent", ("cancelled",), ("made",), source="cancelled", good=False),
        Figure("lead", "提前预订", "从下单到开始平均多久", "minutes", ("lead_minutes",), ("made",), source="placed", good=None),
        Figure("refunds", "退款", "当天退到顾客手里的", "fen", ("back_fen",), source="back", good=False),
        Figure("group_sold", "团购售出", "当天付款的团购券，张", "count", ("group_sold",), source="group"),
        Figure("group_fen", "团购金额", "当天付款的团购订单", "fen", ("group_fen",), source="group"),
        Figure("redeemed", "核销", "当天核销减去撤销", "count", ("redeemed",), source="redemptions"),
        Figure("energy", "每小时用电", "有电表的场次，每个使用小时的千瓦时", "kwh_per_hour", ("energy_wh",), ("energy_minutes",), source="energy", good=False),
        Figure("faults", "设备故障", "当天报的设备告警", "count", ("faults",), source="faults", good=False),
    )
}  # fmt: skip


def value_of(figure: Figure, sums: dict[str, int]) -> float | int | None:
    """The figure of some sums of columns; None where there is nothing to divide by."""
    total = sum(sums.get(name, 0) for name in figure.columns)
    if not figure.of:
        return total
    base = sum(sums.get(name, 0) for name in figure.of)
    if base <= 0:
        return None
    if figure.unit == "per_cent":
        return round(100 * total / base, 1)
    if figure.unit == "kwh_per_hour":
        return round(total * 60 / base / 1000, 2)
    return round(total / base)
