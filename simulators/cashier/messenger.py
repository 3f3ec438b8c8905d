"""Sends notifications, again and again on a ladder like the big providers', until they are taken."""

from __future__ import annotations

import asyncio
import json
import secrets
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from simulators.cashier import signing
from simulators.cashier.book import Book, Row
from simulators.cashier.faults import Knobs
from simulators.trust import trusted

LADDER_S: Final = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)  # fmt: skip
_LOOK_S: Final = 0.02


class Messenger:
    """``time_factor`` 60 makes the ladder sixty times shorter."""

    def __init__(
        self, book: Book, key: Ed25519PrivateKey, knobs: Knobs, time_factor: float
    ) -> None:
        self._book = book
        self._key = key
        self._knobs = knobs
        self._factor = time_factor
        self._begun: set[str] = set()  # messages whose delay, copies and order were arranged

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=5, trust_env=False, verify=trusted()) as http:
            while True:
                self._book.finish_refunds()
                for message in self._due():
                    await self._deliver(http, message)
                await asyncio.sleep(_LOOK_S)

    def _due(self) -> list[Row]:
        found = []
        for message in self._book.due_messages():
            faults = self._knobs.of(message["number"])
            if message["id"] not in self._begun:
                self._begun.add(message["id"])
                if faults.notify_delay_s and not message["tries"]:
                    self._book.put_off(message["seq"], faults.notify_delay_s)
                    continue
            found.append(message)
        if any(self._knobs.of(message["number"]).notify_reorder for message in found):
            found.reverse()
        return found

    async def _deliver(self, http: httpx.AsyncClient, message: Row) -> None:
        number = message["number"]
        if self._knobs.take(number, "notify_drop"):
            self._book.sent(message["seq"], done="dropped", next_in_s=0)
            return
        faults = self._knobs.of(number)
        body = json.loads(message["body"])
        thing = body[body["kind"]]
        thing["amount_fen"] += faults.notify_amount_off_fen
        told = [body] * (1 + max(0, faults.notify_duplicate))
        told += [
            {**body, "id": f"N{secrets.token_hex(12)}"} for _ in range(faults.notify_again_as_new)
        ]
        taken = [await self._post(http, message, one) for one in told]
        tries = message["tries"]
        if all(taken) or tries >= len(LADDER_S):
            self._book.sent(message["seq"], done="taken" if all(taken) else "gave up", next_in_s=0)
        else:
            self._book.sent(message["seq"], done=None, next_in_s=LADDER_S[tries] / self._factor)

    async def _post(self, http: httpx.AsyncClient, message: Row, body: dict[str, Any]) -> bool:
        raw = json.dumps(body, ensure_ascii=False).encode()
        what = f"NOTIFY {urlsplit(message['url']).path}"
        number = message["number"]
        age = 600 if self._knobs.take(number, "notify_stale") else 0
        headers = signing.headers(self._key, what, raw, self._book.now() - age)
        if self._knobs.take(number, "notify_bad_signature"):
            headers = signing.headers(Ed25519PrivateKey.generate(), what, raw, self._book.now())
        try:
            answer = await http.post(
                message["url"],
                content=raw,
                headers={**headers, "Content-Type": "application/json"},
            )
            return answer.is_success and answer.json().get("code") == "SUCCESS"
        except (httpx.HTTPError, ValueError):
            return False
