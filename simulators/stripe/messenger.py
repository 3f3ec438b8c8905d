"""Sends events as Stripe does: signed with the endpoint's secret, again and again for three days."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from typing import Final

import httpx

from simulators.stripe.book import Thing
from simulators.stripe.desk import Desk
from simulators.trust import trusted

LADDER_S: Final = (60, 300, 900, 3600, 7200, 14400, 28800, 43200, 86400, 86400)
_LOOK_S: Final = 0.1


def signature(raw: bytes, secret: str, stamp: int) -> str:
    """The Stripe-Signature header. Source: https://docs.stripe.com/webhooks, verify manually."""
    mac = hmac.new(secret.encode(), f"{stamp}.".encode() + raw, hashlib.sha256)
    return f"t={stamp},v1={mac.hexdigest()}"


class Messenger:
    """``time_factor`` 60 makes the ladder sixty times shorter."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._begun: set[int] = set()

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=10, trust_env=False, verify=trusted()) as http:
            while True:
                for event in self._desk.book.due_events():
                    await self._deliver(http, event)
                await asyncio.sleep(_LOOK_S)

    async def _deliver(self, http: httpx.AsyncClient, event: Thing) -> None:
        book, knobs, number = self._desk.book, self._desk.knobs, event["number"]
        if event["seq"] not in self._begun:
            self._begun.add(event["seq"])
            if (delay := knobs.of(number).notify_delay_s) and not event["tries"]:
                book.put_off(event["seq"], delay)
                return
        if knobs.take(number, "notify_drop"):
            book.sent(event["seq"], done="dropped", next_in_s=0)
            return
        copies = 1 + max(0, knobs.of(number).notify_duplicate)
        taken = [await self._post(http, event) for _ in range(copies)]
        tries = event["tries"]
        if all(taken) or tries >= len(LADDER_S):
            book.sent(event["seq"], done="taken" if all(taken) else "gave up", next_in_s=0)
        else:
            book.sent(event["seq"], done=None, next_in_s=LADDER_S[tries] / self._desk.time_factor)

    async def _post(self, http: httpx.AsyncClient, event: Thing) -> bool:
        knobs, number = self._desk.knobs, event["number"]
        body = json.loads(event["body"])
        thing = body["data"]["object"]
        for name in ("amount_total", "amount"):
            if name in thing:
                thing[name] += knobs.of(number).notify_amount_off
        if knobs.take(number, "notify_other_mode"):
            body["livemode"] = True
        raw = json.dumps(body).encode()
        stamp = int(self._desk.book.now()) - (600 if knobs.take(number, "notify_stale") else 0)
        secret = event["secret"]
        if knobs.take(number, "notify_bad_signature"):
            secret = "whsec_somebody_else"  # noqa: S105
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Stripe-Signature": signature(raw, secret, stamp),
        }
        try:
            answer = await http.post(event["url"], content=raw, headers=headers)
        except httpx.HTTPError:
            return False
        return answer.is_success
