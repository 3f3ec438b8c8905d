"""How long a command may still be obeyed, also on a machine whose clock lies."""

from __future__ import annotations

from collections.abc import Callable

from controller.timekeeper import Timekeeper
from store_link.clock import Clock
from store_link.messages import ClockQuality, Command

DRIFT_MS = 10_000  # what a clock that was right once, and counts on, may be behind
UNPROVEN_MS = 1000  # what signed messages prove of the time may be as old as they were on their way


class Freshness:
    """``left_ms`` of each command, in the order in which they arrive."""

    def __init__(
        self, wire: Clock, timekeeper: Timekeeper, business_ahead_ms: Callable[[], int]
    ) -> None:
        self._wire = wire
        self._time = timekeeper
        self._ahead_ms = business_ahead_ms
        self._cloud: tuple[int, float] | None = None  # the cloud's time at least, and when heard

    def left_ms(self, command: Command, arrived: float) -> float:
        """Milliseconds until ``command`` expires: by the clock, by what signed messages prove the
        time to be at least, and by its age since it arrived; whichever is least.

        Where the clock tells nothing, the proof may be late: a second is taken off. Where it is right, it
        is no proof against it that a message says otherwise: one process of the cloud whose clock had
        jumped would shut every door for all the others.
        """
        mono = self._wire.monotonic()
        now = self._time.read()
        own = now.ms - self._ahead_ms()
        trusted = now.quality is not ClockQuality.UNTRUSTED
        if trusted:
            aged = command.exp - command.iat - (mono - arrived) * 1000
            left = min(aged, command.exp - own)
            if now.quality is ClockQuality.SYNCED:
                self._cloud = None
                return left
            if command.iat > own + DRIFT_MS:
                return left
        if self._cloud is None or command.iat > self._cloud[0] + (mono - self._cloud[1]) * 1000:
            self._cloud = (command.iat, mono)
        proven = self._cloud[0] + (mono - self._cloud[1]) * 1000
        aged = command.exp - command.iat - (mono - arrived) * 1000
        left = min(command.exp - proven, aged)
        if trusted:
            return min(left, command.exp - own)
        return left - UNPROVEN_MS
