"""Notifications: sealed, signed, on the official ladder (document 4012791861); and all that goes wrong."""

from __future__ import annotations

import json
from typing import Final

import httpx

from simulators.counter.book import Row
from simulators.counter.messenger import Letter, Voice
from simulators.wechatpay import shown
from simulators.wechatpay.house import WechatDesk

LADDER_S: Final = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)  # fmt: skip


def voice(desk: WechatDesk) -> Voice:
    """How WeChat Pay speaks. 200 and 204 are "taken"."""

    def write(message: Row, told_id: str, row: Row) -> Letter:
        number = message["number"]
        if message["kind"] == "payment":
            inner = shown.payment(desk, {**row, "state": "paid"})
            inner["trade_state"] = "SUCCESS"
            inner["amount"]["total"] += desk.knobs.of(number).notify_amount_off_fen
            event, original = "TRANSACTION.SUCCESS", "transaction"
        else:
            inner = shown.refund(desk, row)
            status = inner.pop("status")
            inner |= {"mchid": "1900000001", "refund_status": status}
            inner["amount"]["refund"] += desk.knobs.of(number).notify_amount_off_fen
            event, original = f"REFUND.{status}", "refund"
        if desk.knobs.take(number, "notify_other_merchant"):
            inner["mchid"] = "1900009999"
        body = {
            "id": told_id,
            "create_time": shown.instant(desk.book.now),
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": "支付成功" if original == "transaction" else "退款",
            "resource": {"original_type": original, **desk.seal(inner, original)},
        }
        raw = json.dumps(body, ensure_ascii=False).encode()
        wrong = next(
            (
                word
                for knob, word in (
                    ("notify_bad_signature", "signature"),
                    ("notify_probe", "probe"),
                    ("notify_unknown_serial", "serial"),
                )
                if desk.knobs.take(number, knob)
            ),
            "",
        )
        age = 600 if desk.knobs.take(number, "notify_stale") else 0
        headers = desk.headers(raw, wrong=wrong, age_s=age)
        return Letter({**headers, "Content-Type": "application/json"}, raw)

    def taken(answer: httpx.Response) -> bool:
        return answer.status_code in {200, 204}

    return Voice(write, taken, LADDER_S)
