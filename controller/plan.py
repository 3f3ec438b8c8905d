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

from controller import schedule
from controller.holds import OverrideRecord
from controller.modes import scene_of
from controller.stay import StayRecord, follows
from controller.timekeeper import Now
from store_link.messages import Binding, Desired, RoomMode, StayState
from store_link.rules import Scenes, SceneStep

SWITCHED = frozenset({"table", "light", "ac", "fan", "main", "other"})
SWITCH_CAPABILITY = "switch.set"
NO_MODES: Mapping[str, RoomMode] = MappingProxyType({})


class Mode(StrEnum):
    """Whether the store knows enough to act."""

    RUN = "run"
    HOLD = "hold"  # no desired document yet: touch nothing


@dataclass(frozen=True, slots=True)
class Want:
    """``on`` None means leave; ``why`` is the reason reported with a switch."""

    on: bool | None
    why: str


LEAVE = Want(None, "leave")


@dataclass(frozen=True, slots=True)
class Need:
    """What a room needs: the scene that holds in it (None: whatever is on stays on), and for whom.

    ``over_s``: seconds since use ended, where it has: a device with a time of its own goes by that.
    """

    stay: str
    scene: tuple[SceneStep, ...] | None
    paid: bool  # paid time runs: staff must force a cut
    mode: RoomMode = "normal"  # another one: it is the room's mode that needs it, no stay
    over_s: float | None = None

    @property
    def why(self) -> str:
        """What is reported with a switch."""
        return f"stay:{self.stay}" if self.mode == "normal" else f"mode:{self.mode}"

    def names(self, role: str) -> bool:
        """Whether its scene has devices of ``role`` on."""
        return any(step.on and step.role == role for step in self.scene or ())


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
    known = list(stays)
    needs = room_needs(desired, known, now, modes)
    scheduled = schedule.levels(desired, now)
    rules = _Rules(desired, known, needs, scheduled, schedule.bound(desired.schedules), now)
    switched = [
        binding
        for binding in desired.bindings
        if binding.role in SWITCHED and binding.capability == SWITCH_CAPABILITY
    ]
    wanted = {
        binding.id: _want(binding, overrides.get(binding.id), rules)
        for binding in switched
        if binding.role != "main"
    }
    for binding in switched:
        if binding.role == "main":
            fed = [wanted[b.id] for b in switched if b.id in wanted and _shares(b, binding)]
            wanted[binding.id] = _feed(binding, overrides.get(binding.id), fed, rules)
    return wanted


@dataclass(frozen=True, slots=True)
class _Rules:
    desired: Desired
    stays: list[StayRecord]
    needs: Mapping[str, list[Need]]
    scheduled: Mapping[str, tuple[bool, str]]
    bound: frozenset[str]
    now: Now


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
        for need in _needs(stay, known, desired, now):
            needs.setdefault(stay.room, []).append(need)
        if stay.running and stay.former and now.line < (stay.former_until or 0.0):
            left = scenes_of(desired, stay.former).grace
            needs.setdefault(stay.former, []).append(Need(stay.id, left, paid=False))
    for room, mode in modes.items():
        scene = scene_of(mode, scenes_of(desired, room))
        if scene is not None:
            needs.setdefault(room, []).append(Need("", scene, paid=False, mode=mode))
    return needs


def scenes_of(desired: Desired, room: str) -> Scenes:
    """The scenes of a room: its own, else the store's."""
    own = next((one.scenes for one in desired.rooms if one.id == room), None)
    return desired.scenes if own is None else own


def table_needed(needs: Iterable[Need]) -> bool:
    """Whether a room's table may rightly have power."""
    return any(need.scene is None or need.names("table") for need in needs)


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


def _needs(stay: StayRecord, stays: Iterable[StayRecord], desired: Desired, now: Now) -> list[Need]:
    scenes = scenes_of(desired, stay.room)
    over_s = None if stay.use_end is None else now.line - stay.use_end
    match stay.state:
        case StayState.IN_USE:
            return [Need(stay.id, scenes.in_use, paid=True)]
        case StayState.GRACE:
            if successor(stay, stays, now) is not None:
                return [Need(stay.id, scenes.in_use, paid=True)]
            if stay.grace_end is not None and now.line >= stay.grace_end:
                return [Need(stay.id, (), paid=False, over_s=over_s)]  # it waits for a meter's word
            return [Need(stay.id, scenes.grace, paid=False, over_s=over_s)]
        case StayState.OVERTIME if stay.keep:
            return [Need(stay.id, scenes.in_use, paid=True)]
        case StayState.OVERTIME:
            return [Need(stay.id, (), paid=False, over_s=over_s)]
        case StayState.ENDED if stay.entered is not None and over_s is not None:
            after = tuple(step for step in scenes.after if step.role != "table")
            lasts = now.line < stay.since + scenes.after_s
            return [Need(stay.id, after if lasts else (), paid=False, over_s=over_s)]
        case StayState.OPEN if now.ms >= stay.starts or stay.held:
            leave = Need(stay.id, None, paid=True)
            arrival = Need(stay.id, scenes.arrival, paid=False)
            return [leave, arrival] if scenes.arrival else [leave]
        case StayState.OPEN if scenes.arrival:
            return [Need(stay.id, scenes.arrival, paid=False)]
        case StayState.SCHEDULED if stay.held:
            return [Need(stay.id, None, paid=True)]
    return []


def _want(binding: Binding, override: OverrideRecord | None, rules: _Rules) -> Want:
    held = _override(binding, override, rules)
    if held is not None:
        return held
    scheduled = rules.scheduled.get(binding.id)
    if scheduled is not None and scheduled[0]:
        return Want(True, f"schedule:{scheduled[1]}")
    leave = binding.id in rules.bound and scheduled is None  # nobody knows what time of day it is
    if binding.rooms and _governed(binding, rules):
        for room in binding.rooms:
            for need in rules.needs.get(room, ()):
                if need.scene is None:
                    leave = True
                elif _asks(need, binding):
                    return Want(True, need.why)
        coming = _coming(binding, rules)
        if coming is not None:
            return Want(True, f"stay:{coming}")
        return LEAVE if leave else Want(False, "no_stay")
    if scheduled is not None:
        return Want(False, f"schedule:{scheduled[1]}")
    return LEAVE


def _override(binding: Binding, override: OverrideRecord | None, rules: _Rules) -> Want | None:
    if (
        override is not None
        and rules.now.line < override.until_line
        and (override.on or override.force or paid_under(binding, rules.needs) is None)
    ):
        return Want(override.on, f"override:{override.command}")
    return None


def _asks(need: Need, binding: Binding) -> bool:
    """Whether ``need`` has ``binding`` on. Once use is over, a device with a time of its own goes by it."""
    own = binding.linger_s is not None and binding.role != "table"
    if own and need.over_s is not None:
        return need.over_s < (binding.linger_s or 0)
    return need.names(binding.role)


def _coming(binding: Binding, rules: _Rules) -> str | None:
    """A stay that begins so soon that this device goes on for it already."""
    if not binding.lead_s or binding.role == "table":
        return None
    for stay in rules.stays:
        if (
            stay.room in binding.rooms
            and stay.state in (StayState.SCHEDULED, StayState.OPEN)
            and not stay.finished
            and stay.starts - binding.lead_s * 1000 <= rules.now.ms < stay.starts
        ):
            return stay.id
    return None


def _feed(
    binding: Binding, override: OverrideRecord | None, fed: list[Want], rules: _Rules
) -> Want:
    """A main breaker: on with the first device behind it, off with the last."""
    held = _override(binding, override, rules)
    if held is not None and held.on:
        return held
    first = next((want for want in fed if want.on), None)
    if first is not None:
        return Want(True, first.why)
    if held is not None:
        return held
    if any(need.scene is None for room in binding.rooms for need in rules.needs.get(room, ())):
        return LEAVE
    return Want(False, "no_stay") if binding.rooms else LEAVE


def _shares(one: Binding, other: Binding) -> bool:
    return any(room in other.rooms for room in one.rooms)


def _governed(binding: Binding, rules: _Rules) -> bool:
    """Whether stays rule this device: one of role ``other`` only if a scene names that role, or it
    has a time of its own.
    """
    if binding.role != "other" or binding.lead_s or binding.linger_s:
        return True
    own = [room.scenes for room in rules.desired.rooms if room.id in binding.rooms]
    for scenes in (rules.desired.scenes, *(one for one in own if one is not None)):
        phases = (scenes.in_use, scenes.grace, scenes.arrival, scenes.after, scenes.cleaning or ())
        if any(step.role == "other" for phase in phases for step in phase):
            return True
    return False
