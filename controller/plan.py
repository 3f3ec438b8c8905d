"""What every device should be, computed from what the store knows: no I/O, no memory.

A device that serves several rooms is on while one of them needs it. Where nobody may know better (a
paid stay runs and the store has not seen anybody enter; nothing governs the device) the answer is
*leave*: neither switch it on nor cut it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from controller.modes import scene_of
from controller.stay import StayRecord, follows
from controller.timekeeper import Now
from store_link.messages import Binding, Desired, RoomMode, SceneStep, StayState

SWITCHED = frozenset({"table", "light", "ac", "fan", "other"})
SWITCH_CAPABILITY = "switch.set"
NO_MODES: Mapping[str, RoomMode] = MappingProxyType({})


class Mode(StrEnum):
    """Whether the store knows enough to act."""

    RUN = "run"
    HOLD = "hold"  # no desired document yet: touch nothing


@dataclass(frozen=True, slots=True)
class OverrideRecord:
    """Staff's will over a binding until ``until_line`` (line seconds; ``until`` is business ms)."""

    binding: str
    on: bool
    force: bool
    until: int
    until_line: float
    command: str


@dataclass(frozen=True, slots=True)
class ClimateRecord:
    """A temperature that staff set, to a time; ``before`` (°C) is what comes back then, if known."""

    binding: str
    setpoint: int
    before: int | None
    until: int
    until_line: float
    command: str


@dataclass(frozen=True, slots=True)
class Want:
    """``on`` None means leave; ``why`` is the reason reported with a switch."""

    on: bool | None
    why: str


LEAVE = Want(None, "leave")


@dataclass(frozen=True, slots=True)
class Need:
    """What a room needs: the scene that holds in it (None: whatever is on stays on), and for whom."""

    stay: str
    scene: tuple[SceneStep, ...] | None
    paid: bool  # paid time runs: staff must force a cut
    mode: RoomMode = "normal"  # another one: it is the room's mode that needs it, no stay

    @property
    def why(self) -> str:
        """What is reported with a switch."""
        return f"stay:{self.stay}" if self.mode == "normal" else f"mode:{self.mode}"


def plan(
    desired: Desired | None,
    stays: Iterable[StayRecord],
    overrides: Mapping[str, OverrideRecord],
    mode: Mode,
    now: Now,
    modes: Mapping[str, RoomMode] = NO_MODES,
) -> dict[str, Want]:
    """The wanted level of every switched binding of ``desired``, by binding id."""
    if desired is None or mode is Mode.HOLD:
        return {}
    needs = room_needs(desired, stays, now, modes)
    return {
        binding.id: _want(binding, needs, overrides.get(binding.id), desired, now)
        for binding in desired.bindings
        if binding.role in SWITCHED and binding.capability == SWITCH_CAPABILITY
    }


def room_needs(
    desired: Desired,
    stays: Iterable[StayRecord],
    now: Now,
    modes: Mapping[str, RoomMode] = NO_MODES,
) -> dict[str, list[Need]]:
    """By room id, what its stays need now, and what its mode does."""
    known = list(stays)
    needs: dict[str, list[Need]] = {}
    for stay in known:
        need = _need(stay, known, desired, now)
        if need is not None:
            needs.setdefault(stay.room, []).append(need)
    for room, mode in modes.items():
        scene = scene_of(mode, desired.scenes)
        if scene is not None:
            needs.setdefault(room, []).append(Need("", scene, paid=False, mode=mode))
    return needs


def successor(stay: StayRecord, stays: Iterable[StayRecord], now: Now) -> StayRecord | None:
    """The stay that directly follows in the same room, if any."""
    return min(
        (other for other in stays if follows(stay, other, now)),
        key=lambda s: s.starts,
        default=None,
    )


def paid_under(binding: Binding, needs: Mapping[str, list[Need]]) -> str | None:
    """The stay whose paid time runs in a room that ``binding`` serves, if any."""
    for room in binding.rooms:
        for need in needs.get(room, ()):
            if need.paid:
                return need.stay
    return None


def _need(stay: StayRecord, stays: Iterable[StayRecord], desired: Desired, now: Now) -> Need | None:
    match stay.state:
        case StayState.IN_USE:
            return Need(stay.id, desired.scenes.in_use, paid=True)
        case StayState.GRACE:
            if successor(stay, stays, now) is not None:
                return Need(stay.id, desired.scenes.in_use, paid=True)
            if stay.grace_end is not None and now.line >= stay.grace_end:
                return None  # the stay waits for a meter's word, the power does not
            return Need(stay.id, desired.scenes.grace, paid=False)
        case StayState.OPEN if now.ms >= stay.starts or stay.held:
            return Need(stay.id, None, paid=True)
        case StayState.SCHEDULED if stay.held:
            return Need(stay.id, None, paid=True)
    return None


def _want(
    binding: Binding,
    needs: Mapping[str, list[Need]],
    override: OverrideRecord | None,
    desired: Desired,
    now: Now,
) -> Want:
    if (
        override is not None
        and now.line < override.until_line
        and (override.on or override.force or paid_under(binding, needs) is None)
    ):
        return Want(override.on, f"override:{override.command}")
    if not binding.rooms or not _governed(binding, desired):
        return LEAVE
    leave = False
    for room in binding.rooms:
        for need in needs.get(room, ()):
            if need.scene is None:
                leave = True
            elif any(step.on and step.role == binding.role for step in need.scene):
                return Want(True, need.why)
    return LEAVE if leave else Want(False, "no_stay")


def _governed(binding: Binding, desired: Desired) -> bool:
    """Whether stays rule this device: one of role ``other`` only if a scene names that role."""
    if binding.role != "other":
        return True
    scenes = desired.scenes
    return any(step.role == "other" for step in (*scenes.in_use, *scenes.grace))
