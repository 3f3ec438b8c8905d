"""Air conditioners: from our words for mode and fan to what a device holds, and back. No I/O."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from device_profiles.profile import Choice, Service
from firmware_bridge.board import BadRequest
from firmware_bridge.contract import Aim, Air, Reading

NEVER = Reading(None, "never", None)


@dataclass(frozen=True, slots=True)
class Part:
    """One point to be set. ``same``: what is read back and means the same."""

    point: str
    value: int | str
    same: tuple[int | str, ...]


def parts(service: Service, aim: Aim) -> list[Part]:
    """What to set for ``aim``, in this order. Raises BadRequest for what the device does not take."""
    found = []
    for name, choice, word in (("mode", service.mode, aim.mode), ("fan", service.fan, aim.fan)):
        if word is None:
            continue
        if choice is None or word not in choice.values:
            known = ", ".join(choice.words) if choice else "none"
            raise BadRequest(f"its {name} cannot be {word}; it takes {known}")
        said = choice.values[word]
        found.append(Part(choice.point, said[0], said))
    if aim.setpoint is not None:
        low, high = service.low, service.high
        if low is not None and high is not None and not low <= aim.setpoint <= high:
            raise BadRequest(f"{service.point} takes {low} to {high}, not {aim.setpoint}")
        # Behind the mode: many units choose a temperature of their own with it. Before the fan.
        at = 1 if aim.mode is not None else 0
        found.insert(at, Part(service.point or "", aim.setpoint, (aim.setpoint,)))
    if not found:
        raise BadRequest("nothing is asked of it")
    return found


def air_of(service: Service, reading: Callable[[str], Reading]) -> Air:
    """What the device says, by the ``reading`` of its points."""
    return Air(
        reading(service.point or ""),
        _said(service.mode, reading),
        _said(service.fan, reading),
        () if service.mode is None else service.mode.words,
        () if service.fan is None else service.fan.words,
    )


def points_of(service: Service) -> list[str]:
    """The points that tell of an air conditioner."""
    choices = [choice.point for choice in (service.mode, service.fan) if choice is not None]
    return [service.point or "", *choices]


def _said(choice: Choice | None, reading: Callable[[str], Reading]) -> Reading:
    if choice is None:
        return NEVER
    held = reading(choice.point)
    return Reading(choice.word(held.value), held.quality, held.read_at)
