"""Which locks are being pulsed now: whoever asks, one lock has one pulse at a time."""

from __future__ import annotations

from firmware_bridge.contract import Outcome, OutcomeState
from store_link.clock import Clock
from store_link.messages import Door

PULSE_DEADLINE_S = 5.0


class Pulsing:
    """Shared by all who open doors. ``take`` before a pulse, ``ended`` or ``give_back`` after it."""

    def __init__(self, wire: Clock) -> None:
        self._wire = wire
        self._until: dict[str, float] = {}  # lock binding -> monotonic end of its pulse

    def take(self, door: Door) -> bool:
        """Whether the lock was free; from then on nobody else pulses it."""
        now = self._wire.monotonic()
        if self._until.get(door.lock, 0.0) > now:
            return False
        self._until[door.lock] = now + PULSE_DEADLINE_S + door.pulse_ms / 1000
        return True

    def ended(self, door: Door, outcome: Outcome) -> None:
        """The lock is free again when its pulse is over, at once if none was sent."""
        if outcome.state in (OutcomeState.DONE, OutcomeState.UNKNOWN):
            self._until[door.lock] = self._wire.monotonic() + door.pulse_ms / 1000
        else:
            self.give_back(door)

    def give_back(self, door: Door) -> None:
        """No pulse was sent."""
        self._until.pop(door.lock, None)
