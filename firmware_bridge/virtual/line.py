"""A serial line with virtual boards on it: the far end of a real pseudo terminal.

The program under test opens ``path`` (or ``link``) as it would open ``/dev/serial/by-id/…``. The
terminal's near end is kept open here as well, so a master that closes and comes back finds the line
as it was.

With ``baud`` the line takes the time that bytes take on a real one: a reply is there when request, the
board's turning round and the reply itself would have passed. Boards that answer at the same moment
collide, as on a real line.
"""

from __future__ import annotations

import heapq
import itertools
import os
import select
import termios
import threading
import time
import tty
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from firmware_bridge.protocols import modbus_rtu as rtu
from firmware_bridge.virtual.board import VirtualBoard

_STALE_BYTES_S = 0.05  # a half request older than this was cut short: begin anew
BITS_PER_CHARACTER = 10  # 8N1
SILENCE_CHARACTERS = (
    3.5  # between frames, and before a board answers: Modbus over Serial Line, 2.5.1.1
)
_SAME_MOMENT_S = 0.002

T = TypeVar("T")


class VirtualLine:
    """Boards on one pseudo terminal, served by one thread. A context manager.

    ``link`` is a symbolic link to be kept pointing at the terminal while the line exists. ``crowded``
    counts requests that came sooner after a reply than the standard allows, ``rests`` are the seconds
    between a reply and the next request (both with ``baud`` only).
    """

    def __init__(
        self, boards: Iterable[VirtualBoard], link: Path | None = None, baud: int | None = None
    ) -> None:
        self.boards = {board.id: board for board in boards}
        self.link = link
        self.baud = baud
        self.crowded = 0
        self.rests: deque[float] = deque(maxlen=100_000)
        self._free_at = self._sent_at = 0.0
        self.path = ""
        self._lock = threading.RLock()
        self._far = self._near = -1
        self._wake_read = self._wake_write = -1
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._replies: list[tuple[float, int, bytes]] = []
        self._order = itertools.count()

    # -- life -------------------------------------------------------------------------------------

    def open(self) -> VirtualLine:
        """Create the terminal and begin to serve."""
        self._far, self._near = os.openpty()
        tty.setraw(self._near, termios.TCSANOW)
        os.set_blocking(self._far, False)
        self.path = os.ttyname(self._near)
        if self.link is not None:
            fresh = self.link.with_name(f".{self.link.name}.{os.getpid()}")
            fresh.unlink(missing_ok=True)
            fresh.symlink_to(self.path)
            fresh.replace(self.link)
        self._stopping = False
        self._wake_read, self._wake_write = os.pipe()
        self._thread = threading.Thread(target=self._run, name="virtual line", daemon=True)
        self._thread.start()
        return self

    def close(self) -> None:
        """Take the line away, as if the adapter were pulled out. ``open`` plugs it in again."""
        if self._thread is None:
            return
        self._stopping = True
        os.write(self._wake_write, b"x")
        self._thread.join()
        self._thread = None
        if self._link_is_ours():
            assert self.link is not None
            self.link.unlink()
        for fd in (self._near, self._far, self._wake_read, self._wake_write):
            os.close(fd)
        self._replies.clear()

    def _link_is_ours(self) -> bool:
        link = self.link
        return link is not None and link.is_symlink() and str(link.readlink()) == self.path

    def __enter__(self) -> VirtualLine:
        return self.open()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- looking and meddling ---------------------------------------------------------------------

    def locked(self, act: Callable[[VirtualBoard], T], board_id: str) -> T:
        """Call ``act(board)`` while the line stands still. Raises KeyError for an unknown board."""
        with self._lock:
            board = self.boards[board_id]
            board.tick()
            result = act(board)
        if not self._stopping and self._thread is not None:
            os.write(self._wake_write, b"t")  # a timer may be due sooner now
        return result

    # -- serving ----------------------------------------------------------------------------------

    def _run(self) -> None:
        buffer, last_byte_at = b"", 0.0
        while not self._stopping:
            watched = [*self._sources(), self._wake_read]
            ready = select.select(watched, [], [], self._patience())[0]
            if self._wake_read in ready:
                os.read(self._wake_read, 64)
                ready.remove(self._wake_read)
            if ready:
                if time.monotonic() - last_byte_at > _STALE_BYTES_S:
                    buffer = b""
                buffer += self._receive(ready)
                last_byte_at = time.monotonic()
                buffer = self._take(buffer)
            self._due()

    def _patience(self) -> float | None:
        with self._lock:
            timers = [t for board in self.boards.values() if (t := board.next_timer()) is not None]
        if self._replies:
            timers.append(self._replies[0][0])
        return max(0.0, min(timers) - time.monotonic()) if timers else None

    def _sources(self) -> list[int]:
        return [self._far]

    def _receive(self, ready: list[int]) -> bytes:
        try:
            return os.read(self._far, 1024)
        except (BlockingIOError, OSError):
            return b""

    def _send(self, data: bytes) -> None:
        with suppress(BlockingIOError):  # nobody reads: a real line loses the bytes as well
            os.write(self._far, data)

    def _take(self, buffer: bytes) -> bytes:
        """Serve each whole request at the head of ``buffer``; what is left over."""
        while len(buffer) >= 8:
            length = request_length(buffer)
            if length is None or (len(buffer) >= length and not rtu.has_good_crc(buffer[:length])):
                buffer = buffer[1:]
            elif len(buffer) < length:
                break
            else:
                self._serve(buffer[:length])
                buffer = buffer[length:]
        return buffer

    def _serve(self, frame: bytes) -> None:
        """Let every board hear ``frame``."""
        now = time.monotonic()
        if self.baud is not None:
            silence_s = SILENCE_CHARACTERS * BITS_PER_CHARACTER / self.baud
            self.crowded += now < self._free_at + silence_s
            self.rests.append(now - self._sent_at)
            now += len(frame) * BITS_PER_CHARACTER / self.baud + silence_s
        for due, reply in _collided(self._replies_to(frame, now)):
            if self.baud is not None:
                due += len(reply) * BITS_PER_CHARACTER / self.baud
                self._free_at = due
            heapq.heappush(self._replies, (due, next(self._order), self._wrapped(reply)))

    def _replies_to(self, frame: bytes, now: float) -> list[tuple[float, bytes]]:
        with self._lock:
            said = [(board.fault.slow_ms, board.answer(frame)) for board in self.boards.values()]
        return [(now + slow_ms / 1000, reply) for slow_ms, reply in said if reply is not None]

    def _wrapped(self, reply: bytes) -> bytes:
        return reply

    def _due(self) -> None:
        with self._lock:
            for board in self.boards.values():
                board.tick()
        while self._replies and self._replies[0][0] <= time.monotonic():
            self._send(heapq.heappop(self._replies)[2])
            self._sent_at = time.monotonic()


def _collided(replies: list[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
    """What is on the wires when several boards answer: a low bit of one pulls down those of others."""
    heard: list[tuple[float, bytes]] = []
    for due, reply in sorted(replies):
        if heard and due - heard[-1][0] < _SAME_MOMENT_S:
            first = heard[-1][1]
            longer = max(first, reply, key=len)
            both = bytes(a & b for a, b in zip(first, reply, strict=False))
            heard[-1] = (heard[-1][0], both + longer[len(both) :])
        else:
            heard.append((due, reply))
    return heard


def request_length(buffer: bytes) -> int | None:
    """Bytes of the request whose first bytes are in ``buffer`` (at least 7); None if it is none."""
    function = buffer[1]
    if function in rtu.READS or function in (rtu.WRITE_COIL, rtu.WRITE_REGISTER):
        return 8
    if function in (rtu.WRITE_COILS, rtu.WRITE_REGISTERS):
        return 9 + buffer[6]
    return None
