"""The faults that a bus must bear, one by one: what becomes of a pulse, of a level, of a reading.

A pulse is sent once and its outcome is honest; a level is asserted again and a reading asked again, so
that one fault costs neither. After each, the line works as before.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from device_profiles import Catalog
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig, Capability, OutcomeState
from firmware_bridge.virtual import Fault, VirtualBoard, VirtualLine
from tests.firmware_bridge.conftest import StartBridge
from tests.firmware_bridge.wires import RELAY, ScriptedSlave, hurried, until

DONE, UNKNOWN = OutcomeState.DONE, OutcomeState.UNKNOWN
FAULTS = {
    "bad CRC": ("bad_crc", UNKNOWN),
    "short frame": ("short", UNKNOWN),
    "extra bytes before": ("noise_before", DONE),
    "extra bytes after": ("noise_after", DONE),
    "reply from other unit": ("other_unit", UNKNOWN),
    "reply to other question": ("other_function", UNKNOWN),
    "late reply": ("late", UNKNOWN),
    "silent device": ("silent", UNKNOWN),
    "reply twice": ("twice", DONE),
    "reply byte by byte": ("split", DONE),
}


@pytest.fixture(scope="module")
def relays() -> Catalog:
    return hurried(RELAY, timeout_ms=120)


@pytest.mark.parametrize("fault", FAULTS)
async def test_fault_on_the_bus(start_bridge: StartBridge, relays: Catalog, fault: str) -> None:
    how, pulsed = FAULTS[fault]
    with ScriptedSlave(late_s=0.3) as slave:
        bridge = await start_bridge(slave.path, {"a": (RELAY, 1)}, relays)
        await until(lambda: bridge.reading("a", Capability.SWITCH_SET, 1).quality == "ok", 30)
        slave.script.append(how)
        assert (await bridge.pulse("a", 1, 700, 10)).state is pulsed
        assert slave.pulses == [7]
        slave.script.append(how)
        assert (await bridge.switch("a", 2, True, 10)).state is DONE
        assert slave.coils == 0b10
        slave.script.append(how)
        reading = await bridge.read("a", Capability.SWITCH_SET, 2, 10)
        assert (reading.value, reading.quality) == (True, "ok")
        await until(lambda: bridge.board_state("a").state == "online", 30)
        assert (await bridge.pulse("a", 1, 800, 10)).state is DONE
        assert slave.pulses == [7, 8]


async def test_port_vanishes_and_is_plugged_in_anew_under_its_name(
    tmp_path: Path, relays: Catalog
) -> None:
    """The system gives a new device; the name in /dev/serial/by-id stays. Nothing is sent by itself."""
    board = VirtualBoard("v", relays[RELAY], 1)
    by_id = tmp_path / "usb-adapter"
    line = VirtualLine([board], by_id).open()
    bridge = FirmwareBridge({"line": str(by_id)}, catalog=relays)
    try:
        await bridge.configure([BoardConfig("a", RELAY, "line", {"unit_id": 1})])
        await bridge.start()
        for _ in range(3):
            await until(lambda: bridge.board_state("a").state == "online", 30)
            assert (await bridge.switch("a", 1, not board.coils[0], 10)).state is DONE
            before = list(board.coils)
            holding = os.openpty()  # takes the number that the line gives up
            line.close()
            gone = await bridge.pulse("a", 3, 700, 2)
            assert (gone.state, gone.reason) == (OutcomeState.FAILED, "device_offline")
            assert "is not there; plug the adapter in" in gone.detail
            line.open()
            await until(lambda: bridge.board_state("a").state == "online", 30)
            assert (board.coils, board.pulses) == (before, [0] * 8)
            for end in holding:
                os.close(end)
        assert (await bridge.pulse("a", 3, 700, 10)).state is DONE
        assert board.pulses[2] == 1
    finally:
        await bridge.stop()
        line.close()


async def test_port_vanishes_in_the_middle_of_a_pulse_and_nobody_knows() -> None:
    patient = hurried(RELAY, timeout_ms=2000)
    board = VirtualBoard("v", patient[RELAY], 1)
    with VirtualLine([board]) as line:
        bridge = FirmwareBridge({"line": line.path}, catalog=patient)
        await bridge.configure([BoardConfig("a", RELAY, "line", {"unit_id": 1})])
        await bridge.start()
        try:
            await until(lambda: bridge.reading("a", Capability.SWITCH_SET, 1).quality == "ok", 30)
            board.fault = Fault(slow_ms=1800)
            pulse = asyncio.create_task(bridge.pulse("a", 1, 700, 10))
            await until(lambda: board.pulses[0] == 1, 30)
            line.close()
            outcome = await pulse
            assert outcome.state is UNKNOWN
        finally:
            await bridge.stop()
    assert board.pulses[0] == 1
