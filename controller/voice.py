"""Says in a room how long there is left, by the speakers that are bound to it.

Lost words are no harm, old ones are: what could not be said within half a minute of its time is not
said later, and after a restart at most once again.
"""

from __future__ import annotations

import asyncio

import structlog

from controller.state import StoreState
from controller.timekeeper import Now, Timekeeper
from firmware_bridge.contract import Bridge, Capability
from store_link.messages import Binding, StayState

log = structlog.get_logger(__name__)

MINUTES_LEFT = (30, 15, 5)  # clips ends_in_30, ends_in_15, ends_in_5
LATE_S = 30.0
DEADLINE_S = 3.0


class Voice:
    """Call ``look`` at every tick."""

    def __init__(self, state: StoreState, bridge: Bridge, timekeeper: Timekeeper) -> None:
        self._state = state
        self._bridge = bridge
        self._time = timekeeper
        self._said: dict[tuple[str, int], float] = {}  # (stay, minutes) -> the end it was said of
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self) -> None:
        """Say what is due now; no I/O here."""
        now = self._time.read()
        self._said = {key: due for key, due in self._said.items() if key[0] in self._state.stays}
        for stay in self._state.stays.values():
            if stay.state is not StayState.IN_USE or stay.due is None:
                continue
            for minutes in MINUTES_LEFT:
                if not self._is_due(stay.id, minutes, stay.due, now):
                    continue
                self._said[(stay.id, minutes)] = stay.due
                for speaker in self._speakers(stay.room):
                    task = asyncio.create_task(self._say(speaker, f"ends_in_{minutes}"))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    def _is_due(self, stay: str, minutes: int, due: float, now: Now) -> bool:
        late = now.line - (due - minutes * 60)
        said_of = self._said.get((stay, minutes))
        # An end that moved is announced again; one that a clock corrected by seconds is not.
        return 0 <= late < LATE_S and (said_of is None or abs(said_of - due) > 2 * LATE_S)

    def _speakers(self, room: str) -> list[Binding]:
        return [
            binding
            for binding in self._state.of_room(room)
            if binding.capability == Capability.SPEAKER_SAY
        ]

    async def _say(self, speaker: Binding, clip: str) -> None:
        outcome = await self._bridge.say(speaker.board, clip, DEADLINE_S)
        log.info("said", binding=speaker.id, clip=clip, outcome=outcome.state.value)

    async def stop(self) -> None:
        """End what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
