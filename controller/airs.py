"""When a scene begins, and what it wants of the air conditioners. Pure.

An occasion is a stay for which they go on, or a cleaning. Each is served once: afterwards the remote, the
page and the guest's phone choose. One that serves several rooms is set when the first of them begins.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from controller.modes import in_force
from controller.plan import scenes_of
from controller.schedule import zone
from controller.state import StoreState
from controller.stay import StayRecord
from controller.timekeeper import Now
from firmware_bridge.contract import Capability
from store_link.clock import from_ms
from store_link.messages import Binding, ClockQuality, Desired, StayState
from store_link.rules import AirAim, AirRule, Scenes

NOTHING = AirAim()


@dataclass(frozen=True, slots=True)
class Wish:
    """``aim`` is what is wanted for ``occasion``; one that is empty only has to be noted."""

    binding: Binding
    occasion: str
    aim: AirAim
    why: str


def wishes(state: StoreState, now: Now) -> list[Wish]:
    """What was not done yet for the occasions of this moment."""
    desired = state.desired
    if desired is None:
        return []
    found = []
    for binding in desired.bindings:
        if binding.capability == Capability.CLIMATE_SET:
            wish = _wish(state, desired, binding, now)
            if wish is not None and wish.occasion != state.aired.get(binding.id):
                found.append(wish)
    return found


def _wish(state: StoreState, desired: Desired, binding: Binding, now: Now) -> Wish | None:
    served = state.aired.get(binding.id)
    stays = [stay for stay in state.stays.values() if stay.room in binding.rooms]
    begun = {_name(stay): stay for stay in stays if _begun(stay, desired, now)}
    shared = len(binding.rooms) > 1
    if shared and any(_name(stay) == served and stay.running for stay in stays):
        return None
    if begun:
        name, stay = max(begun.items(), key=lambda one: one[1].starts)
        if shared and served in begun:
            return None
        aim = _aim(scenes_of(desired, stay.room), "stay", desired, now)
        return Wish(binding, name, aim, f"stay:{stay.id}")
    if any(stay.running for stay in stays):
        return None
    for room, mode in in_force(state.modes).items():
        if mode == "cleaning" and room in binding.rooms:
            until = state.modes[room].until
            aim = _aim(scenes_of(desired, room), "cleaning", desired, now)
            return Wish(binding, f"cleaning:{room}:{until}", aim, "mode:cleaning")
    return None


def _name(stay: StayRecord) -> str:
    """Of the right to enter: a stay may get another id while it runs."""
    return f"stay:{stay.grant}:{stay.room}"


def _begun(stay: StayRecord, desired: Desired, now: Now) -> bool:
    """Whether the air conditioners are on for this stay, or go on now."""
    if stay.state is StayState.IN_USE:
        return True
    if stay.finished or stay.state not in (StayState.SCHEDULED, StayState.OPEN):
        return False
    arrival = scenes_of(desired, stay.room).arrival
    if stay.state is StayState.OPEN and any(step.on and step.role == "ac" for step in arrival):
        return True
    lead_s = max(_leads(desired, stay.room), default=0)
    return stay.starts - lead_s * 1000 <= now.ms < stay.starts


def _leads(desired: Desired, room: str) -> Iterator[int]:
    for binding in desired.bindings:
        if binding.role == "ac" and room in binding.rooms and binding.lead_s:
            yield binding.lead_s


def _aim(scenes: Scenes, phase: str, desired: Desired, now: Now) -> AirAim:
    rule = next(
        (one for one in scenes.air if one.phase == phase and _holds(one, desired, now)), None
    )
    if rule is None:
        return NOTHING
    return AirAim(setpoint=rule.setpoint, mode=rule.mode, fan=rule.fan)


def _holds(rule: AirRule, desired: Desired, now: Now) -> bool:
    """With a clock that cannot be trusted nobody knows the season."""
    if rule.begins is None or rule.ends is None:
        return True
    if now.quality is ClockQuality.UNTRUSTED:
        return False
    return rule.holds(from_ms(now.ms).astimezone(zone(desired.tz)).strftime("%m-%d"))
