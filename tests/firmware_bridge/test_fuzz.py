"""Every parser of the bus against random and mutated frames: none crashes, none acts.

CRC-16 finds every error of up to three bits and every burst of up to sixteen, so a frame mutated so is
never taken. Random bytes are seeded: what passes today passes tomorrow. A million each in the soak run.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from device_profiles import Catalog
from device_profiles.profile import Stream
from firmware_bridge.protocols import modbus_rtu as rtu
from firmware_bridge.protocols.modbus_tcp import TcpRequest
from firmware_bridge.protocols.said import Hearing
from firmware_bridge.protocols.stream import Answer, Splitter
from firmware_bridge.virtual import VirtualBoard
from tests.firmware_bridge.wires import RELAY, frame

COUNTS = [
    pytest.param(4_000, id="short"),
    pytest.param(1_000_000, id="million", marks=pytest.mark.soak),
]
CATALOG = Catalog.built_in()
ORDERS = [frame("01 05 00 00 FF 00"), frame("01 05 02 00 00 07"), frame("01 0F 00 00 00 08 01 FF")]
STREAMS = [p.stream for p in CATALOG.profiles.values() if p.stream is not None]


def mutated(good: bytes, chance: random.Random) -> bytes:
    """``good`` with one to three bits, or a burst of up to sixteen, the other way round."""
    bits = int.from_bytes(good, "little")  # in the order in which they go over the wire
    size = 8 * len(good)
    if chance.random() < 0.5:
        for place in chance.sample(range(size), chance.randint(1, 3)):
            bits ^= 1 << place
    else:
        length = chance.randint(1, 16)
        burst = chance.getrandbits(length) | 1 | 1 << (length - 1)
        bits ^= burst << chance.randrange(size - length + 1)
    return bits.to_bytes(len(good), "little")


def pieces(good: list[bytes], count: int, seed: int) -> Iterator[bytes]:
    """Mutated frames, cut frames, and random bytes."""
    chance = random.Random(seed)
    for _ in range(count):
        kind = chance.random()
        if kind < 0.6:
            yield mutated(chance.choice(good), chance)
        elif kind < 0.8:
            whole = chance.choice(good)
            yield whole[: chance.randrange(len(whole))]
        else:
            yield chance.randbytes(chance.randint(0, 40))


@pytest.mark.parametrize("count", COUNTS)
def test_fuzz_no_damaged_reply_is_an_answer(count: int) -> None:
    request = rtu.read(1, "coil", 0, 8)
    order = rtu.write_coil_raw(1, 0x0200, 7)
    replies = [frame("01 01 01 05"), frame("01 05 02 00 00 07"), frame("01 81 02")]
    for piece in pieces(replies, count, 1):
        for asked in (request, order):
            try:
                assert asked.answer(piece) is None, piece.hex(" ")
            except (rtu.DeviceException, rtu.NoAnswer):
                # One bit makes a reply a refusal, which is shorter: there the CRC promises less. It
                # moves nothing, but it must at least have a right one.
                assert any(rtu.has_good_crc(piece[at : at + 5]) for at in range(len(piece)))
            assert isinstance(asked.missed(piece), rtu.ModbusError)
    assert request.answer(replies[0]) == b"\x05"


@pytest.mark.parametrize("count", COUNTS)
def test_fuzz_no_damaged_order_moves_a_board(count: int) -> None:
    board = VirtualBoard("v", CATALOG[RELAY], 1)
    for piece in pieces(ORDERS, count, 2):
        if len(piece) >= 4:
            board.answer(piece)
    assert not board.frames
    assert not any(board.coils)
    assert sum(board.pulses) == 0
    board.answer(ORDERS[1])
    assert board.pulses[0] == 1


@pytest.mark.parametrize("count", COUNTS)
def test_fuzz_modbus_tcp_never_crashes_and_takes_no_foreign_transaction(count: int) -> None:
    """TCP carries no CRC of ours; what protects is the transaction, the unit and the echo."""
    asked = TcpRequest(rtu.write_coil_raw(1, 0x0200, 7), 0x5AA5)
    echo = asked.frame
    for piece in pieces([echo], count, 3):
        try:
            taken = asked.answer(piece) is not None
        except (rtu.DeviceException, rtu.NoAnswer):
            taken = False
        if taken:
            assert echo in piece
        asked.missed(piece)
    assert asked.answer(echo) == b""


@pytest.mark.parametrize("count", COUNTS)
def test_fuzz_streams_never_crash_and_hear_nothing_longer_than_they_may(count: int) -> None:
    for number, stream in enumerate(STREAMS):
        _feed(stream, max(1, count // len(STREAMS)), number)


def _feed(stream: Stream, count: int, seed: int) -> None:
    chance = random.Random(seed)
    splitter, hearing = Splitter(stream.transport.frame, stream.answers), Hearing(stream)
    samples = [bytes(p or 0 for p in pattern.parts) for pattern in stream.answers] or [b"\r\n"]
    longest = stream.transport.frame.max_bytes if stream.transport.frame else 0
    now = 0.0
    for _ in range(count):
        now += chance.choice((0.001, 0.05, 1.0))
        good = chance.choice(samples)
        piece = chance.randbytes(chance.randint(0, 30)) if chance.random() < 0.5 else good
        if chance.random() < 0.3:
            splitter.give_up()
        for item in splitter.feed(piece):
            if isinstance(item, Answer):
                assert any(pattern.matches(item.data) for pattern in stream.answers)
            else:
                assert 0 < len(item.text) <= longest
                assert item.text.isprintable()
            for name, value in hearing.feed(item, now):
                assert name in stream.events
                assert value
