"""Points, actions and capabilities of devices that are spoken to in commands: frames, MQTT, HTTP.

A command is what can be said to the device; a report is what it says unasked. A point takes its value
from the answer of a command or from a report, and is set by a command; an action is one command.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from device_profiles.sections import (
    ActionParam,
    AirFans,
    AirModes,
    Channels,
    Confirm,
    IntExpr,
    Name,
    Repeat,
    Section,
    Word,
)

Scalar = bool | int | float | str


class From(Section):
    """Where a point's value stands: a field of a command's answer, or of a report.

    ``field`` names a field of a frame, or is a JSON pointer such as ``/aenergy/total`` (empty: the
    whole text). ``values`` translates what stands there; anything else is a fault. ``bit`` takes one
    bit of a number, counted from the lowest.
    """

    command: Name | None = None
    report: Name | None = None
    params: dict[Name, IntExpr] = Field(default={})
    field: str = ""
    bit: IntExpr | None = None
    values: dict[str, bool | int | float] | None = None
    scale: float | int = 1

    @model_validator(mode="after")
    def _one_source(self) -> From:
        if (self.command is None) == (self.report is None):
            raise ValueError("give either a command or a report")
        return self


class To(Section):
    """The command that sets a point. ``value`` is the parameter that takes the value.

    ``values`` translates on and off. ``keep`` fills other parameters from the last known values of
    points, for devices that want their whole state each time; a point not yet known leaves the
    parameter's default.
    """

    command: Name
    params: dict[Name, IntExpr] = Field(default={})
    value: Name
    values: dict[Word, Scalar] | None = None
    keep: dict[Name, str] = Field(default={})


class SpokenPoint(Section):
    """Something the device knows. Asked for every ``every_ms`` where it comes from a command.

    ``assumed``: it cannot be asked; its value is what was last set, and worth no more than that.
    """

    repeat: Repeat | None = None
    type: Literal["bool", "int", "float", "text"]
    access: Literal["r", "rw"]
    unit: str | None = None
    counter: Literal["total_increasing"] | None = None
    from_: From | None = Field(default=None, alias="from")
    to: To | None = None
    assumed: bool = False
    every_ms: int | None = Field(default=None, ge=200, le=3_600_000)
    stale_after_ms: int | None = Field(default=None, ge=100)

    @model_validator(mode="after")
    def _ways(self) -> SpokenPoint:
        if (self.from_ is None) != self.assumed:
            raise ValueError("give from, or say that the value is assumed")
        if (self.to is not None) != (self.access == "rw"):
            raise ValueError("access rw and to belong together")
        asked = self.from_ is not None and self.from_.command is not None
        if (self.every_ms is not None) != asked:
            raise ValueError("every_ms belongs to a point that is asked for by a command")
        return self


class CommandCall(Section):
    """A command with its parameters, which may be expressions of the action's own."""

    command: Name
    params: dict[Name, IntExpr] = Field(default={})


class SpokenAction(Section):
    """Something the device does. A ``pulse`` is sent at most once; a ``level`` may be sent again."""

    repeat: Repeat | None = None
    params: dict[Name, ActionParam] = Field(default={})
    do: CommandCall
    confirm: Confirm | None = None
    effect: Literal["pulse", "level"]


class SpokenCapability(Section):
    """What serves a capability: a point or an action (per channel ``{ch}``), an ``event``, or a
    ``command`` with its closed list of ``clips``.
    """

    channels: Channels | None = None
    point: str | None = None
    action: str | None = None
    event: Name | None = None
    command: Name | None = None
    clips: dict[Name, dict[Name, int]] = Field(default={})
    invert: bool = False
    min: int | None = None
    max: int | None = None
    mode: AirModes | None = None  # of climate.set alone
    fan: AirFans | None = None

    @model_validator(mode="after")
    def _one_way(self) -> SpokenCapability:
        ways = [self.point, self.action, self.event, self.command]
        if sum(way is not None for way in ways) != 1:
            raise ValueError("give exactly one of point, action, event, command")
        return self


class SpokenSafety(Section):
    """What is done when the device is gone. One that opens or cuts says the rest as boards do."""

    on_bus_lost: Literal["alarm"]
    on_start: Literal["leave"] = "leave"
    on_power_up: Literal["off", "last"] = "off"
    egress: Literal["hardware"] = "hardware"
    fail: Literal["secure", "safe"] | None = None
    max_on_s: int | None = Field(default=None, ge=1)


class SpokenPulse(Section):
    """A virtual device's own timer: output ``channel`` goes on, and off again after ``for_ms``."""

    channel: IntExpr
    for_ms: IntExpr
