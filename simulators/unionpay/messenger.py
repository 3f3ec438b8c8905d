"""Sends notifications as UnionPay does: five times in all, after 0, 1, 2 and 4 minutes, until a 200."""

from __future__ import annotations

import asyncio
from typing import Final

import httpx

from simulators.trust import trusted
from simulators.unionpay import signing
from simulators.unionpay.book import REFUNDED, Row, settle_date
from simulators.unionpay.desk import Desk
from simulators.unionpay.signing import Fields

LADDER_S: Final = (0, 60, 120, 240)
_LOOK_S: Final = 0.1


class Messenger:
    """``time_factor`` 60 makes the ladder sixty times shorter."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._begun: set[int] = set()

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=10, trust_env=False, verify=trusted()) as http:
            while True:
                self._desk.book.finish_refunds()
                for message in self._due():
                    await self._deliver(http, message)
                await asyncio.sleep(_LOOK_S)

    def _due(self) -> list[Row]:
        found = []
        for message in self._desk.book.due_messages():
            faults = self._desk.knobs.of(message["order_id"])
            if message["seq"] not in self._begun:
                self._begun.add(message["seq"])
                if faults.notify_delay_s and not message["tries"]:
                    self._desk.book.put_off(message["seq"], faults.notify_delay_s)
                    continue
            found.append(message)
        if any(self._desk.knobs.of(message["order_id"]).notify_reorder for message in found):
            found.reverse()
        return found

    async def _deliver(self, http: httpx.AsyncClient, message: Row) -> None:
        book, knobs, order = self._desk.book, self._desk.knobs, message["order_id"]
        if knobs.take(order, "notify_drop"):
            book.sent(message["seq"], done="dropped", next_in_s=0)
            return
        copies = 1 + max(0, knobs.of(order).notify_duplicate)
        taken = [await self._post(http, message) for _ in range(copies)]
        tries = message["tries"]
        if all(taken) or tries >= len(LADDER_S):
            book.sent(message["seq"], done="taken" if all(taken) else "gave up", next_in_s=0)
        else:
            wait = LADDER_S[tries] / self._desk.time_factor
            book.sent(message["seq"], done=None, next_in_s=wait)

    async def _post(self, http: httpx.AsyncClient, message: Row) -> bool:
        knobs, order = self._desk.knobs, message["order_id"]
        fields = told(message, knobs.of(order).notify_amount_off_fen)
        if knobs.take(order, "notify_wrong_merchant"):
            fields["merId"] = "999999999999999"
        pair = self._desk.own
        if knobs.take(order, "notify_stranger"):
            pair = self._desk.stranger
        signed = signing.sign(fields, pair)
        if knobs.take(order, "notify_bad_signature"):
            signed["signature"] = signing.sign({**fields, "txnAmt": "1"}, pair)["signature"]
        try:
            answer = await http.post(message["back_url"], data=signed)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200


def told(row: Row, off: int = 0) -> Fields:
    """What a notification says of a trade."""
    return {
        "version": "5.1.0",
        "encoding": "UTF-8",
        "signMethod": "01",
        "txnType": row["kind"],
        "txnSubType": "01" if row["kind"] != REFUNDED else "00",
        "bizType": "000201",
        "accessType": "0",
        "merId": row["merchant"],
        "orderId": row["order_id"],
        "txnTime": row["txn_time"],
        "txnAmt": str(row["amount_fen"] + off),
        "currencyCode": "156",
        "settleAmt": str(row["amount_fen"] + off),
        "settleCurrencyCode": "156",
        "settleDate": settle_date(row["done_at"]),
        "queryId": row["query_id"],
        "traceNo": f"{row['id'] % 10**6:06d}",
        "accNo": "621626******0018",
        "respCode": "00",
        "respMsg": "成功[0000000]",
    }
