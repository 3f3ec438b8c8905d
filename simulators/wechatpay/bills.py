"""The day's trade bill: made from the books, one file for everybody who asks; and rows that are wrong."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from simulators.counter.book import Row
from simulators.wechatpay.house import APPID, MCHID, WechatDesk
from simulators.wechatpay.shown import TRADE_TYPES, ZONE

_HEAD: Final = (
    "交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,"
    "货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号,退款金额,充值券退款金额,退款类型,退款状态,"
    "商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注"
)
_SUMS: Final = (
    "总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额"
)
FEE_PER_MILLE: Final = 6
READY_H: Final = 10


def state(desk: WechatDesk, day: date) -> str:
    """``ready``, ``creating`` (before ten the next day) or ``none`` (nothing moved)."""
    ready = datetime.combine(day + timedelta(days=1), datetime.min.time(), ZONE)
    if desk.business.now() < ready + timedelta(hours=READY_H):
        return "creating"
    return "ready" if _rows(desk, day) else "none"


def make(desk: WechatDesk, day: date) -> bytes:
    """The file."""
    rows = _rows(desk, day)
    paid = sum(row[1] for row in rows if row[0] == "payment")
    back = sum(row[1] for row in rows if row[0] == "refund")
    fees = sum(row[2] for row in rows)
    sums = [
        str(len(rows)),
        yuan(paid),
        yuan(back),
        "0.00",
        f"{fees / 100:.5f}",
        yuan(paid),
        yuan(back),
    ]
    lines = [_HEAD, *(row[3] for row in rows), _SUMS, ",".join(f"`{one}" for one in sums)]
    return ("\ufeff" + "\r\n".join(lines) + "\r\n").encode()


def _rows(desk: WechatDesk, day: date) -> list[tuple[str, int, int, str]]:
    rows: list[tuple[str, int, int, str]] = []
    for row in reversed(desk.book.payments()):
        faults = desk.knobs.of(row["number"])
        if row["paid_at"] is None or _day(row["paid_at"]) != day or faults.bill_missing:
            continue
        rows.append(_payment(row, row["amount_fen"] + faults.bill_off_fen))
        if faults.bill_extra:
            ghost = {**row, "number": f"X{row['number']}", "txn": f"9{row['txn']}"}
            rows.append(_payment(ghost, row["amount_fen"]))
    for row in reversed(desk.book.refunds()):
        if row["done_at"] is None or _day(row["done_at"]) != day:
            continue
        if desk.knobs.of(row["payment_number"]).bill_missing:
            continue
        paid = desk.book.payment(row["payment_number"])
        assert paid is not None
        rows.append(_refund(row, paid))
    return rows


def _payment(row: Row, fen: int) -> tuple[str, int, int, str]:
    fee = round(fen * FEE_PER_MILLE / 1000)
    fields = [
        *_common(row["paid_at"], row), "SUCCESS", "OTHERS", "CNY", yuan(fen), "0.00", "0", "0",
        "0.00", "0.00", "", "", row["subject"].replace(",", " "), "", f"{fee / 100:.5f}", "0.60%",
        yuan(fen), "0.00", "",
    ]  # fmt: skip
    return "payment", fen, fee, ",".join(f"`{one}" for one in fields)


def _refund(row: Row, paid: Row) -> tuple[str, int, int, str]:
    fee = -round(row["amount_fen"] * FEE_PER_MILLE / 1000)
    fields = [
        *_common(row["done_at"], paid), "REFUND", "OTHERS", "CNY", "0.00", "0.00", row["refund_no"],
        row["number"], yuan(row["amount_fen"]), "0.00", "ORIGINAL", "SUCCESS",
        paid["subject"].replace(",", " "), "", f"{fee / 100:.5f}", "0.60%", "0.00",
        yuan(row["amount_fen"]), "",
    ]  # fmt: skip
    return "refund", row["amount_fen"], fee, ",".join(f"`{one}" for one in fields)


def _common(at: float, paid: Row) -> list[str]:
    return [
        f"{datetime.fromtimestamp(at, ZONE):%Y-%m-%d %H:%M:%S}", APPID, MCHID, "0", "",
        paid["txn"], paid["number"], "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", TRADE_TYPES[paid["channel"]],
    ]  # fmt: skip


def _day(at: float) -> date:
    return datetime.fromtimestamp(at, ZONE).date()


def yuan(fen: int) -> str:
    """12.30"""
    sign = "-" if fen < 0 else ""
    return f"{sign}{abs(fen) // 100}.{abs(fen) % 100:02d}"
