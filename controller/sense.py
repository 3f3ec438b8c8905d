"""What a room's devices show: is it taken, is its table powered. Reads the bridge, no I/O."""

from __future__ import annotations

from controller.occupancy import RESTING_W
from controller.plan import SWITCHED
from controller.state import StoreState
from controller.stay import NOTHING, VACANT_AFTER_S, Evidence, StayRecord
from controller.timekeeper import Now
from firmware_bridge.contract import Bridge, Capability, Reading
from store_link.messages import Binding

UNREADABLE = Reading(None, "never", None)
_DRAWING = SWITCHED - {"main"}  # a breaker draws nothing itself


class Sense:
    """Answers from polled readings; None wherever nothing believable is known."""

    def __init__(self, state: StoreState, bridge: Bridge) -> None:
        self._state = state
        self._bridge = bridge
        self._answered: dict[str, float] = {}  # presence sensor -> line of its last word

    def reading(self, binding: Binding) -> Reading:
        """The polled value of a binding; ``never`` for a capability that we do not know."""
        try:
            capability = Capability(binding.capability)
        except ValueError:
            return UNREADABLE
        return self._bridge.reading(binding.board, capability, binding.channel)

    def table_on(self, room: str) -> bool | None:
        """Whether any table of ``room`` has power; None while one that may have is unreadable."""
        return _table_on([self._believed(one) for one in self._state.of_room(room) if _table(one)])

    def evidence(self, stay: StayRecord, now: Now) -> Evidence:
        """What the room of a running stay shows."""
        if not stay.running:
            return NOTHING
        presence, doors, drawn, counted, tables, switched = [], [], [], [], [], []
        silent = False
        for binding in self._state.of_room(stay.room):
            value = self._believed(binding)
            own = len(binding.rooms) == 1  # what serves several rooms says nothing of one of them
            match binding.capability:
                case Capability.PRESENCE if own:
                    presence.append(value)
                    silent = self._silent(binding, value, now) or silent
                case Capability.DOOR_CONTACT if own:
                    doors.append(value)
                case Capability.POWER_W if own:
                    drawn.append(value)
                case Capability.ENERGY_WH if own:
                    counted.append(value)
                case Capability.SWITCH_SET if binding.role in _DRAWING:
                    switched.append(value)
                    if _table(binding):
                        tables.append(value)
        on, watts = _table_on(tables), _sum(drawn)
        resting = self._resting_w(stay.room)
        return Evidence(
            presence=_any(presence),
            presence_silent=silent,
            power_on=on,
            switched=_any(switched) if switched else False,
            drawn_w=watts,
            resting_w=resting,
            door_open=_any(doors),
            energy_wh=_sum(counted),
            values={
                "presence": _any(presence),
                "door": _any(doors),
                "power": (None if watts is None else watts > resting) if drawn else on,
            },
        )

    def _silent(self, sensor: Binding, value: bool | float | None, now: Now) -> bool:
        """Whether a sensor says nothing now and is expected to: its board was not read yet since the start,
        or its reading is late. What is broken is given a minute, in which it is put right or given up.
        """
        since = self._answered.setdefault(sensor.id, now.line)
        if value is not None:
            self._answered[sensor.id] = now.line
            return False
        late = self.reading(sensor).quality in ("never", "stale")
        if late and self._bridge.board_state(sensor.board).state in ("starting", "online"):
            return True
        return now.line - since < VACANT_AFTER_S

    def _resting_w(self, room: str) -> float:
        rooms = () if self._state.desired is None else self._state.desired.rooms
        return next((float(one.resting_w) for one in rooms if one.id == room), RESTING_W)

    def _believed(self, binding: Binding) -> bool | float | None:
        reading = self.reading(binding)
        if reading.quality != "ok" or isinstance(reading.value, str):
            return None
        return reading.value


def _table(binding: Binding) -> bool:
    return binding.role == "table" and binding.capability == Capability.SWITCH_SET


def _table_on(values: list[bool | float | None]) -> bool | None:
    if any(value is True for value in values):
        return True
    return None if any(value is None for value in values) else False


def _sum(values: list[bool | float | None]) -> float | None:
    """All together; None without any, or while one of them is not known."""
    known = [float(value) for value in values if value is not None]
    return sum(known) if known and len(known) == len(values) else None


def _any(values: list[bool | float | None] | list[bool | None]) -> bool | None:
    if any(values):
        return True
    return False if values and all(value is not None for value in values) else None
