"""Sends notifications in each service's own form, on its own ladder of retries, in business time."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import httpx

from simulators.counter.book import Book, Row
from simulators.counter.faults import Knobs
from simulators.trust import trusted

_LOOK_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Letter:
    """One delivery: headers and exact bytes."""

    headers: dict[str, str]
    raw: bytes


@dataclass(frozen=True, slots=True)
class Voice:
    """How a service speaks: ``write`` makes a delivery (and spends its fault knobs), ``taken`` reads
    the answer, ``ladder_s`` are the pauses after each failure.
    """

    write: Callable[[Row, str, Row], Letter]  # message, id of this telling, what it is about
    taken: Callable[[httpx.Response], bool]
    ladder_s: tuple[int, ...]


class Messenger:
    """Runs beside the API until cancelled; finishes refunds whose time has come as well."""

    def __init__(self, book: Book, knobs: Knobs, voice: Voice) -> None:
        self._book = book
        self._knobs = knobs
        self._voice = voice
        self._begun: set[str] = set()

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=5, trust_env=False, verify=trusted()) as http:
            while True:
                self.finish_refunds()
                for message in self._due():
                    await self._deliver(http, message)
                await asyncio.sleep(_LOOK_S)

    def finish_refunds(self) -> None:
        """processing → how the knobs say that it ends."""
        for refund in self._book.due_refunds():
            self._book.end_refund(refund["number"], self._knobs.of(refund["number"]).refund_end)

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
        ids = [message["id"]] * (1 + max(0, faults.notify_duplicate))
        ids += [secrets.token_hex(16) for _ in range(faults.notify_again_as_new)]
        taken = [await self._post(http, message, one) for one in ids]
        tries, ladder = message["tries"], self._voice.ladder_s
        if all(taken) or tries >= len(ladder):
            self._book.sent(message["seq"], done="taken" if all(taken) else "gave up", next_in_s=0)
        else:
            self._book.sent(message["seq"], done=None, next_in_s=ladder[tries])

    async def _post(self, http: httpx.AsyncClient, message: Row, told_id: str) -> bool:
        letter = self._voice.write(message, told_id, json.loads(message["body"]))
        try:
            answer = await http.post(message["url"], content=letter.raw, headers=letter.headers)
        except httpx.HTTPError:
            return False
        return self._voice.taken(answer)
