"""Says what goes over a line that is only listened to: whose question, whose answer, what is in it.

Pure: bytes and times go in, sentences come out. A frame is what has a right CRC at a length that its
function allows; whether eight bytes are a question or an answer, only the frame before them tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from firmware_bridge.installer.words import say
from firmware_bridge.protocols import modbus_rtu as rtu

_LONGEST = 256
_ANSWER_S = 2.0  # later than this after a question nothing is its answer
_TABLES = {function: table for table, function in rtu.READ_OF_TABLE.items()}


@dataclass(frozen=True, slots=True)
class Heard:
    """A frame. ``words`` says what it means."""

    at: float
    kind: Literal["question", "answer", "refusal"]
    unit: int
    data: bytes
    words: str


class Listener:
    """Feed it what is on the line."""

    def __init__(self) -> None:
        self.frames = 0
        self.noise = 0
        self._buffer = b""
        self._asked: tuple[float, bytes] | None = None

    def feed(self, data: bytes, at: float) -> list[Heard]:
        """The frames that are whole with ``data``, which came at ``at`` (seconds)."""
        self._buffer += data
        heard = []
        while len(self._buffer) >= 4:
            frame = self._whole(at)
            if frame is not None:
                self._buffer = self._buffer[len(frame) :]
                heard.append(self._explained(frame, at))
            elif len(self._buffer) < _LONGEST and self._may_go_on():
                break
            else:
                self._drop()
        self.frames += len(heard)
        return heard

    def rest(self, at: float) -> list[Heard]:
        """The frames in what is left when the line fell silent; the remainder is noise."""
        heard = []
        while self._buffer:
            frame = self._whole(at)
            if frame is None:
                self._drop()
                continue
            self._buffer = self._buffer[len(frame) :]
            heard.append(self._explained(frame, at))
        self.frames += len(heard)
        return heard

    def _drop(self) -> None:
        self._buffer = self._buffer[1:]
        self.noise += 1

    def _whole(self, at: float) -> bytes | None:
        lengths = _lengths(self._buffer)
        if not self._is_answer(self._buffer, at):
            lengths.reverse()
        for length in lengths:
            frame = self._buffer[:length]
            if len(frame) == length and rtu.has_good_crc(frame):
                return frame
        return None

    def _may_go_on(self) -> bool:
        return any(length > len(self._buffer) for length in _lengths(self._buffer))

    def _is_answer(self, frame: bytes, at: float) -> bool:
        if self._asked is None or len(frame) < 2:
            return False
        asked_at, question = self._asked
        same = frame[0] == question[0] and frame[1] & 0x7F == question[1]
        return same and at - asked_at < _ANSWER_S

    def _explained(self, frame: bytes, at: float) -> Heard:
        unit, function = frame[0], frame[1]
        if function & 0x80:
            self._asked = None
            why = rtu.EXCEPTIONS.get(frame[2], str(frame[2]))
            return Heard(at, "refusal", unit, frame, say("says_refusal", unit=unit, why=why))
        if self._is_answer(frame, at):
            assert self._asked is not None
            question, self._asked = self._asked[1], None
            return Heard(at, "answer", unit, frame, _answer(question, frame))
        self._asked = (at, frame)
        return Heard(at, "question", unit, frame, _question(frame))


def _lengths(buffer: bytes) -> list[int]:
    """The lengths that a frame may have which begins so: as an answer, as a question."""
    if len(buffer) < 2:
        return []
    function = buffer[1]
    if function & 0x80:
        return [5] if function & 0x7F in rtu.READS | rtu.WRITES else []
    if function in rtu.READS:
        return [5 + buffer[2], 8] if len(buffer) > 2 else [5, 8]
    if function in (rtu.WRITE_COILS, rtu.WRITE_REGISTERS):
        return [8, 9 + buffer[6]] if len(buffer) > 6 else [8, 9]
    return [8] if function in rtu.WRITES else []


def _question(frame: bytes) -> str:
    unit, function = frame[0], frame[1]
    address, operand = int.from_bytes(frame[2:4], "big"), int.from_bytes(frame[4:6], "big")
    if function in rtu.READS:
        table = say(_TABLES[function])
        return say("asks_read", unit=unit, table=table, first=address, last=address + operand - 1)
    if function == rtu.WRITE_COIL:
        return say("asks_coil", unit=unit, address=address, word=f"0x{operand:04X}")
    if function == rtu.WRITE_REGISTER:
        return say("asks_register", unit=unit, address=address, word=f"0x{operand:04X}")
    table = say("coil" if function == rtu.WRITE_COILS else "holding")
    return say("asks_many", unit=unit, address=address, count=operand, table=table)


def _answer(question: bytes, frame: bytes) -> str:
    unit, function = frame[0], frame[1]
    if function not in rtu.READS:
        return say("says_done", unit=unit)
    data = frame[3:-2]
    if function in (rtu.READ_COILS, rtu.READ_DISCRETE):
        count = min(int.from_bytes(question[4:6], "big"), 8 * len(data))
        values = "".join("1" if bit else "0" for bit in rtu.unpack_bits(data, count))
    else:
        values = " ".join(map(str, rtu.unpack_words(data[: len(data) // 2 * 2])))
    return say("says_values", unit=unit, values=values or "-")
