"""A file to begin with: for each kind of device a small whole profile that passes the check.

What is in it is made up and says so; its bytes are good, so that one sees the check pass before one
puts the manual's numbers in.
"""

from __future__ import annotations

from pathlib import Path

from device_profiles.catalogue import KINDS

_FOLDER = Path(__file__).parent / "scaffold_files"
_LIKE = {
    "relay_board": "relay_board",
    "io_board": "io_board",
    "lock": "relay_board",
    "lock_board": "lock_board",
    "meter": "meter",
    "climate_gateway": "climate_gateway",
    "ir_sender": "ir_sender",
    "presence_sensor": "sensor",
    "hazard_sensor": "sensor",
    "switched_outlet": "switched_outlet",
    "code_scanner": "code_scanner",
    "card_reader": "card_reader",
    "keypad": "keypad",
    "speaker": "speaker",
}
"""Which file of ``scaffold_files/`` a kind begins with."""

assert set(_LIKE) == set(KINDS)


def scaffold(kind: str, profile_id: str) -> str:
    """The text of a new file. Raises KeyError for an unknown kind, ValueError for an id that is none."""
    vendor, _, model = profile_id.partition(".")
    if not vendor or not model:
        raise ValueError("an id is vendor.model, such as acme.relay-8")
    text = (_FOLDER / f"{_LIKE[kind]}.yaml").read_text(encoding="utf-8")
    capability = {"presence_sensor": "presence", "hazard_sensor": "hazard"}.get(kind, "")
    return (
        text.replace("example.device", profile_id)
        .replace("KIND", kind)
        .replace("VENDOR", vendor.title())
        .replace("MODEL", model.upper())
        .replace("CAPABILITY", capability)
    )
