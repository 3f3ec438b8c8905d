"""Boards that share a line: two with one number, dead ones beside living ones, a line as slow as a wire."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from device_profiles import Catalog
from firmware_bridge.bus import Bus, Job
from firmware_bridge.contract import Capability, OutcomeState, Priority
from firmware_bridge.protocols import modbus_rtu as rtu
from firmware_bridge.virtual import Fault, VirtualBoard, VirtualLine
from tests.firmware_bridge.conftest import StartBridge
from tests.firmware_bridge.wires import RELAY, hurried, until


@pytest.fixture(scope="module")
def relays() -> Catalog:
    return hurried(RELAY, timeout_ms=100, poll_ms=150)


def boards(catalog: Catalog, *units: int) -> list[VirtualBoard]:
    return [VirtualBoard(f"v{n}", catalog[RELAY], unit) for n, unit in enumerate(units)]


async def test_two_devices_with_one_address_are_refused_and_named_until_one_is_changed(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    """Both obey, so an unlock of one room would open another's door as well."""
    twins = boards(relays, 3, 3, 4)
    twins[1].fault = Fault(slow_ms=4)  # its answer comes right behind the first one's
    with VirtualLine(twins) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 3), "c": (RELAY, 4)}, relays)
        await until(lambda: bridge.board_state("a").state == "refused")
        assert bridge.board_state("a").detail == (
            "two boards answer as unit 3 on line, and both would obey: give one of them another number"
        )
        outcome = await bridge.pulse("a", 1, 700, 2)
        assert outcome.state is OutcomeState.FAILED
        assert twins[0].pulses == twins[1].pulses == [0] * 8
        assert bridge.board_state("c").state == "online"
        # In a fire it is no harm that both obey, and it would be one that neither did.
        out = await bridge.pulse("a", 1, 700, 2, release=True)
        assert out.state in (OutcomeState.DONE, OutcomeState.UNKNOWN)
        assert twins[0].pulses[0] == twins[1].pulses[0] == 1


async def test_a_fire_sends_nothing_to_a_board_of_another_model(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    """What a pulse's bytes mean to it nobody knows."""
    other = boards(relays, 3)[0]
    other.set_register("holding", 0x4000, 9)  # what says its number in our model
    with VirtualLine([other]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 3)}, relays)
        await until(lambda: bridge.board_state("a").state == "refused")
        outcome = await bridge.pulse("a", 1, 700, 2, release=True)
        assert outcome.state is OutcomeState.FAILED
        assert other.pulses == [0] * 8


async def test_two_devices_that_answer_at_the_same_moment_are_suspected(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    twins = boards(relays, 3, 3, 4)
    twins[0].coils[:] = [True] * 8
    twins[1].set_register("holding", 0x8000, 0xFFFF)  # their answers differ, so they collide
    with VirtualLine(twins) as line:
        bridge = await start_bridge(line.path, {"c": (RELAY, 4)}, relays)
        await until(lambda: bridge.board_state("c").state == "online")
        await bridge.configure(
            [*bridge.configs(), replace(bridge.configs()[0], id="a", params={"unit_id": 3})]
        )
        await until(lambda: "two boards may have number 3" in bridge.board_state("a").detail)
        assert bridge.board_state("c").state == "online"


async def test_a_late_reply_is_not_taken_for_a_second_board(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    """Negative control of the above: a board that is merely slow is not refused."""
    slow = boards(relays, 3, 4)
    with VirtualLine(slow) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 3), "c": (RELAY, 4)}, relays)
        await until(lambda: bridge.board_state("a").state == "online")
        for _ in range(6):
            slow[0].fault = Fault(slow_ms=260)
            await bridge.read("a", Capability.SWITCH_SET, 1, 0.3)
        slow[0].fault = Fault()
        await asyncio.sleep(0.5)
        await until(lambda: bridge.board_state("a").state == "online")


async def test_silent_devices_take_a_quarter_of_the_line_at_most(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    """Six boards were unplugged for cleaning; looking for each of them cost a time-out every few
    seconds, and the readings of those still there got old.
    """
    line_up = boards(relays, 1, 2, 3, 4, 5, 6, 7)
    for board in line_up[1:]:
        board.fault = Fault(dead=True)
    with VirtualLine(line_up) as line:
        bridge = await start_bridge(
            line.path, {f"b{unit}": (RELAY, unit) for unit in range(1, 8)}, relays
        )
        await until(lambda: bridge.board_state("b1").state == "online")
        before, begun = len(line_up[0].frames), time.monotonic()
        await asyncio.sleep(3)
        polled = len(line_up[0].frames) - before
        assert polled >= 0.6 * (time.monotonic() - begun) / 0.15
        line_up[6].fault = Fault()
        await until(lambda: bridge.board_state("b7").state == "online")


def test_a_line_at_wire_speed_takes_its_time_and_is_never_crowded(relays: Catalog) -> None:
    board = boards(relays, 1)[0]
    with VirtualLine([board], baud=9600) as line:
        bus = Bus(line.path, relays[RELAY].settings({}), time.monotonic)
        bus.start()
        request = rtu.read(1, "coil", 0, 8)
        begun = time.monotonic()
        for _ in range(10):
            job = Job(request, Priority.POLL, begun + 30, timeout_s=0.3, gap_s=0.005)
            assert bus.submit(job).result(30).result == "answered"
        took = time.monotonic() - begun
        bus.stop()
    characters = 8 + request.reply_length + 3.5
    assert took > 10 * characters * 10 / 9600
    assert line.crowded == 0


def test_an_unlock_that_comes_during_the_gap_goes_before_the_poll_that_waits(
    relays: Catalog,
) -> None:
    """The poll was chosen before the gap between frames, so an unlock that came in it waited for one
    frame more than it had to.
    """
    board = boards(relays, 1)[0]
    with VirtualLine([board]) as line:
        bus = Bus(line.path, relays[RELAY].settings({}), time.monotonic)
        late = time.monotonic() + 30
        poll, unlock = rtu.read(1, "coil", 0, 8), rtu.write_coil_raw(1, 0x0200, 7)
        bus.start()
        bus.submit(Job(poll, Priority.POLL, late, timeout_s=0.2, gap_s=0.5)).result(30)
        second = bus.submit(Job(poll, Priority.POLL, late, timeout_s=0.2, gap_s=0.5))
        time.sleep(0.05)
        job = Job(unlock, Priority.UNLOCK, late, timeout_s=0.2, gap_s=0.5, once=True)
        assert bus.submit(job).result(30).result == "answered"
        assert second.result(30).result == "answered"
        bus.stop()
        assert [frame[1] for frame in board.frames] == [1, 5, 1]
