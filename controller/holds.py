"""What staff or a guest hold for a while: a switch, an air conditioner. Values only; no I/O.

The time of a hold is counted on the store's line from when it was given. While nobody knows how long the
store was off the line is a lower bound; when true time comes it jumps. A hold that was given after the gap
moves along, since no time of its own was lost; one from before the gap does not, so it ends if its time is
over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from controller.timekeeper import Jump
from store_link.rules import AirAim


@dataclass(frozen=True, slots=True)
class OverrideRecord:
    """Staff's will over a binding until ``until_line`` (line seconds; ``until`` is business ms).

    ``since_line`` is when it was given; None where a program that did not note it wrote it down.
    """

    binding: str
    on: bool
    force: bool
    until: int
    until_line: float
    command: str
    since_line: float | None = None


@dataclass(frozen=True, slots=True)
class ClimateRecord:
    """What an air conditioner is held at, to a time; ``before`` is what comes back then, where known."""

    binding: str
    aim: AirAim
    before: AirAim
    until: int
    until_line: float
    command: str
    since_line: float | None = None


Hold = TypeVar("Hold", OverrideRecord, ClimateRecord)


def moved(hold: Hold, jumps: Iterable[Jump]) -> Hold:
    """The hold after the line jumped."""
    for jump in jumps:
        if hold.since_line is not None and jump.moves(hold.since_line):
            hold = replace(
                hold,
                since_line=hold.since_line + jump.by_s,
                until_line=hold.until_line + jump.by_s,
                until=hold.until + round(jump.by_s * 1000),
            )
    return hold


def as_json(records: dict[str, ClimateRecord]) -> dict[str, Any]:
    """For the journal."""
    return {
        key: {
            "binding": held.binding,
            "aim": held.aim.model_dump(),
            "before": held.before.model_dump(),
            "until": held.until,
            "until_line": held.until_line,
            "command": held.command,
            "since_line": held.since_line,
        }
        for key, held in records.items()
    }


def from_json(kept: dict[str, Any]) -> dict[str, ClimateRecord]:
    """From the journal; a program that knew temperatures alone wrote ``setpoint`` and ``before`` in °C."""
    found = {}
    for key, record in kept.items():
        fields = dict(record)
        if "setpoint" in fields:
            fields["aim"] = {"setpoint": fields.pop("setpoint")}
            fields["before"] = {"setpoint": fields["before"]}
        fields["aim"] = AirAim.model_validate(fields["aim"])
        fields["before"] = AirAim.model_validate(fields["before"])
        found[key] = ClimateRecord(**fields)
    return found
