"""Wake-ups between processes on PostgreSQL: what one announces the others hear within milliseconds.

One connection per process listens, and tells what this process announced after its commits. Telling
apart from the transactions that caused it is deliberate: a NOTIFY inside a transaction makes commits
of all processes wait for one another (PostgreSQL holds a lock over the whole cluster until such a
commit is on disk), and busy stores would pay for the doors of others. What is lost between a commit
and its wake-up (a process that dies there, a connection that breaks) is found by looking: every
listener does so each second or more often anyway. SQLite has one process and needs none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import structlog
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id

log = structlog.get_logger(__name__)

CHANNEL = "kaimen_wakeups"
GATHER_S = 0.005  # after one round of telling, the next gathers for so long
PROBE_EVERY_S = 15.0  # a connection that silently died is noticed so late
ANSWER_S = 5.0
AGAIN_S = (0.2, 5.0)  # first and longest wait before connecting anew
_PAYLOAD = 7_000  # bytes; PostgreSQL takes 8,000


class Wakeups:
    """The listening connection of one process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._me = new_id()
        self._pending: dict[tuple[str, str], None] = {}  # a set that keeps order
        self._some = asyncio.Event()
        self.up = asyncio.Event()  # connected and listening

    async def run(self, stop: asyncio.Event) -> None:
        """Listen and tell until ``stop``; connects anew whenever the connection is gone."""
        self._db.tell_others = self._tell
        engine = create_async_engine(self._db.url, poolclass=NullPool)
        wait_s = AGAIN_S[0]
        ending = asyncio.create_task(stop.wait())
        try:
            while not stop.is_set():
                try:
                    async with engine.connect() as connection:
                        raw = (await connection.get_raw_connection()).driver_connection
                        wait_s = AGAIN_S[0]
                        await self._serve(raw, ending)
                except Exception as error:  # noqa: BLE001  whatever it is: look, and connect anew
                    log.warning("wakeups.connection_lost", why=f"{type(error).__name__}: {error}")
                self.up.clear()
                await asyncio.wait({ending}, timeout=wait_s)
                wait_s = min(wait_s * 2, AGAIN_S[1])
        finally:
            ending.cancel()
            self._db.tell_others = None
            await engine.dispose()

    async def _serve(self, raw: Any, ending: asyncio.Task[bool]) -> None:
        """One connection, until it breaks (raises) or the end."""
        gone = asyncio.Event()
        raw.add_termination_listener(lambda _connection: self._gone(gone))
        await raw.add_listener(CHANNEL, self._heard)
        self._db.wake_all()  # what was told while nobody listened
        self.up.set()
        while not ending.done():
            some = asyncio.create_task(self._some.wait())
            try:
                await asyncio.wait(
                    {some, ending}, timeout=PROBE_EVERY_S, return_when=asyncio.FIRST_COMPLETED
                )
            finally:
                some.cancel()
            if gone.is_set():
                raise ConnectionError("the server closed it")
            self._some.clear()
            async with asyncio.timeout(ANSWER_S):
                for payload in self._payloads() or [""]:
                    # An empty payload asks whether the server is there, and is heard by nobody.
                    await raw.execute(
                        "SELECT pg_notify($1, $2)" if payload else "SELECT $1 || $2",
                        CHANNEL,
                        payload,
                    )
            await asyncio.sleep(GATHER_S)
        with contextlib.suppress(Exception):
            await raw.remove_listener(CHANNEL, self._heard)

    def _gone(self, gone: asyncio.Event) -> None:
        gone.set()
        self._some.set()

    def _tell(self, topic: str, key: str) -> None:
        self._pending[(topic, key)] = None
        self._some.set()

    def _payloads(self) -> list[str]:
        """What is pending, in as few messages as fit: a line with our name, then ``topic key``."""
        lines = [f"{topic} {key}" for topic, key in self._pending]
        self._pending.clear()
        payloads: list[str] = []
        for line in lines:
            if payloads and len(payloads[-1].encode()) + len(line.encode()) < _PAYLOAD:
                payloads[-1] += f"\n{line}"
            else:
                payloads.append(f"{self._me}\n{line}")
        return payloads

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        sender, *lines = str(payload).split("\n")
        if sender == self._me:
            return
        for line in lines:
            topic, _, key = line.partition(" ")
            self._db.wake(topic, key)
