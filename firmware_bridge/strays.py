"""Frames that nobody is waiting for: late replies, or a second board that answers to the same number.

Two boards with one unit number both obey, so an unlock would open two doors. Where their answers come
one after the other, the second is a whole frame of a unit that has answered already. A board that was
asked in vain a moment ago may simply be late: its frames say nothing.
"""

from __future__ import annotations

import time
from collections import deque

from firmware_bridge.protocols.modbus_rtu import Request, whole_frames

_LATE_S = 5.0  # after a miss, a frame of that unit may be the late reply
_WITHIN_S = 15.0
_SURE = 3  # extra answers within that time


class Strays:
    """What one line's owner thread hears beside its answers. ``doubled`` may be read by any thread."""

    def __init__(self) -> None:
        self._missed: dict[int, float] = {}
        self._answered: dict[int, float] = {}
        self._extra: dict[int, deque[float]] = {}

    def miss(self, unit: int) -> None:
        """``unit`` did not answer in time."""
        self._missed[unit] = time.monotonic()

    def answered(self, request: Request, received: bytes) -> None:
        """``request`` was answered; ``received`` is all that came meanwhile, the answer included."""
        self._answered[request.unit] = time.monotonic()
        ours = False
        for frame in whole_frames(received):
            if frame[0] == request.unit and not ours:
                ours = True
            else:
                self._count(frame[0])

    def take(self, drained: bytes) -> None:
        """What came while nobody had asked."""
        if drained:
            for frame in whole_frames(drained):
                self._count(frame[0])

    def _count(self, unit: int) -> None:
        now = time.monotonic()
        late = now - self._missed.get(unit, -_LATE_S) < _LATE_S
        if late or unit not in self._answered:
            return
        self._extra.setdefault(unit, deque(maxlen=_SURE)).append(now)

    def doubled(self, unit: int) -> bool:
        """Whether more than one board answers to this number."""
        extra = self._extra.get(unit)
        return extra is not None and len(extra) == _SURE and time.monotonic() - extra[0] < _WITHIN_S

    def others_answer(self, unit: int) -> bool:
        """Whether some other board on the line answered lately: then the line as such is good."""
        now = time.monotonic()
        return any(
            now - at < _WITHIN_S for other, at in self._answered.copy().items() if other != unit
        )
