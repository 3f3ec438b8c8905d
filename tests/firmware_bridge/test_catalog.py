"""Every device of the catalog, installed at once: found, read, pulsed, switched through the bridge.

One bridge, and a virtual twin of each model on a real terminal, a real socket or a real broker.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import pytest

from device_profiles import Catalog, Profile
from device_profiles.schema import ModbusTcp
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import Aim, BoardConfig, Capability, Outcome, OutcomeState
from firmware_bridge.virtual import Rig
from firmware_bridge.virtual.rig import RigFile
from tests.firmware_bridge.wires import until
from tests.support.nats import NatsBroker

CATALOG = Catalog.built_in()
LATE_S = 60.0


@dataclass
class Store:
    """All devices, and the bridge that looks after them."""

    rig: Rig
    bridge: FirmwareBridge

    def waiting(self) -> dict[str, str]:
        """Those that are not online, and why."""
        states = {each: self.bridge.board_state(each) for each in CATALOG.profiles}
        return {each: f"{s.state}: {s.detail}" for each, s in states.items() if s.state != "online"}


def _params(profile: Profile) -> dict[str, int | float | str | bool]:
    """Its examples; on the broker each under a name of its own."""
    given = profile.tried()
    own = profile.id.replace(".", "-") if profile.messages is not None else ""
    return given | (
        {name: own for name in ("name", "prefix", "topic") if name in given} if own else {}
    )


def _line(profile: Profile) -> dict[str, object]:
    over = "serial"
    if isinstance(profile.transport, ModbusTcp):
        over = "rtu_tcp" if profile.transport.framing == "rtu" else "modbus_tcp"
    return {"over": over, "boards": [{"id": profile.id, "profile": profile.id}]}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    profiles = CATALOG.profiles.values()
    broker = NatsBroker(tmp_path / "broker")
    with broker:
        devices = [
            {"id": p.id, "profile": p.id, "params": _params(p), "broker": broker.url}
            for p in profiles
            if p.messages is not None
        ]
        lines = {p.id: _line(p) for p in profiles if p.messages is None}
        folder = tmp_path / "lines"
        rig = Rig(RigFile.model_validate({"lines": lines, "devices": devices}), folder).open()
        ports = {name: line.path.replace("rtu+tcp", "tcp") for name, line in rig.lines.items()}
        ports |= {name: device.path for name, device in rig.devices.items()}
        bridge = FirmwareBridge(ports)
        await bridge.configure([BoardConfig(p.id, p.id, p.id, _params(p)) for p in profiles])
        await bridge.start()
        yield Store(rig, bridge)
        await bridge.stop()
        rig.close()


@pytest.mark.xdist_group("catalog")
async def test_every_device_of_the_catalog_is_found_and_does_what_it_offers(store: Store) -> None:
    await until(lambda: not store.waiting(), LATE_S)
    for device in store.rig.devices.values():
        device.set()  # it speaks when something changes, so what was before is not known
    wrong: list[str] = []
    for profile in CATALOG.profiles.values():
        for capability, channel in profile.services:
            trouble = await _try(store.bridge, profile, Capability(capability), channel)
            if trouble:
                wrong.append(f"{profile.id} {capability} {channel}: {trouble}")
    assert wrong == []
    assert store.waiting() == {}


async def _air(bridge: FirmwareBridge, profile: Profile, channel: int | None) -> Outcome:
    """Every mode and speed that it offers, each set and seen."""
    served = profile.services[("climate.set", channel)]
    outcome = await bridge.climate(profile.id, channel, Aim(24), 10)
    for mode, fan in zip_longest(
        served.mode.words if served.mode else (), served.fan.words if served.fan else ()
    ):
        if outcome.state is OutcomeState.DONE:
            outcome = await bridge.climate(profile.id, channel, Aim(25, mode, fan), 10)
            air = await bridge.read_air(profile.id, channel, 10)
            assert (air.setpoint.value, air.mode.value, air.fan.value) == (
                25,
                mode or air.mode.value,
                fan or air.fan.value,
            ), profile.id
            assert {mode, fan} <= {None, *air.modes, *air.fans}
    return outcome


async def _try(
    bridge: FirmwareBridge, profile: Profile, capability: Capability, channel: int | None
) -> str:
    """Use a capability; what went wrong, or nothing."""
    if channel not in (None, *profile.channels(capability.value)[:2]):
        return ""  # two channels of each tell enough
    match capability:
        case Capability.LOCK_PULSE:
            outcome = await bridge.pulse(profile.id, channel, 1000, 10)
        case Capability.SWITCH_SET:
            outcome = await bridge.switch(profile.id, channel, True, 10)
        case Capability.CLIMATE_SET:
            outcome = await _air(bridge, profile, channel)
        case Capability.SPEAKER_SAY:
            outcome = await bridge.say(profile.id, next(iter(profile.clips)), 10)
        case Capability.INPUT_CODE | Capability.INPUT_CARD:
            return ""
        case _:
            reading = await bridge.read(profile.id, capability, channel, 10)
            end = time.monotonic() + 15
            while reading.quality != "ok" and time.monotonic() < end:
                await asyncio.sleep(0.1)
                reading = await bridge.read(profile.id, capability, channel, 10)
            return "" if reading.quality == "ok" else f"{reading.quality} {reading.value}"
    return "" if outcome.state is OutcomeState.DONE else f"{outcome.state} {outcome.detail}"
