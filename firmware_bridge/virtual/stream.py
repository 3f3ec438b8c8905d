"""Virtual devices that stand alone on their line: a scanner to hold codes before, a voice module.

Made from the ``simulator`` block of a line device's profile. What is scanned goes out in pieces, as a
serial adapter hands it on.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from device_profiles.profile import Stream
from firmware_bridge.virtual.board import VirtualBoard
from firmware_bridge.virtual.line import VirtualLine

_PIECE = 62  # bytes that a USB adapter hands on at a time
_BETWEEN_S = 0.004
_KEPT = 200


@dataclass(slots=True)
class VirtualStream(VirtualBoard):
    """A board without coils that answers whole frames of its own protocol.

    ``scanned`` counts the codes that were held before it; ``played`` are the numbers of clips.
    """

    scanned: int = field(default=0, init=False)
    played: deque[int] = field(init=False)

    def __post_init__(self) -> None:
        VirtualBoard.__post_init__(self)
        self.played = deque(maxlen=_KEPT)

    @property
    def stream(self) -> Stream:
        """The part of the profile that makes it one."""
        assert self.profile.stream is not None
        return self.profile.stream

    @property
    def takes_codes(self) -> bool:
        """Whether codes can be held before it."""
        return self.stream.simulator.kind == "line_source"

    def hear(self, buffer: bytes) -> tuple[bytes, list[bytes]]:
        """What is left of ``buffer`` when all whole frames are taken, and the answers to them."""
        simulator = self.stream.simulator
        known = [(answer.to, answer.with_) for answer in simulator.answers]
        if simulator.plays is not None:
            known.append((simulator.plays.to, b""))
        replies: list[bytes] = []
        while buffer:
            for pattern, reply in known:
                frame = buffer[: len(pattern.parts)]
                if pattern.matches(frame):
                    buffer = buffer[len(frame) :]
                    self._obey(frame, reply, replies)
                    break
            else:
                if any(pattern.begins(buffer) for pattern, _ in known):
                    break
                buffer = buffer[1:]
        return buffer, replies

    def _obey(self, frame: bytes, reply: bytes, replies: list[bytes]) -> None:
        if self.fault.dead:
            return
        self.frames.append(frame)
        plays = self.stream.simulator.plays
        if plays is not None and plays.to.matches(frame):
            self.played.append(int.from_bytes(frame[plays.number_at : plays.number_at + 2], "big"))
        if reply:
            broken = self.fault.bad_crc or self.fault.wrong_unit
            replies.append(bytes([reply[0] ^ 0x40]) + reply[1:] if broken else reply)

    def pieces(self, text: str) -> list[bytes]:
        """The bytes of a scanned code as they are handed on. Raises ValueError for what is no code."""
        frame = self.stream.transport.frame
        if not self.takes_codes or frame is None:
            raise ValueError(f"{self.id} is no scanner")
        if not text or not text.isascii() or not text.isprintable():
            raise ValueError("a code is printable ASCII, and not empty")
        data = text.encode("ascii") + frame.terminator
        self.scanned += 1
        return [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]


class StreamLine(VirtualLine):
    """A line with one such device."""

    def __init__(self, board: VirtualStream, link: Path | None = None) -> None:
        super().__init__([board], link)
        self.device = board

    def scan(self, text: str) -> None:
        """Hold a code before the scanner. Raises ValueError for what is no code."""
        self.send(self._pieces(text))

    def send(self, pieces: list[bytes], between_s: float = _BETWEEN_S) -> None:
        """Let these very bytes come from the device, piece by piece."""

        def push(board: VirtualBoard) -> None:
            at = time.monotonic()
            for piece in [] if board.fault.dead else pieces:
                heapq.heappush(self._replies, (at, next(self._order), piece))
                at += between_s

        self.locked(push, self.device.id)

    def _pieces(self, text: str) -> list[bytes]:
        return self.locked(lambda _: self.device.pieces(text), self.device.id)

    def _take(self, buffer: bytes) -> bytes:
        with self._lock:
            rest, replies = self.device.hear(buffer)
            due = time.monotonic() + self.device.fault.slow_ms / 1000
            for reply in replies:
                heapq.heappush(self._replies, (due, next(self._order), reply))
        return rest
