"""Every line device of the catalogue on a real pseudo terminal, through the whole bridge."""

from __future__ import annotations

from device_profiles import Catalog
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig, Capability, OutcomeState
from firmware_bridge.virtual import VirtualStream
from firmware_bridge.virtual.stream import StreamLine
from tests.firmware_bridge.wires import until

PROFILES = {p.id: p for p in Catalog.built_in().profiles.values() if p.stream is not None}
HELD = {"input.code": "123456", "input.card": "0100ACC94F"}


async def test_every_line_device_does_what_it_is_for() -> None:
    """Found, let go once, switched, heard once, and made to speak."""
    lines = {}
    for name, profile in PROFILES.items():
        device = VirtualStream(name, profile, 0)
        device.inputs = [True] * len(device.inputs)
        lines[name] = StreamLine(device)
        lines[name].open()
    bridge = FirmwareBridge({name: line.path for name, line in lines.items()})
    heard: list[tuple[str, Capability | None, str]] = []
    bridge.on_event(lambda event: heard.append((event.board, event.capability, event.value)))
    await bridge.configure([BoardConfig(n, n, n, p.tried()) for n, p in PROFILES.items()])
    await bridge.start()
    try:
        await until(lambda: all(bridge.board_state(n).state == "online" for n in PROFILES), 30)
        for name, profile in PROFILES.items():
            await _use(bridge, name, lines[name])
            for capability, code in HELD.items():
                if profile.channels(capability):
                    lines[name].scan(code)
        wanted = {
            (name, Capability(capability), code)
            for name, profile in PROFILES.items()
            for capability, code in HELD.items()
            if profile.channels(capability)
        }
        await until(lambda: len(heard) >= len(wanted), 30)
        assert set(heard) == wanted
        assert len(heard) == len(wanted)
    finally:
        await bridge.stop()
        for line in lines.values():
            line.close()


async def _use(bridge: FirmwareBridge, name: str, line: StreamLine) -> None:
    profile, device = PROFILES[name], line.device
    if profile.channels("lock.pulse"):
        outcome = await bridge.pulse(name, 3, 500, 10)
        assert outcome.state is OutcomeState.DONE, (name, outcome)
        assert outcome.evidence["confirm"]["wanted"] is False, name
        assert (device.pulses[2], sum(device.pulses)) == (1, 1), name
        assert (await bridge.read(name, Capability.LOCK_STATE, 2, 10)).value is True, name
    if profile.channels("switch.set"):
        assert (await bridge.switch(name, None, True, 10)).state is OutcomeState.DONE, name
        assert bridge.reading(name, Capability.SWITCH_SET, None).value is True, name
    if profile.channels("speaker.say"):
        assert (await bridge.say(name, "ends_in_5", 10)).state is OutcomeState.DONE, name
        await until(lambda: list(device.played) == [4], 30)
