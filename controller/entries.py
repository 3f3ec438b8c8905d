"""Doors opened at a reader: the pulse, and what is written when the board has answered and when it is over.

The use is written before (readers.py); the stay begins, and is written, the moment the board says that the
door is open. What a crash leaves in between is settled at the next start (left_over.py).
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Literal

import structlog

from controller.journal.store import Journal
from controller.journal.tx import Tx
from controller.outcomes import settled, write_begun
from controller.pulsing import PULSE_DEADLINE_S, Pulsing
from controller.reconcile import Reconciler
from controller.state import StoreState
from controller.stay import Advance, StayRecord, unlocked
from controller.timekeeper import Now, Timekeeper
from firmware_bridge.contract import Bridge, Outcome, OutcomeState
from store_link.messages import AccessBody, Binding, Door, EventKind
from store_link.staff_keys import Kind

log = structlog.get_logger(__name__)

By = Literal["pass", "pin", "staff"]


@dataclass(frozen=True, slots=True)
class Entry:
    """Somebody is let in: the lock is ours, the use is written, ``told`` is what the journal has of it.
    Without a stay: it is staff, or the door is open to all.
    """

    key: str
    door: Door
    lock: Binding
    by: By
    told: dict[str, Any]
    stay: StayRecord | None = None
    staff: str | None = None
    how: Kind | None = None


def instant(now: Now) -> dict[str, Any]:
    """When an entry was let in, as the journal keeps it."""
    return {"line": now.line, "ms": now.ms, "quality": now.quality.value}


class Entries:
    """Opens doors for who was let in."""

    def __init__(
        self,
        state: StoreState,
        journal: Journal,
        bridge: Bridge,
        reconciler: Reconciler,
        timekeeper: Timekeeper,
        pulsing: Pulsing,
    ) -> None:
        self._state = state
        self._journal = journal
        self._bridge = bridge
        self._reconciler = reconciler
        self._time = timekeeper
        self._pulsing = pulsing

    async def open(self, entry: Entry) -> None:
        """Pulse the lock, once, and write what became of it."""
        door, lock = entry.door, entry.lock
        opened: list[asyncio.Task[None]] = []

        def answered(_: Outcome) -> None:
            opened.append(asyncio.create_task(self._begin(entry), name="entry"))

        outcome = await self._bridge.pulse(
            lock.board, lock.channel, door.pulse_ms, PULSE_DEADLINE_S, answered
        )
        self._pulsing.ended(door, outcome)
        state, _ = settled(outcome)
        log.info("entry", door=door.id, by=entry.by, outcome=state.value)
        if opened:
            await opened[0]
        await self._finish(entry, outcome)
        self._reconciler.wake()

    async def _begin(self, entry: Entry) -> None:
        """The door opened: whoever goes in has begun their stay, whatever becomes of this computer."""
        async with self._reconciler.lock:
            now = self._time.read()
            entered = self._entered(entry, now)
            told = {**entry.told, "opened": True}
            if entered is not None:
                told["stay"] = entered.stay.id

            async def write(tx: Tx) -> None:
                await tx.put(entry.key, told)
                await write_begun(tx, entered, self._time)

            await self._journal.keep(now, write)
            if entered is not None:
                self._state.stays[entered.stay.id] = entered.stay
        self._reconciler.wake()

    def _entered(self, entry: Entry, now: Now) -> Advance | None:
        if entry.stay is None:
            return None
        return unlocked(self._state.present(entry.stay) or entry.stay, now)

    async def _finish(self, entry: Entry, outcome: Outcome) -> None:
        """Write how it ended and what follows from it, all in one."""
        state, reason = settled(outcome)
        done = outcome.state is OutcomeState.DONE
        async with self._reconciler.lock:
            now = self._time.read()
            stay = entry.stay and (self._state.present(entry.stay) or entry.stay)
            entered = self._entered(entry, now) if done else None
            body = AccessBody(
                door=entry.door.id,
                by=entry.by,
                grant=None if stay is None else stay.grant,
                stay=None if stay is None else stay.id,
                outcome=state,
                reason=reason,
                staff=entry.staff,
                how=entry.how,
            )

            async def write(tx: Tx) -> None:
                await tx.drop(entry.key)
                await tx.event(EventKind.ACCESS, body)
                if stay is not None and not done:  # shown once more it is as good as before
                    await tx.return_grant(stay.grant)
                await write_begun(tx, entered, self._time)

            await self._journal.keep(now, write)
            if entered is not None:
                self._state.stays[entered.stay.id] = entered.stay
