"""Modbus TCP: the same requests, in frames that say which question they answer.

    transaction (2) | protocol, always 0 (2) | length of the rest (2) | unit (1) | function (1) | data

There is no CRC, TCP has its own. The transaction is ours to choose, so a late reply is known for one
without waiting. Source: MODBUS Messaging on TCP/IP Implementation Guide V1.0b, 3.1.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from firmware_bridge.protocols.modbus_rtu import BadFrame, NoAnswer, Request

_HEAD = struct.Struct(">HHHB")
_LONGEST = 254  # unit and the 253 bytes of the longest PDU


@dataclass(frozen=True, slots=True)
class TcpRequest:
    """A request under its transaction number."""

    request: Request
    transaction: int

    @property
    def frame(self) -> bytes:
        """The bytes for the connection."""
        pdu = self.request.pdu
        return _HEAD.pack(self.transaction, 0, len(pdu) + 1, self.request.unit) + pdu

    @property
    def reply_length(self) -> int:
        """Length in bytes of the reply, if it is no exception."""
        return self.request.reply_length + 4  # the head has 4 bytes more than unit and CRC

    def answer(self, received: bytes) -> bytes | None:
        """The data of our reply if it is whole in ``received``, else None: wait for more.

        Raises DeviceException if the board refused, NoAnswer if the gateway could not reach it.
        """
        for transaction, unit, pdu in frames(received):
            if transaction == self.transaction and unit == self.request.unit:
                data = self.request.reply(pdu)
                if data is not None:
                    return data
        return None

    def missed(self, received: bytes) -> NoAnswer | BadFrame:
        """Why ``received``, all there was until the time was up, holds no answer."""
        if not received:
            return NoAnswer("no answer")
        if sum(len(pdu) + _HEAD.size for _, _, pdu in frames(received)) == len(received):
            return NoAnswer("other frames came, no answer")
        return BadFrame("bytes came that are no Modbus TCP; is it a transparent gateway (rtu+tcp)?")


def conversation() -> Callable[[Request], TcpRequest]:
    """What numbers the requests of one connection."""
    numbers = itertools.count(1)
    return lambda request: TcpRequest(request, next(numbers) & 0xFFFF)


def frames(received: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Transaction, unit and PDU of each whole frame; bytes that are none are passed over."""
    start = 0
    while start + _HEAD.size < len(received):
        transaction, protocol, length, unit = _HEAD.unpack_from(received, start)
        end = start + 6 + length
        if protocol != 0 or not 2 < length <= _LONGEST or end > len(received):
            start += 1
            continue
        yield transaction, unit, received[start + _HEAD.size : end]
        start = end
