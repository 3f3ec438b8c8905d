"""Cuts the bytes of a device that talks by itself into codes and answers. No I/O, no clock.

What is cut short, too long or no text is dropped as a whole: half a code must never pass for a code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from device_profiles.patterns import BytePattern
from device_profiles.stream_schema import LineFrame

_IDLE_MS = 120
_ENDS = b"\r\n"
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
    """Feed it what arrives, and tell it of silence. ``known`` are the answers that the device can give.

    It does not look at a clock: between two reads a busy computer may do other things for longer than any
    device pauses, while the bytes wait in the system. Who reads knows whether the line was silent.
    """

    def __init__(self, frame: LineFrame | None, known: Sequence[BytePattern]) -> None:
        self._frame = frame
        self._known = known
        self._buffer = b""
        self._dropping = False  # in the middle of a line that is too long

    @property
    def idle_s(self) -> float:
        """Seconds of silence after which what is not whole is given up."""
        return (self._frame.idle_flush_ms if self._frame else _IDLE_MS) / 1000

    @property
    def waits(self) -> bool:
        """Whether something has begun that is not whole."""
        return bool(self._buffer) or self._dropping

    def give_up(self) -> None:
        """The line was silent for ``idle_s``: what has begun will not be continued."""
        self._buffer, self._dropping = b"", False

    def feed(self, data: bytes) -> list[Line | Answer]:
        """The lines and answers that are whole with ``data``."""
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
        if not self._dropping and (at := self._in_between(frame)) is not None:
            return self._cut_out(at, found)
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

    def _in_between(self, frame: LineFrame) -> int | None:
        """Where in a code an answer stands or begins: a scanner may be asked while it speaks."""
        line = self._buffer.partition(frame.terminator)[0]
        at = next((i for i, byte in enumerate(line) if byte < 0x20 and byte not in _ENDS), None)
        if at is None:
            return None
        rest = self._buffer[at:]
        known = any(p.matches(rest[: len(p.parts)]) or p.begins(rest) for p in self._known)
        return at if known else None

    def _cut_out(self, at: int, found: list[Line | Answer]) -> bool:
        for pattern in self._known:
            head = self._buffer[at : at + len(pattern.parts)]
            if pattern.matches(head):
                self._buffer = self._buffer[:at] + self._buffer[at + len(head) :]
                found.append(Answer(head))
                return True
        return False
