"""A line on which everything goes wrong: what was answered, what was not, and how often was it sent."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device_profiles import Catalog
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig, Capability, Outcome, OutcomeState
from firmware_bridge.virtual import VirtualBoard, VirtualLine
from tests.firmware_bridge.conftest import StartBridge
from tests.firmware_bridge.wires import IO, RELAY, ScriptedSlave, hurried, until
from tests.support.haste import least

DONE, FAILED = OutcomeState.DONE, OutcomeState.FAILED
EXPIRED, UNKNOWN = OutcomeState.EXPIRED, OutcomeState.UNKNOWN
HARMLESS = ("ok", "noise_before", "noise_after", "twice", "split")
HARMFUL = ("silent", "bad_crc", "short", "other_unit", "other_function", "late", "exception")


@pytest.fixture(scope="module")
def relays() -> Catalog:
    return hurried(RELAY, timeout_ms=150)


async def known(bridge: FirmwareBridge, board: str = "a") -> None:
    """Wait until the board is identified and polled once, so that the line is quiet."""
    await until(lambda: bridge.board_state(board).state == "online")
    await until(lambda: bridge.reading(board, Capability.SWITCH_SET, 1).quality == "ok")


@pytest.mark.parametrize("fault", HARMLESS)
async def test_noise_around_the_answer_does_not_hide_it(
    start_bridge: StartBridge, relays: Catalog, fault: str
) -> None:
    with ScriptedSlave() as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, relays)
        await known(bridge)
        slave.script.append(fault)
        outcome = await bridge.pulse("a", 1, 700, 5)
        assert outcome.state is DONE
        assert slave.pulses == [7]


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        ("silent", "no answer"),
        ("bad_crc", "bytes came that make no frame (noise, wrong speed or wiring)"),
        ("short", "bytes came that make no frame (noise, wrong speed or wiring)"),
        ("other_unit", "other frames came, no answer"),
        ("other_function", "other frames came, no answer"),
        ("late", "no answer"),
    ],
)
async def test_a_pulse_without_a_valid_answer_is_unknown_and_not_sent_again(
    start_bridge: StartBridge, relays: Catalog, fault: str, detail: str
) -> None:
    with ScriptedSlave(late_s=0.25) as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, relays)
        await known(bridge)
        slave.script.append(fault)
        outcome = await bridge.pulse("a", 3, 500, 5)
        assert (outcome.state, outcome.reason, outcome.detail) == (UNKNOWN, "no_answer", detail)
        assert outcome.evidence["tx"].startswith("01 05 02 02 00 05")
        await asyncio.sleep(0.5)
        assert slave.pulses == [5]


async def test_a_board_that_fails_while_pulsing_leaves_it_unknown(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    """Exception 4 says that something broke while the order was carried out, not that it was not."""
    with ScriptedSlave() as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, relays)
        await known(bridge)
        slave.script.append("exception")
        outcome = await bridge.pulse("a", 1, 500, 5)
        assert (outcome.state, outcome.reason) == (UNKNOWN, "device_error")
        assert outcome.detail == "the board answered exception 4 (device failure)"
        assert slave.pulses == [5]


async def test_a_missed_confirmation_is_noted_and_undoes_nothing(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    with ScriptedSlave() as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, relays)
        await known(bridge)
        slave.script.extend(["ok", "silent"])
        outcome = await bridge.pulse("a", 1, 500, 5)
        assert outcome.state is DONE
        assert outcome.detail == "answered by the board, not seen when read back"
        assert outcome.evidence["confirm"]["missed"] == "no answer"
        assert slave.pulses == [5]


async def test_the_late_answer_of_one_pulse_is_not_the_answer_of_the_next(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    """The echo of a pulse equals the order. The first one's echo came late, just when the second was
    sent to a board that had died by then: it was taken for the second's answer, and a guest stood
    before a closed door that was reported as opened.
    """
    with ScriptedSlave(late_s=0.2) as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, relays)
        await known(bridge)
        slave.script.extend(["late", *["silent"] * 20])
        first = await bridge.pulse("a", 1, 500, 5)
        second = await bridge.pulse("a", 1, 500, 5)
        assert (first.state, second.state) == (UNKNOWN, UNKNOWN)
        assert slave.pulses == [5, 5]


async def test_a_late_answer_is_drained_before_the_next_question(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    """An answer that says «off» comes late, the relay is switched on meanwhile, then it is read."""
    with ScriptedSlave(late_s=0.18) as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, relays)
        await known(bridge)
        slave.script.extend(["late"])
        await bridge.read("a", Capability.SWITCH_SET, 1, 0.1)
        await asyncio.sleep(0.2)
        assert (await bridge.switch("a", 1, True, 5)).state is DONE
        reading = await bridge.read("a", Capability.SWITCH_SET, 1, 5)
        assert (reading.value, reading.quality) == (True, "ok")


@pytest.mark.parametrize("fault", [f for f in HARMFUL if f != "exception"])
async def test_reads_are_tried_again_and_levels_asserted_again(
    start_bridge: StartBridge, relays: Catalog, fault: str
) -> None:
    with ScriptedSlave(late_s=0.2) as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, relays)
        await known(bridge)
        slave.script.append(fault)
        reading = await bridge.read("a", Capability.SWITCH_SET, 1, 5)
        assert (reading.value, reading.quality) == (False, "ok")
        slave.script.append(fault)
        outcome = await bridge.switch("a", 1, True, 5)
        assert outcome.state is DONE
        assert slave.coils == 1
        orders = [s for s in slave.seen if s.data[1] == 5]
        assert len(orders) == 2


async def test_a_level_that_does_not_hold_is_a_failure(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    """The board echoes every order and switches nothing: a burnt driver, or another master."""

    class Stuck(ScriptedSlave):
        def _serve(self, request: bytes) -> bytes:
            return request[:6] if request[1] == 5 else super()._serve(request)

    with Stuck() as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, relays)
        await known(bridge)
        outcome = await bridge.switch("a", 2, True, 5)
        assert (outcome.state, outcome.reason) == (FAILED, "device_error")
        assert outcome.detail == "the board was told 3 times and still reads off"


async def test_a_pulse_past_its_deadline_is_never_sent(
    start_bridge: StartBridge, relays: Catalog
) -> None:
    with ScriptedSlave() as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, relays)
        await known(bridge)
        for deadline_s in (0.0, -1.0):
            outcome = await bridge.pulse("a", 1, 500, deadline_s)
            assert (outcome.state, outcome.reason) == (EXPIRED, "deadline")
        # Behind a question that nobody answers it waits for longer than it is good for.
        slave.script.append("silent")
        reading = asyncio.create_task(bridge.read("a", Capability.SWITCH_SET, 1, 5))
        await asyncio.sleep(0.02)
        outcome = await bridge.pulse("a", 1, 500, 0.05)
        assert (outcome.state, outcome.reason) == (EXPIRED, "deadline")
        assert (await reading).quality == "ok"
        assert slave.pulses == []


async def test_an_echoing_adapter_is_never_taken_for_a_board(start_bridge: StartBridge) -> None:
    """The right answer to a pulse is its echo: an adapter that echoes would report every door open."""

    class Echo(ScriptedSlave):
        def _reply(self, request: bytes) -> None:
            import os

            os.write(self.terminal.far, request)

    patient = hurried(RELAY, timeout_ms=400)  # an echo that comes too late is silence
    with Echo() as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, patient)
        await until(lambda: bridge.board_state("a").state == "offline")
        outcome = await bridge.pulse("a", 1, 500, 30)
        assert (outcome.state, outcome.reason) == (FAILED, "device_offline")
        assert "echoes what it sends" in outcome.detail
        assert slave.pulses == []


async def test_a_port_that_is_gone_sends_nothing_and_comes_back(
    start_bridge: StartBridge, tmp_path: Path
) -> None:
    board = VirtualBoard("v", Catalog.built_in()[RELAY], 1)
    line = VirtualLine([board], link=tmp_path / "by-id").open()
    try:
        bridge = await start_bridge(str(tmp_path / "by-id"), {"a": (RELAY, 1)})
        await known(bridge)
        assert (await bridge.switch("a", 4, True, 2)).state is DONE
        line.close()
        outcome = await bridge.pulse("a", 1, 500, 2)
        assert (outcome.state, outcome.reason) == (FAILED, "device_offline")
        await until(lambda: bridge.board_state("a").state == "offline")
        assert bridge.reading("a", Capability.SWITCH_SET, 4).quality == "stale"
        missing = "is not there; plug the adapter in or correct the path"
        await until(lambda: bridge.board_state("a").detail.endswith(missing))
        line.open()
        await until(lambda: bridge.board_state("a").state == "online")
        await until(lambda: bridge.reading("a", Capability.SWITCH_SET, 4).quality == "ok")
        assert bridge.reading("a", Capability.SWITCH_SET, 4).value is True
        line.close()
        line.open()  # pulled and plugged in again between two questions
        outcome = await bridge.pulse("a", 1, 500, 2)
        assert outcome.state in (DONE, FAILED)
        assert sum(board.pulses) == (outcome.state is DONE)
    finally:
        line.close()


async def test_a_dead_board_does_not_slow_its_healthy_neighbour(start_bridge: StartBridge) -> None:
    catalog = Catalog.built_in()
    good, dead = VirtualBoard("g", catalog[RELAY], 1), VirtualBoard("d", catalog[IO], 2)
    dead.fault.dead = True
    with VirtualLine([good, dead]) as line:
        bridge = await start_bridge(line.path, {"good": (RELAY, 1), "dead": (IO, 2)})
        await known(bridge, "good")
        await until(lambda: bridge.board_state("dead").state == "offline")
        waits: list[float] = []

        async def slowest() -> float:
            waits.clear()
            for _ in range(12):
                begun = time.monotonic()
                assert (await bridge.pulse("good", 1, 500, 20)).state is DONE
                waits.append(time.monotonic() - begun)
                await asyncio.sleep(0.11)
            # Most of them wait for nobody.
            return max(*waits, 5 * sorted(waits)[len(waits) // 2])

        # At worst one question to the dead board is under way: 200 ms and the bytes' own time.
        assert await least(slowest, 0.5) < 0.5, waits


async def test_an_unlock_is_tried_at_once_on_a_board_that_was_away(
    start_bridge: StartBridge,
) -> None:
    board = VirtualBoard("v", Catalog.built_in()[RELAY], 1)
    with VirtualLine([board]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)})
        await known(bridge)
        rounds = 0

        async def takes() -> float:
            nonlocal rounds
            rounds += 1
            board.fault.dead = True
            await until(lambda: bridge.board_state("a").state == "offline")
            assert (await bridge.pulse("a", 1, 500, 20)).state is UNKNOWN
            board.fault.dead = False
            begun = time.monotonic()
            assert (await bridge.pulse("a", 1, 500, 20)).state is DONE
            took = time.monotonic() - begun
            await until(lambda: bridge.board_state("a").state == "online")
            return took

        assert await least(takes, 0.6) < 0.6
        assert board.pulses[0] == rounds


async def run_script(script: list[str], calls: int) -> tuple[list[Outcome], list[int]]:
    """``calls`` pulses, each of its own length, against a board that behaves as in ``script``."""
    with ScriptedSlave(late_s=0.05) as slave:
        bridge = FirmwareBridge({"line": slave.path}, catalog=hurried(RELAY, timeout_ms=30))
        await bridge.configure([BoardConfig("a", RELAY, "line", {"unit_id": 1})])
        await bridge.start()
        await known(bridge)
        slave.script.extend(script)
        outcomes = []
        for call in range(calls):
            outcomes.append(await bridge.pulse("a", 1, 500 + 100 * call, 1))
            await bridge.switch("a", 2, call % 2 == 0, 0.2)
        await bridge.stop()
        await asyncio.sleep(0.02)
        return outcomes, slave.pulses


@settings(max_examples=25)
@given(st.lists(st.sampled_from(HARMLESS + HARMFUL), min_size=1, max_size=12))
def test_i04_however_the_line_fails_a_pulse_is_sent_at_most_once(script: list[str]) -> None:
    """And ``done`` means that the board saw it exactly once, ``failed`` that it saw nothing."""
    outcomes, pulses = asyncio.run(run_script(script, calls=3))
    for call, outcome in enumerate(outcomes):
        seen = pulses.count(5 + call)
        assert seen <= 1, (script, outcomes)
        if outcome.state is DONE:
            assert seen == 1, (script, outcome)
        if outcome.state in (FAILED, EXPIRED):
            assert seen == 0, (script, outcome)


def test_i04_negative_control_a_pulse_that_may_be_tried_again_is_seen_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The property above can fail: treat the pulse like a level and one silence doubles it."""
    from firmware_bridge.watch import Watch

    honest = Watch.ask

    async def careless(self: Watch, request, priority, deadline, *, attempts=1, once=False):
        return await honest(self, request, priority, deadline, attempts=3, once=False)

    monkeypatch.setattr(Watch, "ask", careless)
    outcomes, pulses = asyncio.run(run_script(["silent"], calls=1))
    assert outcomes[0].state is DONE
    assert pulses == [5, 5]
