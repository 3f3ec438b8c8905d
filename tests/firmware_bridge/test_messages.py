"""Devices on the store's own broker and on HTTP: a real broker, real sockets, real faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.enums import CallbackAPIVersion

from device_profiles import Catalog, Profile, load_profile
from device_profiles.profile import Messages
from device_profiles.spoken import ValueFault, judge, parsed, value_of
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig, BoardEvent, Capability, Outcome, OutcomeState
from firmware_bridge.virtual.http_device import HttpDevice
from firmware_bridge.virtual.message import VirtualMessageDevice
from firmware_bridge.virtual.mqtt_device import MqttDevice
from firmware_bridge.virtual.rig import Rig, RigError, RigFile
from tests.firmware_bridge.wires import until
from tests.support.nats import NatsBroker

MADE = Path(__file__).parent / "made"
CATALOG = Catalog(load_profile(file) for file in sorted(MADE.glob("*.yaml")))
PLUG, LOCK = CATALOG["made.rpc-plug"], CATALOG["made.http-lock"]
LATE_S = 30.0
DONE, FAILED, UNKNOWN = OutcomeState.DONE, OutcomeState.FAILED, OutcomeState.UNKNOWN


@asynccontextmanager
async def bridging(
    where: str, *boards: BoardConfig
) -> AsyncIterator[tuple[FirmwareBridge, list[BoardEvent]]]:
    bridge = FirmwareBridge({"way": where}, catalog=CATALOG)
    heard: list[BoardEvent] = []
    bridge.on_event(heard.append)
    await bridge.configure(list(boards))
    await bridge.start()
    try:
        yield bridge, heard
    finally:
        await bridge.stop()


async def stands(bridge: FirmwareBridge, board: str, state: str) -> None:
    await until(lambda: bridge.board_state(board).state == state, LATE_S)


# -- MQTT ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsBroker]:
    with NatsBroker(tmp_path_factory.mktemp("local")) as running:
        yield running


def plug(broker: NatsBroker, prefix: str) -> MqttDevice:
    return MqttDevice(prefix, PLUG, {"prefix": prefix}, broker.url)


def config(prefix: str) -> BoardConfig:
    return BoardConfig("plug", PLUG.id, "way", {"prefix": prefix})


class Bystander:
    """Somebody else on the broker, who sees every byte and may say what a bridge never would."""

    def __init__(self, broker: NatsBroker) -> None:
        self.seen: list[tuple[str, bytes, int, bool]] = []
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv311)
        self.client.on_message = lambda _c, _u, m: self.seen.append(
            (m.topic, bytes(m.payload), m.qos, m.retain)
        )
        self.client.connect(broker.host, broker.mqtt_port)
        self.client.loop_start()

    def watch(self, topic: str) -> None:
        self.client.subscribe(topic, 1)

    def say(self, topic: str, payload: Any, *, retain: bool = False) -> None:
        text = payload if isinstance(payload, str) else json.dumps(payload)
        self.client.publish(topic, text, 1, retain=retain).wait_for_publish(5)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def bystander(broker: NatsBroker) -> Iterator[Bystander]:
    other = Bystander(broker)
    yield other
    other.close()


async def test_a_plug_is_switched_read_and_dies_with_its_will(
    broker: NatsBroker, bystander: Bystander
) -> None:
    device = plug(broker, "day").open()
    bystander.watch("day/rpc")
    async with bridging(broker.url, config("day")) as (bridge, _):
        await stands(bridge, "plug", "online")
        done = await bridge.switch("plug", None, True, 5)
        assert done.state is DONE, done
        assert done.detail == "read back"
        assert device.device.state["output"] is True
        assert bridge.reading("plug", Capability.POWER_W, None).value == 180.5
        opened = await bridge.pulse("plug", None, 1500, 5)
        assert opened.state is DONE, opened
        assert device.count("open") == 1
        orders = [(json.loads(p)["method"], qos, kept) for _, p, qos, kept in bystander.seen]
        assert ("Lock.Open", 0, False) in orders
        assert not any(kept for _, _, kept in orders)

        device.close(suddenly=True)
        await stands(bridge, "plug", "offline")
        assert bridge.reading("plug", Capability.SWITCH_SET, None).quality == "stale"
        away = await bridge.pulse("plug", None, 1500, 5)
        assert (away.state, away.reason) == (FAILED, "device_offline")
        assert away.detail == "the device is not on the broker"
        device.open()
        await stands(bridge, "plug", "online")
        await asyncio.sleep(0.3)
        assert device.count("open") == 1  # nothing had waited for it
        assert device.retained == 0
    device.close()


async def test_broker_down_sends_nothing_then_and_nothing_later(tmp_path: Path) -> None:
    """An unlock that a client library keeps while the broker is away opens a door hours later."""
    with NatsBroker(tmp_path / "own") as own:
        device = plug(own, "down").open()
        async with bridging(own.url, config("down")) as (bridge, _):
            await stands(bridge, "plug", "online")
            own.kill()
            await stands(bridge, "plug", "offline")
            for _ in range(3):
                outcome = await bridge.pulse("plug", None, 1000, 2)
                assert (outcome.state, outcome.reason) == (FAILED, "device_offline")
            own.restart()
            await stands(bridge, "plug", "online")
            await asyncio.sleep(0.5)
            assert device.count("open") == 0
            assert (await bridge.pulse("plug", None, 1000, 5)).state is DONE
            assert device.count("open") == 1
        device.close()


async def test_a_silent_device_leaves_a_pulse_unknown_and_a_level_is_said_again(
    broker: NatsBroker,
) -> None:
    with plug(broker, "silent") as device:
        async with bridging(broker.url, config("silent")) as (bridge, _):
            await stands(bridge, "plug", "online")
            device.slow_ms = 700  # later than it may be
            outcome = await bridge.pulse("plug", None, 1000, 5)
            assert (outcome.state, outcome.reason) == (UNKNOWN, "no_answer")
            assert device.count("open") == 1
            device.slow_ms = 0
            device.dead = True
            switched = await bridge.switch("plug", None, True, 1.5)
            assert switched.state is UNKNOWN
            assert device.count("set") == 0  # it heard nothing
            device.dead = False
            assert (await bridge.switch("plug", None, True, 5)).state is DONE


async def test_what_is_retained_is_no_event_and_no_answer_and_late_replies_are_nobodys(
    broker: NatsBroker, bystander: Bystander
) -> None:
    bystander.say("kept/events/rpc", {"params": {"code": "OLD-CODE"}}, retain=True)
    with plug(broker, "kept"):
        async with bridging(broker.url, config("kept")) as (bridge, heard):
            await stands(bridge, "plug", "online")
            name = f"{bridge._spoken._brokers[broker.url].name}/plug/rpc"
            bystander.say(name, {"id": 999, "src": "kept", "result": {}})  # answers nothing
            for code in ("A1", "A1", "B2"):
                bystander.say("kept/events/rpc", {"params": {"code": code}})
            await until(lambda: len(heard) == 2, LATE_S)
            assert [event.value for event in heard] == ["A1", "B2"]
            assert heard[0].capability is Capability.INPUT_CODE
            assert "A1" not in repr(heard)


async def test_noise_on_its_topics_neither_moves_nor_kills_anything(
    broker: NatsBroker, bystander: Bystander
) -> None:
    with plug(broker, "noise") as device:
        async with bridging(broker.url, config("noise")) as (bridge, heard):
            await stands(bridge, "plug", "online")
            device.set()
            await until(
                lambda: bridge.reading("plug", Capability.SWITCH_SET, None).quality == "ok", LATE_S
            )
            for payload in (
                "",
                "{",
                "[[[[[[[[[[[]]]]]]]]]]]",
                "null",
                '{"output": "maybe"}',
                "\x00",
            ):
                bystander.say("noise/status/switch:0", payload)
                bystander.say("noise/online", payload or "?")
            await until(
                lambda: bridge.reading("plug", Capability.SWITCH_SET, None).quality == "fault",
                LATE_S,
            )
            device.set()
            await until(
                lambda: bridge.reading("plug", Capability.SWITCH_SET, None).quality == "ok", LATE_S
            )
            assert heard == []
            assert (await bridge.switch("plug", None, True, 5)).state is DONE


# -- HTTP ---------------------------------------------------------------------------------------------


def lock() -> HttpDevice:
    return HttpDevice("lock", LOCK, {"key": "s3cret"})


DOOR = BoardConfig("door", LOCK.id, "way", {"key": "s3cret"})


@pytest.mark.parametrize("auth", ["none", "basic", "digest"])
async def test_a_lock_on_http_opens_once_with_whatever_password_it_wants(
    auth: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with HttpDevice("lock", LOCK, {"key": "s3cret"}, auth=auth, password="p w:1") as device:
        where = device.path.replace("http://", "http://admin:p%20w%3A1@")
        async with bridging(where, DOOR) as (bridge, _):
            await stands(bridge, "door", "online")
            await until(
                lambda: bridge.reading("door", Capability.DOOR_CONTACT, None).value is True, LATE_S
            )
            told: list[Outcome] = []
            outcome = await bridge.pulse("door", None, 2000, 5, told.append)
            assert outcome.state is DONE, outcome
            assert [one.state for one in told] == [DONE]
            assert device.count("open") == 1
            assert (await bridge.read("door", Capability.DOOR_CONTACT, None, 5)).value is False
            lamp = await bridge.switch("door", None, True, 5)
            assert (lamp.state, lamp.detail) == (DONE, "read back")
            said = f"{outcome.evidence}{lamp.evidence}{bridge.board_state('door')}{caplog.text}"
            assert "s3cret" not in said
            assert "p%20w" not in said


@pytest.mark.parametrize(
    ("fault", "state", "detail"),
    [
        ({"redirects": True}, UNKNOWN, "it answered with a redirect (302), which is not followed"),
        ({"status": 500}, UNKNOWN, "it answered with an error of its own (500)"),
        ({"status": 403}, FAILED, "the board answered the password is wrong or missing (403)"),
        ({"answer": b"\xff{"}, UNKNOWN, "what came is no JSON"),
        ({"answer": b"[" * 100_000}, UNKNOWN, "the connection broke: the answer is too long"),
        ({"answer": b'{"errcode": 7}'}, FAILED, "the board answered /errcode is not 0"),
    ],
)
async def test_whatever_http_answers_a_pulse_is_sent_once_and_its_outcome_is_honest(
    fault: dict[str, Any], state: OutcomeState, detail: str
) -> None:
    """Seen: a lock on HTTP said no, and who waited heard that the door is open: they were told of its answer
    as if every answer were a yes.
    """
    with lock() as device:
        async with bridging(device.path, DOOR) as (bridge, _):
            await stands(bridge, "door", "online")
            for key, value in fault.items():
                setattr(device, key, value)
            told: list[Outcome] = []
            outcome = await bridge.pulse("door", None, 2000, 5, told.append)
            assert (outcome.state, outcome.detail) == (state, detail)
            assert told == []
            assert device.asked.count("POST /open") == 1


async def test_a_silent_or_missing_device_on_http_is_away_and_comes_back() -> None:
    device = lock().open()
    async with bridging(device.path, DOOR) as (bridge, _):
        await stands(bridge, "door", "online")
        device.slow_ms = 900
        outcome = await bridge.pulse("door", None, 1000, 8)
        assert (outcome.state, outcome.reason) == (UNKNOWN, "no_answer")
        device.slow_ms = 0
        device.close()
        await stands(bridge, "door", "offline")
        gone = await bridge.pulse("door", None, 1000, 5)
        assert (gone.state, gone.reason) == (FAILED, "device_offline")
        device.open()
        await stands(bridge, "door", "online")
        assert device.count("open") == 1
    device.close()


async def test_another_device_at_the_address_is_refused() -> None:
    other = lock()
    other.device.state["model"] = "L9"
    with other as device:
        async with bridging(device.path, DOOR) as (bridge, _):
            await stands(bridge, "door", "refused")
            assert bridge.board_state("door").detail == (
                "the model is L9, not L1: another device is at this address"
            )
            outcome = await bridge.pulse("door", None, 1000, 3)
            assert outcome.state is FAILED
            assert device.count("open") == 0


async def test_an_unlock_on_http_waits_for_one_request_at_most() -> None:
    with lock() as device:
        async with bridging(device.path, DOOR) as (bridge, _):
            await stands(bridge, "door", "online")
            device.slow_ms = 150
            reads = [
                asyncio.create_task(bridge.read("door", Capability.DOOR_CONTACT, None, 10))
                for _ in range(10)
            ]
            await asyncio.sleep(0.05)
            before = len(device.device.heard)
            assert (await bridge.pulse("door", None, 1000, 10)).state is DONE
            place = device.device.heard.index("open")
            assert place <= before + 2
            await asyncio.gather(*reads)


@pytest.mark.parametrize(
    ("profile", "where", "words"),
    [(PLUG, "http://x", "is no broker; write mqtt://"), (LOCK, "mqtt://x", "is no device on HTTP")],
)
async def test_the_wrong_kind_of_port_is_said(profile: Any, where: str, words: str) -> None:
    board = BoardConfig("it", profile.id, "way", profile.tried())
    async with bridging(where, board) as (bridge, _):
        state = bridge.board_state("it")
        assert state.state == "offline"
        assert words in state.detail


# -- parsers ------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(JSON, st.binary(max_size=60))
def test_fuzz_no_message_but_the_order_itself_moves_a_virtual_device(
    document: Any, raw: bytes
) -> None:
    device = VirtualMessageDevice(PLUG, {"prefix": "p"})
    device.hear("p/rpc", raw)
    assert device.heard == []
    device.hear("p/rpc", json.dumps(document).encode())
    asked = isinstance(document, dict) and document.get("method") in ("Lock.Open", "Switch.Set")
    assert asked or device.heard == []


@given(JSON, st.binary(max_size=60))
def test_fuzz_whatever_a_device_says_is_an_answer_or_a_fault_and_no_crash(
    document: Any, raw: bytes
) -> None:
    for payload in (raw, json.dumps(document).encode()):
        for command in (*messages(PLUG).commands.values(), *messages(LOCK).commands.values()):
            try:
                said = parsed(payload, text=False)
            except ValueFault:
                continue
            assert command.answer is not None
            verdict, why = judge(command.answer, said, {"seq": 7, "reply_to": "x"})
            assert verdict in ("other", "done", "refused")
            assert len(why) <= 300
        for profile in (PLUG, LOCK):
            for point in profile.points.values():
                try:
                    value = value_of(point, parsed(payload, text=False))
                except ValueFault:
                    continue
                assert isinstance(value, bool | float)


def messages(profile: Profile) -> Messages:
    assert profile.messages is not None
    return profile.messages


# -- the virtual store ----------------------------------------------------------------------------------


async def test_a_rig_has_devices_on_the_broker_and_on_http_beside_its_lines(
    broker: NatsBroker,
) -> None:
    file = RigFile.model_validate(
        {
            "devices": [
                {"id": "p", "profile": PLUG.id, "params": {"prefix": "rig"}, "broker": broker.url},
                {"id": "l", "profile": LOCK.id, "params": {"key": "s3cret"}},
            ]
        }
    )
    rig = Rig(file, catalog=CATALOG).open()
    try:
        where = rig.devices["l"].path
        async with bridging(where, BoardConfig("l", LOCK.id, "way", {"key": "s3cret"})) as (
            bridge,
            _,
        ):
            await stands(bridge, "l", "online")
            rig.set_state("l", {"door": "open"})
            await until(
                lambda: bridge.reading("l", Capability.DOOR_CONTACT, None).value is False, LATE_S
            )
            rig.set_fault("l", {"dead": True})
            await stands(bridge, "l", "offline")
        assert "s3cret" not in json.dumps(rig.state())
        assert [each["fault"]["dead"] for each in rig.state()["devices"]] == [False, True]
        with pytest.raises(RigError, match="l has no 'window'; it has model, door"):
            rig.set_state("l", {"window": "open"})
        with pytest.raises(RigError, match="is no fault of p"):
            rig.set_fault("p", {"bad_crc": True})
        with pytest.raises(RigError, match="there is no device 'x'; there are p, l"):
            rig.set_state("x", {})
    finally:
        rig.close()
    with pytest.raises(RigError, match="put it under devices"):
        Rig(RigFile.model_validate({"lines": {"a": {"boards": [{"id": "p", "profile": PLUG.id}]}}}),
            catalog=CATALOG)  # fmt: skip
