"""What no code at a reader can do: open when one bit is wrong, open twice, open after its use."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from controller.readers import Shown
from store_link.messages import Binding, Door
from store_link.passes import TEXT_LENGTH
from tests.controller.doors import DoorWorld, new_grant
from tests.controller.world import LOCK_1, MINUTE, stay
from tests.support.nats import NatsBroker


@pytest.fixture
async def doors(tmp_path: Path, nats_broker: NatsBroker) -> AsyncIterator[DoorWorld]:
    made = DoorWorld(tmp_path, nats_broker.host, nats_broker.mqtt_port)
    await made.open()
    try:
        yield made
    finally:
        await made.close()


def at_the_door(doors: DoorWorld) -> tuple[Door, Binding]:
    assert doors.controller is not None
    state = doors.controller.state
    return state.doors["d1"], state.bindings["reader1"]


async def ready(doors: DoorWorld) -> str:
    await doors.run()
    grant, now = new_grant(), doors.now()
    await doors.want(stay("s1", "r1", now - MINUTE, now + 60 * MINUTE, grant=grant))
    await doors.boards_up()
    return grant


async def test_any_flipped_bit_opens_nothing_and_the_whole_pass_opens(doors: DoorWorld) -> None:
    """Every bit of every character, past the line's own checks; some over the line as well."""
    grant = await ready(doors)
    assert doors.controller is not None
    code = doors.make_pass(grant).encode("ascii")
    assert len(code) == TEXT_LENGTH
    door, reader = at_the_door(doors)
    for at in range(len(code)):
        for bit in range(8):
            flipped = bytearray(code)
            flipped[at] ^= 1 << bit
            await doors.controller.readers.read(door, reader, Shown(flipped.decode("latin-1")))
    rng = random.Random(7)
    for _ in range(60):
        flipped = bytearray(code + b"\r")
        flipped[rng.randrange(len(code))] ^= 1 << rng.randrange(8)
        doors.raw(bytes(flipped))
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.3)
    assert doors.pulses(LOCK_1) == 0
    assert doors.rows("SELECT * FROM grant_use") == []
    doors.raw(b"\r")  # ends what a flipped terminator may have left open
    doors.raw(code + b"\r")  # the control: the same pass, whole
    await doors.coil_is(LOCK_1, True, 5)
    assert doors.pulses(LOCK_1) == 1


@pytest.mark.parametrize("seed", range(3))
async def test_one_scan_is_at_most_one_pulse_however_its_bytes_come(
    doors: DoorWorld, seed: int
) -> None:
    """In pieces, doubled, with noise around it: a phone before the reader is one pulse at most."""
    grant = await ready(doors)
    rng = random.Random(seed)
    code = doors.make_pass(grant).encode("ascii") + b"\r"
    for _ in range(12):
        cut = sorted(rng.randrange(len(code)) for _ in range(rng.randrange(4)))
        for begin, end in zip([0, *cut], [*cut, len(code)], strict=True):
            doors.raw(code[begin:end])
            await asyncio.sleep(rng.choice((0.0, 0.01, 0.03)))
        if rng.random() < 0.3:
            doors.raw(rng.randbytes(rng.randrange(1, 6)))
    await asyncio.sleep(1.0)
    assert doors.pulses(LOCK_1) == 1


async def test_replays_of_a_single_use_pass_are_one_pulse(doors: DoorWorld) -> None:
    """Also in other order, renewed, after the pulse, and after a restart of the store."""
    grant = await ready(doors)
    now = doors.now()
    codes = [
        doors.make_pass(grant, uses=1, expires=now + minutes * MINUTE) for minutes in range(50, 60)
    ]
    for _ in range(2):
        assert doors.controller is not None
        door, reader = at_the_door(doors)
        tries = [code for code in codes for _ in range(3)]
        random.Random(1).shuffle(tries)
        for at in range(0, len(tries), 5):
            some = tries[at : at + 5]
            await asyncio.gather(
                *(doors.controller.readers.read(door, reader, Shown(one)) for one in some)
            )
            await asyncio.sleep(0.15)
        await doors.stop()
        await doors.run()
        await doors.boards_up()
    assert doors.pulses(LOCK_1) == 1
    assert doors.rows("SELECT uses FROM grant_use WHERE grant = ?", grant) == [(1,)]
