"""Modbus RTU as a master speaks it: requests to bytes, and the one right reply out of many bytes.

A frame on the line is

    unit (1) | function (1) | data (n) | CRC-16 (2, low byte first)

The standard ends a frame by 3.5 characters of silence. USB adapters deliver bytes in lumps, so silence
says nothing here: the end is found by function code, length and CRC. What is not a whole frame with a
right CRC is skipped byte by byte (line noise when a transceiver turns round); a whole frame of another
unit or function is somebody's late reply and is passed over.

Own code because a board's pulse needs function 05 with a value that is neither FF00 nor 0000, which
stock masters refuse to send. Source: MODBUS Application Protocol V1.1b3; MODBUS over Serial Line V1.02.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Table = Literal["coil", "discrete", "holding", "input"]

READ_COILS, READ_DISCRETE, READ_HOLDING, READ_INPUT = 0x01, 0x02, 0x03, 0x04
WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS = 0x05, 0x06, 0x0F, 0x10
READ_OF_TABLE: dict[Table, int] = {
    "coil": READ_COILS,
    "discrete": READ_DISCRETE,
    "holding": READ_HOLDING,
    "input": READ_INPUT,
}
READS = frozenset(READ_OF_TABLE.values())
WRITES = frozenset({WRITE_COIL, WRITE_REGISTER, WRITE_COILS, WRITE_REGISTERS})

EXCEPTIONS = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "acknowledged, still working",
    6: "busy",
    8: "memory parity error",
    10: "gateway path unavailable",
    11: "gateway target silent",
}

GATEWAY_EXCEPTIONS = frozenset({10, 11})  # said by a gateway of a board that it cannot reach


class ModbusError(Exception):
    """What came back is not an answer to what was asked."""


class NoAnswer(ModbusError):
    """Nothing of ours came: silence, or whole frames of other units or functions only."""


class BadFrame(ModbusError):
    """Bytes came that make no frame: wrong CRC, cut short, or our own request echoed."""


class DeviceException(ModbusError):
    """The board understood and refused; ``code`` is Modbus' exception code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code} ({EXCEPTIONS.get(code, 'unknown to the standard')})")
        self.code = code


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_TABLE = _crc_table()


def crc16(data: bytes) -> bytes:
    """The two CRC bytes that end a frame of ``data``, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc.to_bytes(2, "little")


def with_crc(data: bytes) -> bytes:
    """``data`` with its CRC behind it: a whole frame."""
    return data + crc16(data)


def has_good_crc(frame: bytes) -> bool:
    """Whether the last two bytes of ``frame`` are the CRC of those before."""
    return len(frame) >= 4 and crc16(frame[:-2]) == frame[-2:]


@dataclass(frozen=True, slots=True)
class Request:
    """One question or order to one unit. ``pdu`` is function code and data."""

    unit: int
    pdu: bytes

    @property
    def frame(self) -> bytes:
        """The bytes for the line."""
        return with_crc(bytes([self.unit]) + self.pdu)

    @property
    def function(self) -> int:
        """Modbus' function code."""
        return self.pdu[0]

    @property
    def reply_length(self) -> int:
        """Length in bytes of the reply's whole frame, if it is no exception."""
        return 5 + self._data_bytes if self.function in READS else 8

    @property
    def _data_bytes(self) -> int:
        count = int.from_bytes(self.pdu[3:5], "big")
        return (count + 7) // 8 if self.function in (READ_COILS, READ_DISCRETE) else 2 * count

    def answer(self, received: bytes) -> bytes | None:
        """The data of our reply if it is whole in ``received``, else None: wait for more.

        For a read the data are the value bytes, for a write they are empty.
        Raises DeviceException if the board refused.
        """
        if self._is_echo(received):
            return None
        for frame in whole_frames(received):
            data = self.reply(frame[1:-2]) if frame[0] == self.unit else None
            if data is not None:
                return data
        return None

    def reply(self, pdu: bytes) -> bytes | None:
        """The data in the reply ``pdu`` (function code and data) of our unit; None if it is no reply
        to this. Raises DeviceException if the board refused, NoAnswer if a gateway could not reach it.
        """
        if pdu[0] == self.function | 0x80 and len(pdu) == 2:
            if pdu[1] in GATEWAY_EXCEPTIONS:
                raise NoAnswer(
                    f"the gateway is there, the board behind it is not ({EXCEPTIONS[pdu[1]]})"
                )
            raise DeviceException(pdu[1])
        if pdu[0] != self.function or len(pdu) < 2:
            return None
        if self.function in READS and pdu[1] == self._data_bytes == len(pdu) - 2:
            return pdu[2:]
        if self.function in WRITES and pdu[1:] == self.pdu[1:5]:
            return b""
        return None

    def missed(self, received: bytes) -> NoAnswer | BadFrame:
        """Why ``received``, all there was until the time was up, holds no answer."""
        if self._is_echo(received):
            return BadFrame("the adapter echoes what it sends; switch its echo off")
        foreign = sum(len(frame) for frame in whole_frames(received))
        if foreign == len(received):
            return NoAnswer("other frames came, no answer" if received else "no answer")
        return BadFrame("bytes came that make no frame (noise, wrong speed or wiring)")

    def _is_echo(self, received: bytes) -> bool:
        # The reply to a write equals the request, so an echoing adapter would confirm every write of
        # a dead board. A read shows it, and every board is read before it is written to.
        return self.function in READS and received.startswith(self.frame)


def whole_frames(received: bytes) -> Iterator[bytes]:
    """The replies with a right CRC in ``received``, whatever lies between them."""
    start = 0
    while start < len(received) - 3:
        length = _reply_length(received, start)
        frame = received[start : start + length] if length else b""
        if length and len(frame) == length and has_good_crc(frame):
            yield frame
            start += length
        else:
            start += 1


def _reply_length(received: bytes, start: int) -> int | None:
    function = received[start + 1]
    if function & 0x80:
        return 5
    if function in READS:
        return 5 + received[start + 2]
    return 8 if function in WRITES else None


def read(unit: int, table: Table, address: int, count: int) -> Request:
    """Functions 01 to 04, by table."""
    return Request(unit, struct.pack(">BHH", READ_OF_TABLE[table], address, count))


def write_coil_raw(unit: int, address: int, word: int) -> Request:
    """Function 05 with any value: 0xFF00 on, 0x0000 off, others as the maker has it."""
    return Request(unit, struct.pack(">BHH", WRITE_COIL, address, word))


def write_register(unit: int, address: int, word: int) -> Request:
    """Function 06."""
    return Request(unit, struct.pack(">BHH", WRITE_REGISTER, address, word))


def write_coils(unit: int, address: int, values: Sequence[bool]) -> Request:
    """Function 0F."""
    packed = pack_bits(values)
    head = struct.pack(">BHHB", WRITE_COILS, address, len(values), len(packed))
    return Request(unit, head + packed)


def write_registers(unit: int, address: int, words: Sequence[int]) -> Request:
    """Function 10."""
    data = struct.pack(f">{len(words)}H", *words)
    head = struct.pack(">BHHB", WRITE_REGISTERS, address, len(words), len(data))
    return Request(unit, head + data)


def pack_bits(values: Sequence[bool]) -> bytes:
    """Bits as Modbus packs them: the first in the lowest bit of the first byte."""
    packed = bytearray((len(values) + 7) // 8)
    for index, value in enumerate(values):
        packed[index // 8] |= value << index % 8
    return bytes(packed)


def unpack_bits(data: bytes, count: int) -> list[bool]:
    """The first ``count`` bits of ``data``."""
    return [bool(data[index // 8] >> index % 8 & 1) for index in range(count)]


def unpack_words(data: bytes) -> list[int]:
    """16-bit words, high byte first."""
    return list(struct.unpack(f">{len(data) // 2}H", data))
