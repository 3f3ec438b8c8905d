"""How one board is wired and named, said to installers: made from its profile, so that it says no more.

What a profile's own file says in words (parameters, caveats, sources) stands as the file has it.
"""

from __future__ import annotations

from device_profiles import Profile
from device_profiles.schema import ModbusRtu, ModbusTcp
from device_profiles.stream_schema import SerialStream
from firmware_bridge.installer.words import say


def wiring(profile: Profile) -> str:
    """Lines for a terminal."""
    lines = [say("wiring"), *(f"  {line}" for line in _way(profile))]
    offered = list(dict.fromkeys(name for name, _ in profile.services))
    for name in offered:
        channels = [channel for channel in profile.channels(name) if channel is not None]
        where = say("wire_on", first=channels[0], last=channels[-1]) if channels else ""
        lines.append(say("wire_offers", name=name, where=where, meaning=say(f"means.{name}")))
    if "lock.pulse" in offered:
        lines += [say(f"wire_fail_{profile.safety.fail or 'open'}"), say("wire_egress")]
    if {"lock.pulse", "switch.set"} & set(offered):
        lines.append(say(f"wire_back_{profile.safety.on_power_up}"))
    for name, param in profile.params.items():
        needed = (
            say("wire_needed")
            if param.default is None
            else say("wire_default", value=param.default)
        )
        lines.append(
            say("wire_param", name=name, what=param.what or str(param.type), needed=needed)
        )
    lines += [say("wire_note", text=caveat.text.strip()) for caveat in profile.caveats]
    lines += [say("wire_source", source=source) for source in profile.sources]
    return "\n".join(lines) + "\n"


def _way(profile: Profile) -> list[str]:
    transport = profile.transport
    if isinstance(transport, ModbusRtu | SerialStream):
        serial = transport.serial
        shape = {"baud": serial.baud, "parity": serial.parity, "stop": serial.stop_bits}
        if isinstance(transport, SerialStream):
            return [say("wire_serial", **shape)]
        return [say("wire_rtu", unit=transport.unit_id, **shape), say("wire_shared")]
    if isinstance(transport, ModbusTcp):
        scheme = "tcp" if transport.framing == "tcp" else "rtu+tcp"
        return [say("wire_tcp", scheme=scheme, port=transport.tcp_port)]
    if transport.type == "http_local":
        return [say("wire_http", example=transport.port_example)]
    return [say("wire_mqtt")]
