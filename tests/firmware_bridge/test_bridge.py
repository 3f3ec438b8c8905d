"""The contract as the controller meets it, on virtual boards."""

from __future__ import annotations

import time

import pytest

from device_profiles import Catalog, ProfileError
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig, Bridge, Capability, OutcomeState, Reading
from firmware_bridge.ticks import SinceBoot
from firmware_bridge.virtual import Fault, VirtualBoard, VirtualLine
from store_link.clock import WireClock
from tests.firmware_bridge.conftest import StartBridge
from tests.firmware_bridge.wires import IO, RELAY, hurried, until
from tests.support.haste import least

CATALOG = Catalog.built_in()


def typed(bridge: FirmwareBridge) -> Bridge:
    """That the class is what the controller's type says (checked by the type checker)."""
    return bridge


async def test_a_day_at_the_door(start_bridge: StartBridge) -> None:
    relay, io = VirtualBoard("r", CATALOG[RELAY], 1), VirtualBoard("i", CATALOG[IO], 2)
    told: list[str] = []
    with VirtualLine([relay, io]) as line:
        bridge = typed(await start_bridge(line.path, {"relay": (RELAY, 1), "io": (IO, 2)}))
        bridge.on_change(told.append)
        assert bridge.board_state("relay").state == "starting"
        await until(lambda: {bridge.board_state(b).state for b in ("relay", "io")} == {"online"})

        outcome = await bridge.pulse("relay", 1, 700, 10)
        assert outcome.state is OutcomeState.DONE
        assert outcome.evidence["tx"] == outcome.evidence["rx"] == "01 05 02 00 00 07 8d b0"
        assert outcome.evidence["confirm"]["read"] is True
        assert relay.pulses == [1, 0, 0, 0, 0, 0, 0, 0]

        assert (await bridge.switch("relay", 2, True, 5)).state is OutcomeState.DONE
        assert bridge.reading("relay", Capability.SWITCH_SET, 2).value is True
        assert (
            await bridge.switch("relay", 2, True, 5)
        ).state is OutcomeState.DONE  # asserted again

        line.locked(lambda board: board.set_input(3, True), "i")
        await until(lambda: bridge.reading("io", Capability.DOOR_CONTACT, 3).value is True)
        assert bridge.reading("io", Capability.PRESENCE, 3) == bridge.reading(
            "io", Capability.LOCK_STATE, 3
        )
        assert "io" in told
        await until(lambda: not relay.coils[0])
        await until(lambda: bridge.reading("relay", Capability.SWITCH_SET, 1).value is False)
        assert [(e.coil, e.cause) for e in relay.history] == [
            (1, "flash"),
            (2, "write"),
            (1, "flash_end"),
        ]


async def test_an_open_fire_loop_is_a_hazard(start_bridge: StartBridge) -> None:
    io = VirtualBoard("i", CATALOG[IO], 1)
    io.inputs[0] = True
    with VirtualLine([io]) as line:
        bridge = await start_bridge(line.path, {"io": (IO, 1)})
        await until(lambda: bridge.reading("io", Capability.HAZARD, 1).quality == "ok")
        assert bridge.reading("io", Capability.HAZARD, 1).value is False
        line.locked(lambda board: board.set_input(1, False), "i")
        await until(lambda: bridge.reading("io", Capability.HAZARD, 1).value is True)
        assert (await bridge.read("io", Capability.HAZARD, 1, 5)).value is True


async def test_what_a_reading_is_worth(start_bridge: StartBridge) -> None:
    relay = VirtualBoard("r", CATALOG[RELAY], 1)
    relay.fault = Fault(dead=True)
    with VirtualLine([relay]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)}, hurried(RELAY, poll_ms=100))
        await until(lambda: bridge.board_state("a").state == "offline")
        assert bridge.reading("a", Capability.SWITCH_SET, 1) == Reading(None, "never", None)
        assert (await bridge.read("a", Capability.SWITCH_SET, 1, 1)).quality == "never"

        relay.fault = Fault()
        await until(lambda: bridge.reading("a", Capability.SWITCH_SET, 1).quality == "ok")
        good = bridge.reading("a", Capability.SWITCH_SET, 1)
        relay.fault = Fault(bad_crc=True)
        await until(lambda: bridge.reading("a", Capability.SWITCH_SET, 1).quality == "fault")
        bad = bridge.reading("a", Capability.SWITCH_SET, 1)
        assert bad.value is False  # the last good value stays
        assert bad.read_at is not None
        assert good.read_at is not None
        assert bad.read_at >= good.read_at

        relay.fault = Fault(wrong_unit=True)
        await until(lambda: bridge.board_state("a").state == "offline")
        relay.fault = Fault()
        await until(lambda: bridge.reading("a", Capability.SWITCH_SET, 1).quality == "ok")
        relay.fault = Fault(dead=True)
        await until(lambda: bridge.reading("a", Capability.SWITCH_SET, 1).quality == "stale")
        assert (await bridge.read("a", Capability.SWITCH_SET, 1, 1)).quality == "stale"


async def test_a_slow_board_leaves_the_pulse_unknown_and_gets_it_once(
    start_bridge: StartBridge,
) -> None:
    relay = VirtualBoard("r", CATALOG[RELAY], 1)
    with VirtualLine([relay]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)})
        await until(lambda: bridge.board_state("a").state == "online")
        relay.fault = Fault(slow_ms=400)
        assert (await bridge.pulse("a", 1, 500, 5)).state is OutcomeState.UNKNOWN
        await until(lambda: not relay.coils[0])
        assert relay.pulses[0] == 1


async def test_a_power_cycle_is_seen_and_nothing_is_done_about_it(
    start_bridge: StartBridge,
) -> None:
    relay = VirtualBoard("r", CATALOG[RELAY], 1)
    with VirtualLine([relay]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)}, hurried(RELAY, poll_ms=100))
        await until(lambda: bridge.board_state("a").state == "online")
        await bridge.switch("a", 3, True, 5)
        line.locked(VirtualBoard.power_cycle, "r")
        await until(lambda: bridge.reading("a", Capability.SWITCH_SET, 3).value is False)
        assert [e.cause for e in relay.history] == ["write", "power_cycle"]


async def test_a_board_that_was_on_before_the_bridge_started_stays_on(
    start_bridge: StartBridge,
) -> None:
    relay = VirtualBoard("r", CATALOG[RELAY], 1)
    relay.coils[4] = True
    with VirtualLine([relay]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)})
        await until(lambda: bridge.reading("a", Capability.SWITCH_SET, 5).value is True)
        await bridge.stop()
        assert relay.coils[4]
        assert not relay.history


async def test_a_board_of_another_model_is_refused_until_it_is_put_right(
    start_bridge: StartBridge,
) -> None:
    relay = VirtualBoard("r", CATALOG[RELAY], 1)
    relay.set_register("holding", 0x8000, 100)
    with VirtualLine([relay]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)})
        await until(lambda: bridge.board_state("a").state == "refused")
        assert bridge.board_state("a").detail == (
            "the firmware version register (0x8000) holds 100, not at least 200: the board speaks"
            " protocol V1, which is not Modbus; have its firmware upgraded"
        )
        outcome = await bridge.pulse("a", 1, 500, 2)
        assert (outcome.state, outcome.reason) == (OutcomeState.FAILED, "device_error")
        assert bridge.reading("a", Capability.SWITCH_SET, 1).quality == "fault"
        assert relay.pulses == [0] * 8
        relay.set_register("holding", 0x8000, 200)
        assert (await bridge.pulse("a", 1, 500, 2)).state is OutcomeState.DONE


async def test_an_unlock_before_the_board_is_known_identifies_it_first(
    start_bridge: StartBridge,
) -> None:
    relay = VirtualBoard("r", CATALOG[RELAY], 1)
    with VirtualLine([relay]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)})
        outcome = await bridge.pulse("a", 1, 500, 5)
        assert outcome.state is OutcomeState.DONE
        asked = [frame[1] for frame in relay.frames]
        assert asked.index(5) > asked.index(3)


async def test_an_unlock_in_too_great_a_hurry_says_nothing_about_the_board(
    start_bridge: StartBridge,
) -> None:
    """Its deadline passed while it waited to identify the board: that made the board «offline»."""
    relay = VirtualBoard("r", CATALOG[RELAY], 1)
    with VirtualLine([relay]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)})
        outcome = await bridge.pulse("a", 1, 500, 1e-6)
        assert (outcome.state, outcome.reason) == (OutcomeState.EXPIRED, "deadline")
        assert bridge.board_state("a").state != "offline"
        assert relay.pulses == [0] * 8


@pytest.mark.parametrize(
    ("board", "channel", "duration_ms", "detail"),
    [
        ("b", 1, 500, "there is no board 'b'; there are a"),
        ("a", 9, 500, "a has no lock.pulse on channel 9; it has channels 1, 2, 3, 4, 5, 6, 7, 8"),
        (
            "a",
            None,
            500,
            "a has no lock.pulse on channel None; it has channels 1, 2, 3, 4, 5, 6, 7, 8",
        ),
        (
            "a",
            1,
            50,
            f"pulse.1 of {RELAY}: duration_ms must be 500 to 10000 in steps of 100, not 50",
        ),
        (
            "a",
            1,
            550,
            f"pulse.1 of {RELAY}: duration_ms must be 500 to 10000 in steps of 100, not 550",
        ),
        (
            "a",
            1,
            60_000,
            f"pulse.1 of {RELAY}: duration_ms must be 500 to 10000 in steps of 100, not 60000",
        ),
    ],
)
async def test_what_a_board_does_not_do_is_said(
    start_bridge: StartBridge, board: str, channel: int | None, duration_ms: int, detail: str
) -> None:
    relay = VirtualBoard("r", CATALOG[RELAY], 1)
    with VirtualLine([relay]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)})
        outcome = await bridge.pulse(board, channel, duration_ms, 5)
        assert (outcome.state, outcome.reason) == (OutcomeState.FAILED, "bad_request")
        assert outcome.detail == detail
        assert relay.pulses == [0] * 8


async def test_configuring_again_keeps_what_did_not_change(start_bridge: StartBridge) -> None:
    one, two = VirtualBoard("1", CATALOG[RELAY], 1), VirtualBoard("2", CATALOG[RELAY], 2)
    with VirtualLine([one, two]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)})
        await until(lambda: bridge.board_state("a").state == "online")
        identified = len([f for f in one.frames if f[1] == 3])
        a = BoardConfig("a", RELAY, "line", {"unit_id": 1})
        b = BoardConfig("b", RELAY, "line", {"unit_id": 2})
        await bridge.configure([a, b])
        assert bridge.board_state("a").state == "online"
        await until(lambda: bridge.board_state("b").state == "online")
        assert len([f for f in one.frames if f[1] == 3]) == identified
        await bridge.configure([b])
        assert bridge.board_state("a").detail == "there is no board 'a'"
        assert (await bridge.pulse("b", 1, 500, 5)).state is OutcomeState.DONE


@pytest.mark.parametrize(
    ("boards", "message"),
    [
        (
            [("a", "acme.x", {})],
            f"there is no profile 'acme.x'; there are {', '.join(CATALOG.profiles)}",
        ),
        (
            [("a", RELAY, {"unit_id": 300})],
            f"{RELAY}: unit_id must be a whole number from 1 to 247, not 300",
        ),
        ([("a", RELAY, {}), ("a", RELAY, {"unit_id": 2})], "board 'a' is given twice"),
        ([("a", RELAY, {}), ("b", IO, {})], "b and a are both unit 1 on line"),
        (
            [("a", RELAY, {}), ("b", IO, {"unit_id": 2, "baud": 38400})],
            "b and a share line with different line settings",
        ),
    ],
)
async def test_a_bad_configuration_changes_nothing(
    start_bridge: StartBridge,
    boards: list[tuple[str, str, dict[str, int | float | str | bool]]],
    message: str,
) -> None:
    relay = VirtualBoard("r", CATALOG[RELAY], 1)
    with VirtualLine([relay]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1)})
        with pytest.raises(ProfileError) as caught:
            await bridge.configure([BoardConfig(i, p, "line", params) for i, p, params in boards])
        assert str(caught.value) == message
        assert (await bridge.pulse("a", 1, 500, 5)).state is OutcomeState.DONE


async def test_a_port_this_controller_does_not_have_fails_alone(start_bridge: StartBridge) -> None:
    relay = VirtualBoard("r", CATALOG[RELAY], 1)
    with VirtualLine([relay]) as line:
        bridge = await start_bridge(line.path, {})
        await bridge.configure(
            [BoardConfig("a", RELAY, "line"), BoardConfig("b", RELAY, "elsewhere")]
        )
        assert bridge.board_state("b").detail == "this controller has no port named 'elsewhere'"
        outcome = await bridge.pulse("b", 1, 500, 5)
        assert (outcome.state, outcome.reason) == (OutcomeState.FAILED, "device_offline")
        assert (await bridge.pulse("a", 1, 500, 5)).state is OutcomeState.DONE


async def test_stopping_is_quick_and_watching_costs_little(start_bridge: StartBridge) -> None:
    relay, dead = VirtualBoard("r", CATALOG[RELAY], 1), VirtualBoard("d", CATALOG[RELAY], 2)
    dead.fault.dead = True
    with VirtualLine([relay, dead]) as line:
        bridge = await start_bridge(line.path, {"a": (RELAY, 1), "d": (RELAY, 2)})
        await until(lambda: bridge.board_state("d").state == "offline")

        async def share() -> float:
            used, begun = time.process_time(), time.monotonic()
            frames = len(relay.frames)
            await until(lambda: time.monotonic() - begun > 2.5)
            await until(lambda: len(relay.frames) - frames >= 2)
            # Board, line, bridge and the waiting above: all of it in this process.
            return (time.process_time() - used) / (time.monotonic() - begun)

        assert await least(share, 0.08) < 0.08
        begun = time.monotonic()
        await bridge.stop()
        assert time.monotonic() - begun < 5


def test_the_bridge_and_the_controller_date_by_the_same_clock() -> None:
    assert abs(SinceBoot().monotonic() - WireClock().monotonic()) < 1
