"""The codec against the Modbus documents, against pymodbus' own encoder, and against damaged bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadDiscreteInputsRequest,
    WriteMultipleCoilsRequest,
    WriteSingleCoilRequest,
)
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)

from firmware_bridge.protocols import modbus_rtu as rtu
from firmware_bridge.protocols.modbus_rtu import BadFrame, DeviceException, NoAnswer, Request
from tests.firmware_bridge.wires import crc, frame

ADDRESS = st.integers(0, 0xFF00)
UNIT = st.integers(1, 247)


@given(st.binary(max_size=300))
def test_crc_is_that_of_the_serial_line_document(data: bytes) -> None:
    assert rtu.crc16(data) == crc(data)


def test_crc_of_a_frame_printed_in_a_manual() -> None:
    assert rtu.with_crc(bytes.fromhex("01 05 02 00 00 07")).hex(" ") == "01 05 02 00 00 07 8d b0"


PAIRS: list[tuple[Request, ModbusPDU]] = [
    (rtu.read(7, "coil", 19, 37), ReadCoilsRequest(dev_id=7, address=19, count=37)),
    (rtu.read(7, "discrete", 196, 22), ReadDiscreteInputsRequest(dev_id=7, address=196, count=22)),
    (rtu.read(7, "holding", 107, 3), ReadHoldingRegistersRequest(dev_id=7, address=107, count=3)),
    (rtu.read(7, "input", 8, 1), ReadInputRegistersRequest(dev_id=7, address=8, count=1)),
    (
        rtu.write_coil_raw(7, 172, 0xFF00),
        WriteSingleCoilRequest(dev_id=7, address=172, bits=[True]),
    ),
    (rtu.write_register(7, 1, 3), WriteSingleRegisterRequest(dev_id=7, address=1, registers=[3])),
    (
        rtu.write_coils(7, 19, [True, False, True, True, False, False, True, True, True, False]),
        WriteMultipleCoilsRequest(
            dev_id=7,
            address=19,
            bits=[True, False, True, True, False, False, True, True, True, False],
        ),
    ),
    (
        rtu.write_registers(7, 1, [10, 258]),
        WriteMultipleRegistersRequest(dev_id=7, address=1, registers=[10, 258]),
    ),
]


@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda p: type(p).__name__)
def test_requests_are_those_of_another_implementation(ours: Request, theirs: ModbusPDU) -> None:
    framer = FramerRTU(DecodePDU(is_server=False))
    assert ours.frame.hex(" ") == framer.buildFrame(theirs).hex(" ")


@given(UNIT, ADDRESS, st.lists(st.booleans(), min_size=1, max_size=64), st.data())
def test_bits_come_back_whatever_the_pieces(
    unit: int, address: int, bits: list[bool], data: st.DataObject
) -> None:
    request = rtu.read(unit, "coil", address, len(bits))
    packed = rtu.pack_bits(bits)
    reply = rtu.with_crc(bytes([unit, 1, len(packed)]) + packed)
    cut = data.draw(st.integers(0, len(reply) - 1))
    assert request.answer(reply[:cut]) is None
    answer = request.answer(reply)
    assert answer is not None
    assert rtu.unpack_bits(answer, len(bits)) == bits


@given(st.data(), st.sampled_from([rtu.read(3, "coil", 0, 8), rtu.read(3, "holding", 0, 2),
                                   rtu.write_coil_raw(3, 0x200, 7)]))  # fmt: skip
def test_one_flipped_bit_is_never_an_answer(data: st.DataObject, request: Request) -> None:
    reply = {
        1: frame("03 01 01 A5"),
        3: frame("03 03 04 01 02 03 04"),
        5: request.frame,
    }[request.function]
    assert request.answer(reply) is not None
    bit = data.draw(st.integers(0, 8 * len(reply) - 1))
    spoilt = bytearray(reply)
    spoilt[bit // 8] ^= 1 << bit % 8
    assert request.answer(bytes(spoilt)) is None
    assert isinstance(request.missed(bytes(spoilt)), BadFrame)


@given(st.binary(max_size=6), st.binary(max_size=6))
def test_noise_around_an_answer_does_not_hide_it(before: bytes, after: bytes) -> None:
    request = rtu.read(1, "holding", 0x4000, 1)
    reply = frame("01 03 02 00 01")
    assert request.answer(before + reply + after) == b"\x00\x01"


@pytest.mark.parametrize(
    ("what", "received"),
    [
        ("nothing", b""),
        ("another unit", frame("02 01 01 01")),
        ("another function", frame("01 02 01 01")),
        ("another length", frame("01 01 02 01 00")),
        ("the echo of an order", frame("01 05 00 00 FF 00")),
        ("two of these", frame("02 01 01 01") + frame("03 01 01 01")),
    ],
)
def test_whole_frames_of_others_are_no_answer_and_no_damage(what: str, received: bytes) -> None:
    request = rtu.read(1, "coil", 0, 8)
    assert request.answer(received) is None, what
    assert isinstance(request.missed(received), NoAnswer), what


def test_the_echo_of_another_order_confirms_nothing() -> None:
    request = rtu.write_coil_raw(1, 0x0200, 7)
    for other in ("01 05 02 01 00 07", "01 05 02 00 00 08", "02 05 02 00 00 07"):
        assert request.answer(frame(other)) is None
    assert request.answer(frame("01 05 02 00 00 07")) == b""


def test_a_refusal_is_an_error_of_its_own() -> None:
    with pytest.raises(DeviceException, match="exception 3 \\(illegal value\\)") as caught:
        rtu.write_coil_raw(1, 0, 7).answer(bytes.fromhex("01 85 03 02 91"))
    assert caught.value.code == 3
    with pytest.raises(DeviceException, match="exception 77 \\(unknown to the standard\\)"):
        rtu.read(1, "coil", 0, 1).answer(frame("01 81 4D"))


def test_our_own_request_coming_back_is_named() -> None:
    request = rtu.read(1, "coil", 0, 8)
    received = request.frame + frame("01 01 01 00")
    assert request.answer(received) is None
    assert str(request.missed(received)) == "the adapter echoes what it sends; switch its echo off"


def test_a_read_that_is_longer_than_any_frame_before_it() -> None:
    request = rtu.read(1, "holding", 0, 125)
    words = b"".join(n.to_bytes(2, "big") for n in range(125))
    reply = rtu.with_crc(b"\x01\x03\xfa" + words)
    assert len(reply) == request.reply_length == 255
    assert request.answer(reply) == words
