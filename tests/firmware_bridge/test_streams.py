"""A scanner on a real pseudo terminal: codes come once, whole, and without being written down."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from device_profiles import ProfileError
from device_profiles.patterns import FrameTemplate
from device_profiles.spoken import Call
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig, BoardEvent, OutcomeState, Priority
from firmware_bridge.stream_carrier import StreamCarrier
from firmware_bridge.virtual import Rig, StreamLine
from firmware_bridge.virtual.rig import RigError, RigFile
from tests.firmware_bridge.wires import RELAY

SCANNER = "hzgrow.gm65"
DOOR = BoardConfig("door", SCANNER, "scanner-1")


@asynccontextmanager
async def scanning(
    *configs: BoardConfig,
) -> AsyncIterator[tuple[FirmwareBridge, Rig, list[BoardEvent]]]:
    rig = Rig(
        RigFile.model_validate(
            {"lines": {"scanner-1": {"boards": [{"id": "door", "profile": SCANNER}]}}}
        )
    ).open()
    bridge = FirmwareBridge({"scanner-1": rig.lines["scanner-1"].path})
    heard: list[BoardEvent] = []
    bridge.on_event(heard.append)
    try:
        await bridge.configure(list(configs) or [DOOR])
        await bridge.start()
        yield bridge, rig, heard
    finally:
        await bridge.stop()
        rig.close()


async def until(condition: Callable[[], Any], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            await asyncio.sleep(0.01)


def line(rig: Rig) -> StreamLine:
    found = rig.lines["scanner-1"]
    assert isinstance(found, StreamLine)
    return found


async def test_a_code_held_before_the_scanner_is_one_event(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    async with scanning() as (bridge, rig, heard):
        await until(lambda: bridge.board_state("door").state == "online")
        code = "K1:" + "A" * 176
        for _ in range(5):  # the phone rests before the reader
            rig.scan("door", code)
            await asyncio.sleep(0.05)
        rig.scan("door", "123456")
        await until(lambda: len(heard) == 2)
        assert [(e.board, e.name, e.value) for e in heard] == [
            ("door", "code", code),
            ("door", "code", "123456"),
        ]
        assert code not in repr(heard)
        assert rig.board_state("door")["scanned"] == 6
    assert "AAAA" not in caplog.text


async def test_questions_between_codes_are_not_taken_for_codes() -> None:
    async with scanning() as (bridge, rig, heard):
        await until(lambda: bridge.board_state("door").state == "online")
        watch = bridge._spoken.watches["door"]
        deadline = bridge._monotonic() + 30
        calls = [Call("mode", {}), Call("trigger", {})]
        asked = [watch.ask(call, Priority.CONFIRM, deadline) for call in calls]
        codes = [f"{number:02}-".ljust(100, "x") for number in range(20)]  # two pieces each
        for code in codes:
            rig.scan("door", code)
        results = await asyncio.gather(*asked)
        assert [told.exchange.result for told in results] == ["answered", "answered"]
        await until(lambda: len(heard) == 20)
        assert [event.value for event in heard] == codes


async def test_a_scanner_that_waits_for_a_trigger_is_refused_and_heeded_when_set_right() -> None:
    async with scanning() as (bridge, rig, heard):
        device = line(rig).device
        right = device.stream.simulator.answers[0]
        wrong = right.model_copy(update={"with_": FrameTemplate("02 00 00 01 D4 B8 C8")})
        device.stream.simulator.answers[0] = wrong
        try:
            await until(lambda: bridge.board_state("door").state == "refused")
            assert "scan mode (bits 1 and 0 of zone 0x0000) is 0, not 2 or 3" in (
                bridge.board_state("door").detail
            )
            rig.scan("door", "123456")
            await asyncio.sleep(0.1)
            assert heard == []
        finally:
            device.stream.simulator.answers[0] = right
        await until(lambda: bridge.board_state("door").state == "online")


async def test_a_pulled_scanner_is_offline_and_comes_back() -> None:
    async with scanning() as (bridge, rig, heard):
        await until(lambda: bridge.board_state("door").state == "online")
        path = line(rig).path
        line(rig).close()
        await until(lambda: bridge.board_state("door").state == "offline")
        line(rig).open()
        if line(rig).path == path:  # the system may number terminals anew
            await until(lambda: bridge.board_state("door").state == "online")
            rig.scan("door", "again")
            await until(lambda: [event.value for event in heard] == ["again"])


async def test_a_busy_computer_is_no_silence_on_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen: a guest's pass was not heard on a busy machine. Its bytes came without a pause, but were read
    in two goes 300 ms apart, which was taken for 300 ms of silence: the first half was given up, and what
    was left was no pass. The guest stood before a door that said nothing.
    """
    async with scanning() as (bridge, rig, heard):
        await until(lambda: bridge.board_state("door").state == "online")
        carrier = bridge._spoken.watches["door"].carrier
        assert isinstance(carrier, StreamCarrier)
        port = carrier.port
        held = threading.Event()

        def busy(_: bytes) -> None:
            held.set()
            time.sleep(0.3)  # the owner thread gets no turn

        monkeypatch.setattr(port, "_hear_frame", busy)
        line(rig).send([bytes.fromhex("02000001003331") + b"K1:HA"])
        await until(held.is_set)
        line(rig).send([b"LF\r"])
        await until(lambda: [event.value for event in heard] == ["K1:HALF"])
        # Real silence still parts what does not belong together.
        monkeypatch.setattr(port, "_hear_frame", lambda _: None)
        line(rig).send([b"K1:LOST"])
        await until(lambda: port._splitter.waits)
        await until(lambda: not port._splitter.waits)
        line(rig).send([b"K1:WHOLE\r"])
        await until(lambda: [event.value for event in heard] == ["K1:HALF", "K1:WHOLE"])


async def test_a_silent_scanner_is_offline_but_its_codes_count() -> None:
    async with scanning() as (bridge, rig, heard):
        rig.set_fault("door", {"dead": True})
        await until(lambda: bridge.board_state("door").state == "offline")
        line(rig).send([b"K1:LOST\r"])
        rig.set_fault("door", {"dead": False})
        line(rig).send([b"K1:XYZ\r"])
        await until(lambda: [event.value for event in heard] == ["K1:XYZ"])


async def test_nobody_shares_a_scanners_line_and_a_scanner_says_nothing() -> None:
    async with scanning() as (bridge, _, _):
        other = BoardConfig("relay", RELAY, "scanner-1", {"unit_id": 1})
        with pytest.raises(ProfileError) as caught:
            await bridge.configure([DOOR, other])
        assert str(caught.value) == "door must be alone on scanner-1, but relay is there too"
        with pytest.raises(ProfileError, match="parameter 'unit_id' is unknown; there is baud"):
            await bridge.configure([BoardConfig("door", SCANNER, "scanner-1", {"unit_id": 1})])
        outcome = await bridge.say("door", "welcome", 1.0)
        assert (outcome.state, outcome.reason) == (OutcomeState.FAILED, "bad_request")
        assert (await bridge.pulse("door", 1, 700, 1.0)).state is OutcomeState.FAILED


async def test_a_scanner_without_a_port_is_offline() -> None:
    async with scanning(BoardConfig("door", SCANNER, "nowhere")) as (bridge, _, _):
        assert bridge.board_state("door").state == "offline"
        assert "no port named 'nowhere'" in bridge.board_state("door").detail


def test_a_rig_refuses_what_is_no_code_and_no_scanner() -> None:
    file: dict[str, Any] = {
        "lines": {
            "a": {"boards": [{"id": "door", "profile": SCANNER}]},
            "b": {"boards": [{"id": "relay", "profile": RELAY}]},
        }
    }
    rig = Rig(RigFile.model_validate(file))
    for board, text, message in (
        ("relay", "1", "relay is no scanner"),
        ("x", "1", "there is no board 'x'; there are door, relay"),
        ("door", "", "a code is printable ASCII, and not empty"),
        ("door", "竹", "a code is printable ASCII, and not empty"),
    ):
        with pytest.raises(RigError) as caught:
            rig.scan(board, text)
        assert str(caught.value) == message
    file["lines"]["a"]["boards"].append({"id": "second", "profile": RELAY})
    with pytest.raises(RigError, match="line a: door must be alone on its line"):
        Rig(RigFile.model_validate(file))
