"""Cuts the bytes of a device that talks by itself into codes and answers. No I/O, no clock.

What is cut short, too long or no text is dropped as a whole: half a code must never pass for a code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from device_profiles.patterns import BytePattern
from device_profiles.stream_schema import LineFrame

_KEPT = 4096  # bytes of a stream without lines that are looked through for an answer


@dataclass(frozen=True, slots=True)
class Line:
    """A whole line. Its text may open a door, so it is not shown."""

    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """A frame that is one of the known answers."""

    data: bytes


class Splitter:
    """Feed it what arrives. ``known`` are the answers that the device can give."""

    def __init__(self, frame: LineFrame | None, known: Sequence[BytePattern]) -> None:
        self._frame = frame
        self._known = known
        self._buffer = b""
        self._fed_at = 0.0
        self._dropping = False  # in the middle of a line that is too long

    def feed(self, data: bytes, now: float) -> list[Line | Answer]:
        """The lines and answers that are whole with ``data``, which arrived at ``now`` (seconds)."""
        idle_s = (self._frame.idle_flush_ms if self._frame else 120) / 1000
        if now - self._fed_at > idle_s:
            self._buffer, self._dropping = b"", False
        self._fed_at = now
        self._buffer += data
        found: list[Line | Answer] = []
        while self._buffer and self._take(found):
            pass
        return found

    def _take(self, found: list[Line | Answer]) -> bool:
        """Take one thing off the buffer's head; False where more bytes are needed."""
        if not self._dropping:
            for pattern in self._known:
                head = self._buffer[: len(pattern.parts)]
                if pattern.matches(head):
                    self._buffer = self._buffer[len(head) :]
                    found.append(Answer(head))
                    return True
            if any(pattern.begins(self._buffer) for pattern in self._known):
                return False
        if self._frame is None:
            self._buffer = self._buffer[1:][-_KEPT:]
            return True
        return self._take_line(self._frame, found)

    def _take_line(self, frame: LineFrame, found: list[Line | Answer]) -> bool:
        line, end, rest = self._buffer.partition(frame.terminator)
        if not end:
            if len(line) > frame.max_bytes:
                self._buffer, self._dropping = b"", True
            return False
        self._buffer = rest
        whole, self._dropping = not self._dropping, False
        text = line.strip(b"\r\n")
        if whole and 0 < len(text) <= frame.max_bytes and all(0x20 <= b < 0x7F for b in text):
            found.append(Line(text.decode("ascii")))
        return True
