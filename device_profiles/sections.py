"""The parts of a profile file that are the same whatever a device speaks. Unknown keys are refused.

Each class is one section of the file, so the fields read as the manual does; docs/profiles.md walks
through an example.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
    model_validator,
)

from device_profiles import expressions


def _int_expr(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and expressions.is_expression(value):
        expressions.names(value)
        return value
    raise ValueError(f"must be a whole number or an expression such as '{{ch - 1}}', not {value!r}")


def _sim_value(value: Any) -> int | float | str:
    return value if isinstance(value, float) else _int_expr(value)


def _hex(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"must be hex bytes in quotes such as '01 05 00 00', not {value!r}")
    try:
        return bytes.fromhex(value)
    except ValueError:
        raise ValueError(f"must be hex bytes such as '01 05 00 00', not {value!r}") from None


_EXPRESSION = {"type": "string", "pattern": r"^\s*\{[^{}]+\}\s*$"}

IntExpr = Annotated[
    int | str,
    PlainValidator(_int_expr),
    WithJsonSchema({"anyOf": [{"type": "integer"}, _EXPRESSION]}),
]

SimValue = Annotated[
    int | float | str,
    PlainValidator(_sim_value),
    WithJsonSchema({"anyOf": [{"type": "number"}, _EXPRESSION]}),
]

HexBytes = Annotated[bytes, PlainValidator(_hex), WithJsonSchema({"type": "string"})]

Address = Annotated[int, Field(ge=0, le=0xFFFF)]

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]

Kind = Literal[
    "relay_board",
    "io_board",
    "lock",
    "lock_board",
    "meter",
    "climate_gateway",
    "ir_sender",
    "presence_sensor",
    "hazard_sensor",
    "switched_outlet",
    "code_scanner",
    "card_reader",
    "keypad",
    "speaker",
]

Word = Literal["on", "off"]


class Section(BaseModel):
    """A part of the file: immutable, and every key known."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, defer_build=True)


class Alias(Section):
    """Another name under which the very same board is sold."""

    vendor: str
    model: str


class Source(Section):
    """Where the facts of the profile come from."""

    title: str
    url: str | None = None
    note: str | None = None


class Caveat(Section):
    """What an installer must know and the profile cannot express."""

    text: str
    url: str | None = None


class Serial(Section):
    """Line settings as the board leaves the factory, and the speeds it can be set to."""

    baud: int
    baud_choices: list[int] = []
    data_bits: Literal[8] = 8
    parity: Literal["N", "E", "O"] = "N"
    stop_bits: Literal[1, 2] = 1


class Pace(Section):
    """How fast a device may be asked, and how often a question or a level is tried again.

    A pulse is never sent a second time, whatever stands here.
    """

    response_timeout_ms: int = Field(default=200, ge=10, le=10_000)
    min_gap_ms: int = Field(default=5, ge=0, le=1000)
    read_retries: int = Field(default=2, ge=0, le=5)
    level_retries: int = Field(default=2, ge=0, le=5)


class InstallParam(Section):
    """What an installer must give, or may: a topic prefix, a channel, a key.

    ``secret``: never shown, never logged. ``example`` is what the check of the profile uses.
    """

    type: Literal["int", "text", "topic"]
    default: int | str | None = None
    example: int | str | None = None
    min: int | None = None
    max: int | None = None
    pattern: str | None = None
    secret: bool = False
    what: str = ""

    @model_validator(mode="after")
    def _can_be_tried(self) -> InstallParam:
        tried = self.default if self.default is not None else self.example
        if tried is None:
            raise ValueError("give a default, or an example where the installer must decide")
        problem = self.problem(tried)
        if problem is not None:
            raise ValueError(f"the default or example {problem}, not {tried!r}")
        try:
            re.compile(self.pattern or "")
        except re.error:
            raise ValueError(f"the pattern {self.pattern!r} is no regular expression") from None
        return self

    @property
    def tried(self) -> int | str:
        """The default, or the example where there is none."""
        value = self.default if self.default is not None else self.example
        assert value is not None
        return value

    def problem(self, value: object) -> str | None:
        """What is wrong with ``value``, to be put behind the parameter's name; None if nothing."""
        if self.type == "int":
            low, high = self.min, self.max
            good = isinstance(value, int) and not isinstance(value, bool)
            if not good or (low is not None and int(str(value)) < low):
                return f"must be a whole number{f' from {low}' if low is not None else ''}"
            return (
                f"must be at most {high}" if high is not None and int(str(value)) > high else None
            )
        if not isinstance(value, str) or not 0 < len(value) <= 256 or not value.isprintable():
            return "must be a text of 1 to 256 characters"
        if self.type == "topic" and (set(value) & set("+#") or value[0] == "/" or value[-1] == "/"):
            return "must be a topic without + and #, and without / at its ends"
        if self.pattern is not None and re.fullmatch(self.pattern, value) is None:
            return f"must match {self.pattern}"
        return None


class Repeat(Section):
    """Make one point or action per number, ``from`` and ``to`` included."""

    var: Name
    from_: int = Field(alias="from", ge=0)
    to: int = Field(le=256)


class Channels(Section):
    """The channel numbers as printed on the board, ``from`` and ``to`` included."""

    from_: int = Field(alias="from", ge=0)
    to: int = Field(le=256)


AirMode = Literal["cool", "heat", "dry", "fan", "auto"]
AirFan = Literal["auto", "low", "mid", "high"]


def _sayings(value: Any) -> list[int | str]:
    """One value, or several of which the first is written and all are read as the same."""
    said = value if isinstance(value, list) else [value]
    if not said or any(isinstance(one, bool) or not isinstance(one, int | str) for one in said):
        raise ValueError("must be a number or a word, or a list of such")
    return said


Sayings = Annotated[
    list[int | str],
    PlainValidator(_sayings),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": ["integer", "string"]},
                {"type": "array", "items": {"type": ["integer", "string"]}, "minItems": 1},
            ]
        }
    ),
]
"""What a device says for one word: the first is written, all are read as it."""


class AirModes(Section):
    """The point that holds how an air conditioner runs, and what it holds for each of our words."""

    point: str
    values: dict[AirMode, Sayings] = Field(min_length=1)


class AirFans(Section):
    """The point that holds how fast it blows, and what it holds for each of our words."""

    point: str
    values: dict[AirFan, Sayings] = Field(min_length=1)


class ActionParam(Section):
    """A number an action takes, with its limits."""

    min: int
    max: int
    step: int = Field(default=1, ge=1)
    default: int


class Confirm(Section):
    """A read that shows that the action had its effect: evidence, never a reason to send again."""

    point: str
    equals: bool
    within_ms: int = Field(ge=10, le=5000)


class Safety(Section):
    """What the board does, and is left to do, when things go wrong. Egress is never ours."""

    on_start: Literal["leave"]
    on_bus_lost: Literal["alarm"]
    on_power_up: Literal["off", "last"]
    egress: Literal["hardware"]
    fail: Literal["secure", "safe"] | None = None  # of a lock: without power it holds, or lets go
    max_on_s: int | None = Field(default=None, ge=1)  # the device itself switches off after so long


class Head(Section):
    """What every profile begins with: what it is of, and where its facts are from.

    ``extends`` names a profile of the same folder whose keys hold where this one gives none: mappings
    are merged, lists and values replaced. One level only. What says who the board is and how far it
    is to be trusted (``id``, ``revision``, ``kind``, ``vendor``, ``model``, ``aliases``, ``sources``,
    ``verified``, ``tests``) is never inherited.
    """

    schema_: Literal[1] = Field(alias="schema")
    id: str = Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*\.[a-z0-9]+(-[a-z0-9]+)*$")
    extends: str | None = None
    revision: int = Field(ge=1)
    kind: Kind
    vendor: str
    model: str
    aliases: list[Alias] = []
    sources: list[Source] = Field(min_length=1)
    verified: Literal["doc", "bench", "field"]
    caveats: list[Caveat] = []
    params: dict[Name, InstallParam] = {}
