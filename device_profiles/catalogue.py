"""The catalogue as people read it: a page of all models.

It is made from the profiles, so that it cannot say what a file does not. ``docs/catalogue.md`` is
what ``kaimen-bridge profiles docs`` prints.
"""

from __future__ import annotations

from collections.abc import Iterable

from device_profiles.profile import Profile
from device_profiles.schema import ModbusRtu, ModbusTcp
from device_profiles.stream_schema import SerialStream

KINDS = {
    "relay_board": "Relay boards",
    "io_board": "Boards and sensors with inputs",
    "lock": "Locks",
    "lock_board": "Lock boards: cabinets, ball trays, cue cupboards",
    "meter": "Meters",
    "climate_gateway": "Air conditioner gateways",
    "ir_sender": "Infrared senders",
    "presence_sensor": "Presence",
    "hazard_sensor": "Smoke and water",
    "switched_outlet": "Switched supplies: tables, rooms, lamps",
    "code_scanner": "Code scanners",
    "card_reader": "Card readers",
    "keypad": "Keypads",
    "speaker": "Speakers",
}
"""Headings of the catalogue, in its order."""

_TRIED = {"doc": "from documents", "bench": "on a bench", "field": "in use"}


def page(profiles: Iterable[Profile]) -> str:
    """The page of all models, as Markdown."""
    known = list(profiles)
    lines = [
        "# Boards that are known",
        "",
        f"{len(known)} models. This page is made from `device_profiles/catalog/` by",
        "`kaimen-bridge profiles docs > docs/catalogue.md`; change the files, not the page. How a file",
        "is written stands in [profiles.md](profiles.md), how things are wired in",
        "[hardware.md](hardware.md).",
        "",
        "“from documents” means that nobody here has had the board on a table: try it before you trust",
        "it, and tell us.",
    ]
    for kind, title in KINDS.items():
        of_kind = [profile for profile in known if profile.kind == kind]
        if of_kind:
            lines += ["", f"## {title}", ""]
            lines += [
                "| profile | model | speaks | serves | tried |",
                "| --- | --- | --- | --- | --- |",
            ]
            lines += [_row(profile) for profile in of_kind]
            for profile in of_kind:
                lines += ["", f"**{profile.vendor} {profile.model}** (`{profile.id}`)", ""]
                lines += [f"- {_linked(c.text, c.url)}" for c in profile.caveats]
                lines += [f"- Source: {source}" for source in profile.sources]
    return "\n".join(lines) + "\n"


def _row(profile: Profile) -> str:
    cells = [f"`{profile.id}`", f"{profile.vendor} {profile.model}", _speaks(profile)]
    cells += [_serves(profile), _TRIED[profile.verified]]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _linked(text: str, url: str | None) -> str:
    return f"{text.strip()} ([source]({url}))" if url else text.strip()


def _speaks(profile: Profile) -> str:
    transport = profile.transport
    if isinstance(transport, ModbusRtu | SerialStream):
        serial = transport.serial
        sort = {"modbus_rtu": "Modbus RTU", "serial_lines": "lines", "serial_frames": "frames"}
        return f"{sort[transport.type]}, {serial.baud} 8{serial.parity}{serial.stop_bits}"
    if isinstance(transport, ModbusTcp):
        return "Modbus TCP" if transport.framing == "tcp" else "Modbus RTU over TCP"
    return {"mqtt_local": "MQTT, store's broker", "http_local": "HTTP"}[transport.type]


def _serves(profile: Profile) -> str:
    shown = []
    for name in dict.fromkeys(name for name, _ in profile.services):
        channels = [channel for channel in profile.channels(name) if channel is not None]
        served = profile.services[(name, channels[0] if channels else None)]
        with_ = [kind for kind in ("mode", "fan") if getattr(served, kind) is not None]
        more = f" ({', '.join(with_)})" if with_ else ""
        shown.append((f"{name} {channels[0]}–{channels[-1]}" if channels else name) + more)
    return ", ".join(shown) or "nothing by itself"
