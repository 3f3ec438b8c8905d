"""Knows what time it is in the store, and how far that may be believed.

Three things are kept apart. The *wall* is the system's clock, which NTP, a person or a dead battery
may step. The *line* is the store's own count of seconds: it grows with the monotonic clock, goes on
across restarts of the program (same boot: exactly; other boot: by the wall, where that is credible)
and never goes back. Durations and deadlines of running stays live on the line. *Now* is business
time as far as known: the wall while it is credible, else the line counted on from the last credible
instant.

Where the wall cannot say how long the machine was off, the line continues as if no time had passed
(``unsure``): stays run longer, never shorter. When the true time becomes known the line jumps.
"""

from __future__ import annotations

import contextlib
import ctypes
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ulid import ULID

from store_link.clock import Clock, ms
from store_link.messages import ClockQuality

STEP_S = 5.0
MAX_OFF_S = 86_400.0  # an unsynchronised wall that claims a longer power cut is not believed
SYNC_EVERY_S = 10.0
EARLIEST_MS = ms(
    datetime(2026, 1, 1, tzinfo=UTC)
)  # older than the program: a clock without battery


@dataclass(frozen=True, slots=True)
class Now:
    """One reading: ``line`` seconds, ``ms`` business milliseconds, and how good ``ms`` is."""

    line: float
    ms: int
    quality: ClockQuality
    unsure_from: float | None = None  # line from which elapsed time is only a lower bound


@dataclass(frozen=True, slots=True)
class Mark:
    """What survives a restart; saved every minute and with every change of a stay."""

    boot: str
    mono: float
    line: float
    ms: int
    unsure_from: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values for the journal."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Jump:
    """The line moved forward by ``by_s``, to ``at``, because more time had passed since ``after`` than known."""

    after: float
    by_s: float
    at: float

    def moves(self, noted: float) -> bool:
        """Whether an instant that was noted on the line lies after the gap and before the jump."""
        return self.after <= noted < self.at


class Timekeeper:
    """Reads the business clock and judges it. Pure apart from the clock and ``synced``."""

    def __init__(
        self, clock: Clock, saved: Mark | None, synced: Callable[[], bool], boot: str
    ) -> None:
        self._clock = clock
        self._ntp = synced
        self._boot = boot
        self._sync_read: float | None = None
        self._sync = False
        self._steps: list[int] = []
        self._jumps: list[Jump] = []
        self._apart_ms = 0  # wall minus now, while the wall is not believed
        self._unsure_from: float | None = None
        mono, wall = self._sample()
        self._base = 0.0  # line - monotonic
        self._offset_ms = wall - round(mono * 1000)  # now - line
        self._doubt = wall < EARLIEST_MS
        if saved is not None:
            self._continue(saved, mono, wall)

    def _continue(self, saved: Mark, mono: float, wall: int) -> None:
        self._doubt = False
        off_s = (wall - saved.ms) / 1000
        if saved.boot == self._boot and mono >= saved.mono:
            line = saved.line + mono - saved.mono
            at = saved.ms + round((mono - saved.mono) * 1000)
            self._unsure_from = saved.unsure_from
        elif self._synced(mono) or 0 <= off_s <= MAX_OFF_S:
            line, at = saved.line + max(0.0, off_s), wall
        else:
            line, at = saved.line, saved.ms
            self._unsure_from = line
        self._base = line - mono
        self._offset_ms = at - round(line * 1000)

    def read(self) -> Now:
        """The present instant; notes steps and jumps on the way."""
        mono, wall = self._sample()
        line = self._base + mono
        apart = wall - (round(line * 1000) + self._offset_ms)
        fresh_step = abs(apart - self._apart_ms) > STEP_S * 1000
        synced = self._synced(mono, again=fresh_step)
        if fresh_step:
            self._steps.append(apart - self._apart_ms)
            self._apart_ms = apart
        if synced:
            self._doubt = False
            if self._unsure_from is not None:
                line += self._jump(max(0.0, apart / 1000), line)
                self._unsure_from = None
            self._offset_ms = wall - round(line * 1000)
            self._apart_ms = 0
        elif self._unsure_from is None and abs(apart) <= STEP_S * 1000:
            self._offset_ms += apart
            self._apart_ms = 0
        trusted = self._apart_ms == 0 and self._unsure_from is None and not self._doubt
        quality = ClockQuality.UNTRUSTED
        if trusted:
            quality = ClockQuality.SYNCED if synced else ClockQuality.HOLDOVER
        return Now(line, round(line * 1000) + self._offset_ms, quality, self._unsure_from)

    def hint(self, at_ms: int) -> None:
        """A fresh, signed message of the cloud says that it is at least ``at_ms`` (business time).

        Believed only forward, and only where the kernel does not say that its clock is right: the
        clock of a machine without a battery stands behind after a power cut, never ahead.
        """
        now = self.read()
        by_ms = at_ms - now.ms
        floor = 0 if now.quality is ClockQuality.UNTRUSTED else STEP_S * 1000
        if now.quality is ClockQuality.SYNCED or by_ms <= floor:
            return
        if self._unsure_from is not None:
            self._jump(by_ms / 1000, now.line)
        else:
            self._offset_ms += by_ms
        self._apart_ms -= by_ms

    def _jump(self, by_s: float, line: float) -> float:
        assert self._unsure_from is not None
        if by_s > 0:
            self._jumps.append(Jump(self._unsure_from, by_s, line + by_s))
            self._base += by_s
            self._unsure_from += by_s
        return by_s

    def take_steps(self) -> list[int]:
        """Steps of the wall (ms) noted since the last call."""
        steps, self._steps = self._steps, []
        return steps

    def give_back_steps(self, steps: list[int]) -> None:
        """Steps that were taken and found no place in the journal."""
        self._steps = steps + self._steps

    def take_jumps(self) -> list[Jump]:
        """Jumps of the line since the last call: what stays hold after ``after`` must move along."""
        jumps, self._jumps = self._jumps, []
        return jumps

    def mark(self) -> Mark:
        """What to save, so that the line goes on after a restart."""
        now = self.read()
        return Mark(self._boot, now.line - self._base, now.line, now.ms, now.unsure_from)

    def _synced(self, mono: float, *, again: bool = False) -> bool:
        if again or self._sync_read is None or mono - self._sync_read >= SYNC_EVERY_S:
            self._sync, self._sync_read = self._ntp(), mono
        return self._sync

    def _sample(self) -> tuple[float, int]:
        """Monotonic seconds and wall ms of one instant (a demonstration may jump in between)."""
        while True:
            before = self._clock.monotonic()
            wall = ms(self._clock.now())
            if self._clock.monotonic() - before < 0.5:
                return before, wall


def kernel_synced() -> bool:
    """Whether the kernel says that its clock is disciplined (Linux ``adjtimex(2)``, state not
    TIME_ERROR and STA_UNSYNC clear); False where that cannot be asked.
    """
    if not sys.platform.startswith("linux"):
        return False
    buffer = ctypes.create_string_buffer(256)  # struct timex; modes = 0 only reads
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        state = int(libc.adjtimex(buffer))
    except AttributeError:
        return False
    at = 5 * ctypes.sizeof(ctypes.c_long)  # behind modes (padded to a long) and four longs
    status = int.from_bytes(buffer.raw[at : at + 4], sys.byteorder)
    return state not in (-1, 5) and not status & 0x40


def boot_id() -> str:
    """The kernel's id of this boot, which says whether an old monotonic value still counts."""
    with contextlib.suppress(OSError):
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return str(ULID())
