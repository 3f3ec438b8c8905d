"""Smoke or fire: while a hazard input says so, every lock of the store is pulsed again and again.

This is help for those outside who come in; the way out is hardware and needs none of this.
"""

from __future__ import annotations

import asyncio
from functools import partial

import structlog

from controller.journal.store import Journal
from controller.sense import Sense
from controller.state import StoreState
from controller.timekeeper import Timekeeper
from firmware_bridge.contract import Bridge, Capability, Outcome, OutcomeState
from store_link.messages import AccessBody, AckState, Door, EventKind, Reason

log = structlog.get_logger(__name__)

AGAIN_AFTER_S = 1.0  # between the end of one pulse and the next
DEADLINE_S = 2.0


class HazardWatch:
    """Call ``look`` at every tick. A sensor that cannot be read raises no alarm by itself."""

    def __init__(
        self,
        state: StoreState,
        journal: Journal,
        bridge: Bridge,
        timekeeper: Timekeeper,
    ) -> None:
        self._state = state
        self._journal = journal
        self._bridge = bridge
        self._time = timekeeper
        self._sense = Sense(state, bridge)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._told: dict[str, AckState] = {}  # by door, in this alarm

    def look(self) -> None:
        """Unlock everything if there is an alarm; no I/O here."""
        if not self.alarm():
            self._told.clear()
            return
        for door in self._state.doors.values():
            if door.id not in self._tasks:
                task = asyncio.create_task(self._open(door), name=f"hazard {door.id}")
                self._tasks[door.id] = task
                task.add_done_callback(partial(self._done, door.id))

    def alarm(self) -> bool:
        """Whether any hazard input says so, believably."""
        for binding in self._state.bindings.values():
            if binding.capability == Capability.HAZARD:
                reading = self._sense.reading(binding)
                if reading.quality == "ok" and reading.value is True:
                    return True
        return False

    def _done(self, door: str, task: asyncio.Task[None]) -> None:
        self._tasks.pop(door, None)

    async def stop(self) -> None:
        """End what is under way."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _open(self, door: Door) -> None:
        lock = self._state.lock_of(door)
        if lock is None:
            return
        outcome = await self._bridge.pulse(
            lock.board, lock.channel, door.pulse_ms, DEADLINE_S, release=True
        )
        state = _settled(outcome)
        if self._told.get(door.id) is not state:
            self._told[door.id] = state
            log.warning("hazard_unlock", door=door.id, outcome=state.value)
            reason = None if state is AckState.DONE else Reason.DEVICE_ERROR
            body = AccessBody(door=door.id, by="hazard", outcome=state, reason=reason)
            await self._journal.keep(self._time.read(), lambda tx: tx.event(EventKind.ACCESS, body))
        await asyncio.sleep(door.pulse_ms / 1000 + AGAIN_AFTER_S)


def _settled(outcome: Outcome) -> AckState:
    if outcome.state is OutcomeState.DONE:
        return AckState.DONE
    return AckState.UNKNOWN if outcome.state is OutcomeState.UNKNOWN else AckState.FAILED
