"""The two clocks that every program of Kaimen reads.

The *wire clock* is real time: expiry of commands, signatures, time-outs. The *business clock* is
real time plus an offset: room time, stays, holds. Only a demonstration or a test moves the offset,
through one small file that all processes of a machine read, so that cloud, store and pages jump
together. A jump stands for time that passed: the business clock's ``monotonic`` jumps with it, which
tells it from a step of the system's clock, where ``now`` moves and ``monotonic`` does not.
The business clock never runs at another speed and never goes back.
"""

from __future__ import annotations

import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol


class Clock(Protocol):
    """What code that needs the time takes as an argument."""

    def now(self) -> datetime:
        """The present instant, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that only grow, unmoved by steps of the system's clock."""
        ...


class WireClock:
    """Real time."""

    def now(self) -> datetime:
        """The system's real time, aware, in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds since boot, counting suspended time where the system can tell (Linux)."""
        return _since_boot()


class BusinessClock:
    """Real time plus the offset in ``offset_file`` (seconds, JSON ``{"offset_s": 0}``).

    Without a file the offset is nought: a production store has none.
    """

    def __init__(self, offset_file: Path | None = None, wire: Clock | None = None) -> None:
        self._file = offset_file
        self._wire = wire or WireClock()
        self._seen: tuple[int, int] | None = None
        self._offset_s = 0.0

    @property
    def offset_s(self) -> float:
        """Seconds by which business time is ahead of real time; read again when the file changed."""
        if self._file is None:
            return 0.0
        try:
            stat = self._file.stat()
        except FileNotFoundError:
            return self._offset_s
        mark = (stat.st_mtime_ns, stat.st_ino)
        if mark != self._seen:
            read = float(json.loads(self._file.read_text())["offset_s"])
            self._offset_s = max(self._offset_s, read)
            self._seen = mark
        return self._offset_s

    def now(self) -> datetime:
        """Business time, aware, in UTC."""
        return self._wire.now() + timedelta(seconds=self.offset_s)

    def monotonic(self) -> float:
        """Monotonic seconds plus the offset: a jump of the demonstration counts as time passed."""
        return self._wire.monotonic() + self.offset_s

    def advance(self, seconds: float) -> float:
        """Move business time forward by ``seconds`` for every process reading the file.

        Returns the new offset. Raises ValueError for a negative number, and RuntimeError where the
        clock has no file (production): room time is not movable there.
        """
        if seconds < 0:
            raise ValueError("business time never goes back: seconds must be >= 0")
        if self._file is None:
            raise RuntimeError("this clock has no offset file, so it cannot be advanced")
        offset = self.offset_s + seconds
        fresh = self._file.with_name(f"{self._file.name}.{os.getpid()}.new")
        fresh.write_text(json.dumps({"offset_s": offset}))
        fresh.replace(self._file)
        return self.offset_s


class ManualClock:
    """A clock that stands still until a test moves it: ``pass_time`` or ``step``."""

    def __init__(self, start: datetime) -> None:
        if start.tzinfo is None:
            raise ValueError("start must be aware")
        self._now = start.astimezone(UTC)
        self._mono = 1000.0

    def now(self) -> datetime:
        """The instant the test set."""
        return self._now

    def monotonic(self) -> float:
        """Seconds passed by ``pass_time``; a ``step`` does not move it."""
        return self._mono

    def pass_time(self, seconds: float) -> None:
        """Let ``seconds`` pass: wall and monotonic time move together."""
        self._now += timedelta(seconds=seconds)
        self._mono += seconds

    def step(self, seconds: float) -> None:
        """Step the wall clock alone, as NTP or a dead battery does; ``seconds`` may be negative."""
        self._now += timedelta(seconds=seconds)


def ms(instant: datetime) -> int:
    """Milliseconds since the Unix epoch (UTC): the wire's only form of an instant."""
    if instant.tzinfo is None:
        raise ValueError("a naive datetime has no instant")
    return round(instant.timestamp() * 1000)


def from_ms(value: int) -> datetime:
    """The aware UTC instant of ``value`` milliseconds since the Unix epoch."""
    return datetime.fromtimestamp(value / 1000, UTC)


def _since_boot() -> float:
    boottime = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(boottime) if boottime is not None else time.monotonic()
