"""Payments and refunds as WeChat Pay shows them, in answers and in notifications."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from simulators.counter.book import Row
from simulators.wechatpay.house import MCHID, WechatDesk

ZONE: Final = ZoneInfo("Asia/Shanghai")
TRADE_TYPES: Final = {"native": "NATIVE", "h5": "MWEB", "jsapi": "JSAPI"}
REFUND_STATES: Final = {
    "processing": "PROCESSING",
    "success": "SUCCESS",
    "closed": "CLOSED",
    "abnormal": "ABNORMAL",
}


def payment(desk: WechatDesk, row: Row, *, off_fen: int = 0) -> dict[str, Any]:
    """A payment."""
    shown: dict[str, Any] = {
        "appid": row["app"],
        "mchid": MCHID,
        "out_trade_no": row["number"],
        "trade_type": TRADE_TYPES[row["channel"]],
        "amount": {"total": row["amount_fen"] + off_fen, "currency": "CNY"},
        "payer": {"openid": row["payer"] or "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
    }
    if row["state"] == "paid":
        back = desk.book.given_back(row["number"])
        shown |= {
            "trade_state": "REFUND" if back else "SUCCESS",
            "trade_state_desc": "转入退款" if back else "支付成功",
            "transaction_id": row["txn"],
            "bank_type": "OTHERS",
            "attach": "",
            "success_time": instant(row["paid_at"]),
        }
        shown["amount"] |= {"payer_total": row["amount_fen"], "payer_currency": "CNY"}
    elif row["state"] == "closed":
        shown |= {"trade_state": "CLOSED", "trade_state_desc": "订单已关闭"}
    else:
        shown |= {"trade_state": "NOTPAY", "trade_state_desc": "订单未支付"}
    return shown


def refund(desk: WechatDesk, row: Row) -> dict[str, Any]:
    """A refund, as answers show it."""
    paid = desk.book.payment(row["payment_number"])
    assert paid is not None
    shown = {
        "refund_id": row["refund_no"],
        "out_refund_no": row["number"],
        "transaction_id": paid["txn"],
        "out_trade_no": row["payment_number"],
        "channel": "ORIGINAL",
        "user_received_account": "支付用户零钱",
        "create_time": instant(row["created_at"]),
        "status": REFUND_STATES[row["state"]],
        "funds_account": "AVAILABLE",
        "amount": {
            "total": paid["amount_fen"],
            "refund": row["amount_fen"],
            "payer_total": paid["amount_fen"],
            "payer_refund": row["amount_fen"],
            "currency": "CNY",
        },
    }
    if row["done_at"]:
        shown["success_time"] = instant(row["done_at"])
    return shown


def instant(seconds: float) -> str:
    """RFC 3339 in Beijing time."""
    return datetime.fromtimestamp(seconds, ZONE).isoformat(timespec="seconds")
