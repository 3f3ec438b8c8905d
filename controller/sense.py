"""What a room's devices show: is it taken, is its table powered. Reads the bridge, no I/O."""

from __future__ import annotations

from controller.state import StoreState
from controller.stay import NOTHING, Evidence, StayRecord
from firmware_bridge.contract import Bridge, Capability, Reading
from store_link.messages import Binding

DRAWN_W = 5.0  # less is a standby supply
UNREADABLE = Reading(None, "never", None)


class Sense:
    """Answers from polled readings; None wherever nothing believable is known."""

    def __init__(self, state: StoreState, bridge: Bridge) -> None:
        self._state = state
        self._bridge = bridge

    def reading(self, binding: Binding) -> Reading:
        """The polled value of a binding; ``never`` for a capability that we do not know."""
        try:
            capability = Capability(binding.capability)
        except ValueError:
            return UNREADABLE
        return self._bridge.reading(binding.board, capability, binding.channel)

    def table_on(self, room: str) -> bool | None:
        """Whether any table of ``room`` has power; None while one that may have is unreadable."""
        values = [
            self._believed(binding)
            for binding in self._state.of_room(room)
            if binding.role == "table" and binding.capability == Capability.SWITCH_SET
        ]
        if any(value is True for value in values):
            return True
        return None if any(value is None for value in values) else False

    def evidence(self, stay: StayRecord) -> Evidence:
        """What the room of a running stay shows."""
        if not stay.running:
            return NOTHING
        presence, doors, drawn = [], [], []
        for binding in self._state.of_room(stay.room):
            value = self._believed(binding)
            match binding.capability:
                case Capability.PRESENCE:
                    presence.append(value)
                case Capability.DOOR_CONTACT:
                    doors.append(value)
                case Capability.POWER_W:
                    drawn.append(None if value is None else float(value) > DRAWN_W)
        on = self.table_on(stay.room)
        return Evidence(
            taken=_taken(presence, doors),
            power_on=on,
            values={
                "presence": _any(presence),
                "door": _any(doors),
                "power": _any(drawn) if drawn else on,
            },
        )

    def _believed(self, binding: Binding) -> bool | float | None:
        reading = self.reading(binding)
        if reading.quality != "ok" or isinstance(reading.value, str):
            return None
        return reading.value


def _taken(presence: list[bool | float | None], doors: list[bool | float | None]) -> bool | None:
    """Presence decides where there is any; else a door that stands open says somebody is about."""
    if presence:
        return _any(presence)
    return True if any(doors) else None


def _any(values: list[bool | float | None] | list[bool | None]) -> bool | None:
    if any(values):
        return True
    return False if values and all(value is not None for value in values) else None
