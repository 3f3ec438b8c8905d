"""What both gates do with receipts: prepare, consume, getconsumed, reverseconsume, querylistbydate."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from simulators.mall.book import Refused, Verification, Voucher
from simulators.mall.desk import Desk

ZONE: Final = ZoneInfo("Asia/Shanghai")
WORDS: Final = {
    "unknown": "券码不存在",
    "used": "券码已使用",
    "refunded": "券码已退款",
    "expired": "券码已过期",
    "other_shop": "该门店不可验证此券",
    "too_late": "验券超过10分钟，不能撤销",
    "not_used": "券码未验证",
    "not_yours": "只能撤销自己验证的券",
    "method": "没有这个方法",
}
Row = dict[str, Any]


@dataclass
class MeituanDesk(Desk):
    """``consumed``: what each request number brought, so that the same one again brings the same."""

    consumed: dict[str, Row] = field(default_factory=dict)
    shop: str = ""
    others: dict[str, dict[str, Any]] = field(default_factory=dict)  # accounts of other ways in
    relay_tokens: set[str] = field(default_factory=set)


def row_of(voucher: Voucher) -> Row:
    """A receipt in snake_case; money in yuan, as both gates write it."""
    return {
        "receipt_code": voucher.code,
        "deal_id": int(voucher.deal.id),
        "dealgroup_id": int(voucher.deal.id) + 1,
        "deal_title": voucher.deal.title,
        "deal_price": voucher.deal.price_fen / 100,
        "deal_market_price": voucher.deal.face_fen / 100,
        "order_id": voucher.order,
        "count": 1,
        "receipt_end_date": f"{_local(voucher.until):%Y-%m-%d %H:%M:%S}",
    }


def prepare(desk: MeituanDesk, asked: Mapping[str, str]) -> list[Row]:
    """A receipt that may be consumed. Raises Refused."""
    return [row_of(desk.shelf.look(_of(desk, asked), desk.shop))]


def scanprepare(desk: MeituanDesk, asked: Mapping[str, str]) -> list[Row]:
    """The receipt behind a QR. Raises Refused."""
    found = next((v for v in desk.shelf.vouchers.values() if v.link in asked["qr_code"]), None)
    return [row_of(desk.shelf.look(found, desk.shop))]


def consume(desk: MeituanDesk, asked: Mapping[str, str]) -> list[Row]:
    """Use it; the same request number again brings the same. Raises Refused."""
    number = asked["request_id"]
    if (known := desk.consumed.get(number)) is not None:
        return [known]
    found = _of(desk, asked)
    if desk.knobs.once("used_meanwhile") and found is not None:
        desk.shelf.verify(found, desk.shop, "app")
    desk.shelf.verify(found, desk.shop, asked["app_shop_account"])
    assert found is not None
    desk.consumed[number] = row_of(found)
    return [desk.consumed[number]]


def getconsumed(desk: MeituanDesk, asked: Mapping[str, str]) -> list[Row]:
    """A receipt that was consumed: when and by whom. Raises Refused."""
    found = _of(desk, asked)
    if found is None or found.verification is None:
        raise Refused("not_used")
    return [_record(desk, found.verification)]


def reverseconsume(desk: MeituanDesk, asked: Mapping[str, str]) -> list[Row]:
    """Take one's own consumption back, within ten minutes. Raises Refused."""
    found = _of(desk, asked)
    if found is None or asked.get("deal_id") != found.deal.id:
        raise Refused("unknown")
    desk.shelf.cancel(found, asked["app_shop_account"])
    desk.consumed = {
        k: row for k, row in desk.consumed.items() if row["receipt_code"] != found.code
    }
    return [row_of(found)]


def querylistbydate(desk: MeituanDesk, asked: Mapping[str, str]) -> list[Row]:
    """A day's consumptions that stand."""
    begins = datetime.combine(date.fromisoformat(asked["date"]), time(), ZONE)
    all_ = desk.shelf.between(
        begins.timestamp(), (begins + timedelta(days=1)).timestamp(), [desk.shop]
    )
    rows = [] if desk.knobs.now.record_missing else [v for v in all_ if not v.cancelled_at]
    offset, limit = int(asked["offset"]), int(asked["limit"])
    return [_record(desk, one) for one in rows[offset : offset + limit]]


METHODS: Final[dict[str, Callable[[MeituanDesk, Mapping[str, str]], list[Row]]]] = {
    "prepare": prepare,
    "scanprepare": scanprepare,
    "consume": consume,
    "getconsumed": getconsumed,
    "reverseconsume": reverseconsume,
    "querylistbydate": querylistbydate,
}


def _of(desk: MeituanDesk, asked: Mapping[str, str]) -> Voucher | None:
    return desk.shelf.vouchers.get(asked.get("receipt_code", ""))


def _record(desk: MeituanDesk, one: Verification) -> Row:
    voucher = desk.shelf.vouchers[one.code]
    return {
        **row_of(voucher),
        "deal_price": (voucher.deal.price_fen + desk.knobs.now.record_off_fen) / 100,
        "verify_account": one.by,
        "verify_channel": "15",
        "verify_time": f"{_local(one.at):%Y-%m-%d %H:%M:%S}",
    }


def _local(at: float) -> datetime:
    return datetime.fromtimestamp(at, UTC).astimezone(ZONE)
