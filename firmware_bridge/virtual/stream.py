"""Virtual devices that stand alone on their line: scanners, card readers, lock boards, voice modules.

Made from the ``simulator`` block of a line device's profile. What is scanned goes out in pieces, as a
serial adapter hands it on.
"""

from __future__ import annotations

import heapq
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path

from device_profiles import expressions
from device_profiles.patterns import CHECKS
from device_profiles.profile import Stream
from device_profiles.stream_schema import SimAnswer
from firmware_bridge.virtual.board import VirtualBoard
from firmware_bridge.virtual.line import VirtualLine

_PIECE = 62  # bytes that a USB adapter hands on at a time
_BETWEEN_S = 0.004
_KEPT = 200


@dataclass(slots=True)
class VirtualStream(VirtualBoard):
    """A device that answers whole frames of its own protocol. Its outputs are the board's coils.

    ``scanned`` counts the codes that were held before it; ``played`` are the numbers of clips.
    """

    scanned: int = field(default=0, init=False)
    played: deque[int] = field(init=False)

    def __post_init__(self) -> None:
        VirtualBoard.__post_init__(self)
        self.played = deque(maxlen=_KEPT)
        self.coils = [False] * self.stream.simulator.outputs
        self.pulses = [0] * len(self.coils)
        self.inputs = [False] * self.stream.simulator.inputs

    @property
    def stream(self) -> Stream:
        """The part of the profile that makes it one."""
        assert self.profile.stream is not None
        return self.profile.stream

    @property
    def takes_codes(self) -> bool:
        """Whether codes can be held before it."""
        return self.stream.simulator.kind in ("line_source", "frame_source")

    def hear(self, buffer: bytes) -> tuple[bytes, list[bytes]]:
        """What is left of ``buffer`` when all whole frames are taken, and the answers to them."""
        known = self.stream.simulator.answers
        replies: list[bytes] = []
        while buffer:
            for answer in known:
                frame = buffer[: len(answer.to.parts)]
                if answer.to.matches(frame):
                    buffer = buffer[len(frame) :]
                    self._obey(frame, answer, replies)
                    break
            else:
                if any(answer.to.begins(buffer) for answer in known):
                    break
                buffer = buffer[1:]
        return buffer, replies

    def _obey(self, frame: bytes, answer: SimAnswer, replies: list[bytes]) -> None:
        if self.fault.dead:
            return
        self.tick()
        self.frames.append(frame)
        names = self._names(frame, answer)
        if answer.plays is not None:
            self.played.append(int(names[answer.plays]))
        if answer.pulse is not None:
            coil = expressions.evaluate(answer.pulse.channel, names) - 1
            if 0 <= coil < len(self.coils):
                self._flash(coil, expressions.evaluate(answer.pulse.for_ms, names))
        if answer.with_ is not None:
            names = self._names(frame, answer)
            reply = answer.with_.render(names)
            broken = self.fault.bad_crc or self.fault.wrong_unit
            replies.append(bytes([reply[0] ^ 0x40]) + reply[1:] if broken else reply)

    def _names(self, frame: bytes, answer: SimAnswer) -> dict[str, int]:
        """What a reply can speak of: the frame's numbers, install params, inputs and outputs."""
        names = {k: v for k, v in self.profile.tried().items() if type(v) is int}
        names |= {k: v for k, v in answer.to.read(frame).items() if isinstance(v, int)}
        inputs = self.inputs
        if self.stream.simulator.opens:
            inputs = [on and not out for on, out in zip(inputs, self.coils, strict=True)]
        names["inputs"] = sum(on << n for n, on in enumerate(inputs))
        names["outputs"] = sum(on << n for n, on in enumerate(self.coils))
        if answer.channel is not None:
            at = expressions.evaluate(answer.channel, names) - 1
            names["input"] = int(0 <= at < len(inputs) and inputs[at])
            names["output"] = int(0 <= at < len(self.coils) and self.coils[at])
        return names

    def pieces(self, text: str) -> list[bytes]:
        """The bytes of a scanned code as they are handed on. Raises ValueError for what is no code."""
        if not self.takes_codes:
            raise ValueError(f"{self.id} is no scanner")
        if not text or not text.isascii() or not text.isprintable():
            raise ValueError("a code is printable ASCII, and not empty")
        data = self._said(text)
        self.scanned += 1
        return [data[at : at + _PIECE] for at in range(0, len(data), _PIECE)]

    def _said(self, text: str) -> bytes:
        frame, says = self.stream.transport.frame, self.stream.simulator.says
        if says is None:
            event = next(iter(self.stream.events.values()), None)
            prefix = event.prefix.encode() if event else b""
            return prefix + text.encode("ascii") + (frame.terminator if frame else b"")
        if says.form == "keys":
            keypad = next(e.keypad for e in self.stream.events.values() if e.keypad)
            codes = {shown: int(code) for code, shown in keypad.keys.items()}
            return b"".join(
                says.prefix + bytes([code]) + says.suffix
                for code in (*(codes[key] for key in text), int(keypad.enter))
            )
        body = bytes.fromhex(text) if says.form == "hex" else text.encode("ascii")
        check = b"" if says.check is None else CHECKS[says.check][1](body)
        return says.prefix + body + check + says.suffix


class StreamLine(VirtualLine):
    """A line with one such device."""

    def __init__(self, board: VirtualStream, link: Path | None = None) -> None:
        super().__init__([board], link)
        self.device = board
        self._said_until = 0.0  # monotonic: when the last piece of what it says is out

    def scan(self, text: str) -> None:
        """Hold a code before the scanner. Raises ValueError for what is no code."""
        self.send(self._pieces(text))

    def send(self, pieces: list[bytes], between_s: float = _BETWEEN_S) -> None:
        """Let these very bytes come from the device, piece by piece, after those that it is still saying."""

        def push(board: VirtualBoard) -> None:
            at = max(time.monotonic(), self._said_until)
            for piece in [] if board.fault.dead else pieces:
                heapq.heappush(self._replies, (at, next(self._order), piece))
                at += between_s
            self._said_until = at

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
