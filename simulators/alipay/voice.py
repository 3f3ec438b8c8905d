"""Notifications: a signed form; refunds come in the same shape to the same address; and what goes wrong."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlencode

import httpx

from simulators.alipay import shown
from simulators.alipay.house import APP_ID, SELLER_ID, AlipayDesk
from simulators.counter.book import Row
from simulators.counter.messenger import Letter, Voice

LADDER_S: Final = (240, 600, 600, 3600, 7200, 21600, 54000)


def voice(desk: AlipayDesk) -> Voice:
    """How Alipay speaks. Exactly ``success`` is "taken"."""

    def write(message: Row, told_id: str, row: Row) -> Letter:
        number = message["number"]
        refund = row if message["kind"] == "refund" else None
        paid = desk.book.payment(row["payment_number"]) if refund is not None else row
        assert paid is not None
        off = desk.knobs.of(number).notify_amount_off_fen
        other = desk.knobs.take(number, "notify_other_merchant")
        told = {
            "notify_time": shown.local(desk.book.now),
            "notify_type": "trade_status_sync",
            "notify_id": told_id,
            "charset": "utf-8",
            "version": "1.0",
            "app_id": APP_ID,
            "seller_id": "2088999999999999" if other else SELLER_ID,
            "out_trade_no": paid["number"],
            "trade_no": shown.trade_no(paid),
            "subject": paid["subject"],
            "buyer_id": "2088102119685838",
            "total_amount": shown.yuan(paid["amount_fen"] + (0 if refund else off)),
            "receipt_amount": shown.yuan(paid["amount_fen"]),
            "gmt_create": shown.local(paid["created_at"]),
            "gmt_payment": shown.local(paid["paid_at"]),
            "trade_status": "TRADE_SUCCESS",
        }
        if refund is not None:
            told |= {
                "trade_status": shown.status(desk, paid),
                "out_biz_no": refund["number"],
                "refund_fee": shown.yuan(
                    desk.book.given_back(paid["number"], only_done=True) + off
                ),
                "gmt_refund": shown.local(refund["done_at"]) + ".123",
            }
        wrong = desk.knobs.take(number, "notify_bad_signature")
        wrong = desk.knobs.take(number, "notify_unknown_serial") or wrong
        text = "&".join(f"{name}={told[name]}" for name in sorted(told) if told[name])
        told |= {"sign_type": "RSA2", "sign": desk.sign(text, wrong=wrong)}
        headers = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
        return Letter(headers, urlencode(told).encode())

    def taken(answer: httpx.Response) -> bool:
        return answer.status_code == 200 and answer.text == "success"

    return Voice(write, taken, LADDER_S)
