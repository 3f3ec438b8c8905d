"""The closed set of capabilities, and what a point or action must be to serve as one.

Business code speaks of these words only. ``firmware_bridge.contract.Capability`` is the same set, seen
from the side of the controller; a test keeps the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Need = Literal[
    "pulse action",
    "switched bool",
    "read bool",
    "read number",
    "set number",
    "event",
    "clip command",
    "nothing yet",
]


AIR_MODES: Final = ("cool", "heat", "dry", "fan", "auto")
AIR_FANS: Final = ("auto", "low", "mid", "high")
"""The closed words for how an air conditioner runs and how fast it blows; a profile says which it knows."""


@dataclass(frozen=True, slots=True)
class CapabilityRule:
    """What serves a capability, its unit where it is a number, and what ``True`` means."""

    need: Need
    meaning: str
    unit: str | None = None


RULES: dict[str, CapabilityRule] = {
    "lock.pulse": CapabilityRule(
        "pulse action", "let the lock go for duration_ms, then hold again"
    ),
    "lock.state": CapabilityRule("read bool", "true: the bolt is thrown"),
    "door.contact": CapabilityRule("read bool", "true: the contact is closed, the door is shut"),
    "switch.set": CapabilityRule("switched bool", "true: the circuit is on"),
    "power.w": CapabilityRule("read number", "active power drawn now", "W"),
    "energy.wh": CapabilityRule("read number", "energy counted since the meter was made", "Wh"),
    "climate.set": CapabilityRule(
        "set number",
        "the temperature that is aimed at, with mode and fan speed where the device takes them;"
        " switching on and off is switch.set",
        "°C",
    ),
    "input.code": CapabilityRule("event", "a code was scanned"),
    "input.card": CapabilityRule("event", "a card was read"),
    "speaker.say": CapabilityRule("clip command", "play a clip of the closed list"),
    "light.scene": CapabilityRule("nothing yet", "a named light scene"),
    "presence": CapabilityRule("read bool", "true: somebody is there"),
    "hazard": CapabilityRule("read bool", "true: smoke, fire or water; every lock opens"),
}
