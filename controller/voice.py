"""Says in a room how long there is left, by the speakers that are bound to it.

Lost words are no harm, old ones are: what could not be said within half a minute of its time is not
said later, and after a restart at most once again. A speaker says one thing after another.
"""

from __future__ import annotations

import asyncio

import structlog

from controller import schedule
from controller.state import StoreState
from controller.stay import StayRecord
from controller.timekeeper import Now, Timekeeper
from firmware_bridge.contract import Bridge, Capability
from store_link.messages import Binding, ClockQuality, StayState
from store_link.rules import VoiceRules

log = structlog.get_logger(__name__)

WELCOME, ENDED = "welcome", "time_is_over"  # clips, beside ends_in_30 and so on
LATE_S = 30.0
DEADLINE_S = 3.0
DEFAULT = VoiceRules()


class Voice:
    """Call ``look`` at every tick."""

    def __init__(self, state: StoreState, bridge: Bridge, timekeeper: Timekeeper) -> None:
        self._state = state
        self._bridge = bridge
        self._time = timekeeper
        self._said: dict[tuple[str, str], float] = {}  # (stay, clip) -> the instant it was said of
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def look(self) -> None:
        """Say what is due now; no I/O here."""
        now = self._time.read()
        self._said = {key: due for key, due in self._said.items() if key[0] in self._state.stays}
        rules = DEFAULT if self._state.desired is None else self._state.desired.voice
        for stay in self._state.stays.values():
            for clip, due in _due(stay, rules):
                if not self._is_due(stay.id, clip, due, now):
                    continue
                self._said[(stay.id, clip)] = due
                for speaker in self._speakers(stay.room, rules, now):
                    task = asyncio.create_task(self._say(speaker, clip))
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)

    def announce(self, rooms: tuple[str, ...], clip: str) -> None:
        """Say something of the moment by the speakers of these rooms; who has no such clip is silent."""
        found = {one.id: one for room in rooms for one in self._state.of_room(room)}
        for speaker in found.values():
            if speaker.capability == Capability.SPEAKER_SAY:
                task = asyncio.create_task(self._say(speaker, clip))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)

    def _is_due(self, stay: str, clip: str, due: float, now: Now) -> bool:
        late = now.line - due
        said_of = self._said.get((stay, clip))
        # An end that moved is announced again; one that a clock corrected by seconds is not.
        return 0 <= late < LATE_S and (said_of is None or abs(said_of - due) > 2 * LATE_S)

    def _speakers(self, room: str, rules: VoiceRules, now: Now) -> list[Binding]:
        quiet = self._quiet(rules, now)
        return [
            binding
            for binding in self._state.of_room(room)
            if binding.capability == Capability.SPEAKER_SAY
            and not (quiet and len(binding.rooms) > 1)
        ]

    def _quiet(self, rules: VoiceRules, now: Now) -> bool:
        """Whether it is night by the rules. Who does not know the time of day disturbs nobody."""
        if rules.quiet_from is None or rules.quiet_until is None or self._state.desired is None:
            return False
        if now.quality is ClockQuality.UNTRUSTED:
            return True
        clock = schedule.local_clock(self._state.desired, now)
        return schedule.within(clock, rules.quiet_from, rules.quiet_until)

    async def _say(self, speaker: Binding, clip: str) -> None:
        async with self._locks.setdefault(speaker.board, asyncio.Lock()):
            outcome = await self._bridge.say(speaker.board, clip, DEADLINE_S)
        log.info("said", binding=speaker.id, clip=clip, outcome=outcome.state.value)

    async def stop(self) -> None:
        """End what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def _due(stay: StayRecord, rules: VoiceRules) -> list[tuple[str, float]]:
    """Clips of a stay and the line at which each is due."""
    if stay.state is StayState.IN_USE and stay.due is not None:
        due = [(f"ends_in_{left}", stay.due - left * 60) for left in rules.minutes_left]
        if rules.welcome and stay.entered is not None:
            due.append((WELCOME, stay.entered))
        return due
    if stay.state is StayState.GRACE and rules.ended and stay.use_end is not None:
        return [(ENDED, stay.use_end)]
    return []
