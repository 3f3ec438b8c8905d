"""What goes in and out of the routes by which staff set prices.

Weekdays are a bit mask (Monday = 1) or a list of 0 (Monday) to 6; minutes of the local day a number or
``HH:MM``. An end of ``00:00`` is midnight after.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from cloud_api.kit.calendar import Day

_TIME = re.compile(r"([01]?[0-9]|2[0-4]):([0-5][0-9])")


def _mask(given: object) -> object:
    if isinstance(given, list):
        days = {int(day) for day in given if str(day).isdigit() and int(day) < 7}
        return sum(1 << day for day in days)
    return given


def _minute(given: object) -> object:
    if isinstance(given, str) and (found := _TIME.fullmatch(given.strip())):
        return int(found[1]) * 60 + int(found[2])
    return given


def _end(given: object) -> object:
    found = _minute(given)
    return 1440 if found == 0 else found


Weekdays = Annotated[int, Field(ge=1, le=127), BeforeValidator(_mask)]
Minute = Annotated[int, Field(ge=0, le=1439), BeforeValidator(_minute)]
EndMinute = Annotated[int, Field(ge=1, le=1440), BeforeValidator(_end)]
Fen = Annotated[int, Field(ge=0, le=10_000_000)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=40, strip_whitespace=True)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Kind = Annotated[str, StringConstraints(max_length=20, strip_whitespace=True)]
Holidays = Literal["any", "only", "not"]


class TariffIn(BaseModel):
    """An hourly price: for all rooms, one room, or the rooms of a kind."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    hourly_fen: Fen
    room_id: Id | None = None
    room_kind: Kind | None = None
    weekdays: Weekdays = 127
    holidays: Holidays = "any"
    from_minute: Minute = 0
    until_minute: EndMinute = 1440
    priority: Annotated[int, Field(ge=0, le=100)] = 0

    @model_validator(mode="after")
    def _makes_sense(self) -> TariffIn:
        if self.until_minute <= self.from_minute:
            raise ValueError("结束要晚于开始；跨零点的分成两条")
        if self.room_id and self.room_kind:
            raise ValueError("按包间或按房型，选一种")
        self.room_kind = self.room_kind or None
        return self


class SlotIn(BaseModel):
    """A slot; an end at or before the beginning is on the next day."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    from_minute: Minute
    until_minute: Annotated[int, Field(ge=0, le=1440), BeforeValidator(_minute)]
    price_fen: Fen
    weekdays: Weekdays = 127
    holidays: Holidays = "any"
    rooms: Annotated[list[Id], Field(max_length=64)] = []
    room_kinds: Annotated[list[Kind], Field(max_length=20)] = []
    active: bool = True
    sort: Annotated[int, Field(ge=0, le=1000)] = 0


class PackageIn(BaseModel):
    """So many minutes for one price."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    about: Annotated[str, StringConstraints(max_length=200)] = ""
    minutes: Annotated[int, Field(ge=15, le=2880)]
    price_fen: Fen
    weekdays: Weekdays = 127
    holidays: Holidays = "any"
    from_minute: Minute = 0
    until_minute: EndMinute = 1440
    valid_from: Day | None = None
    valid_until: Day | None = None
    rooms: Annotated[list[Id], Field(max_length=64)] = []
    room_kinds: Annotated[list[Kind], Field(max_length=20)] = []
    active: bool = True
    sort: Annotated[int, Field(ge=0, le=1000)] = 0

    @model_validator(mode="after")
    def _makes_sense(self) -> PackageIn:
        if self.until_minute <= self.from_minute:
            raise ValueError("最晚开始要晚于最早开始")
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise ValueError("有效期的结束要晚于开始")
        return self


class ExtraIn(BaseModel):
    """Something beside the room."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    unit: Annotated[str, StringConstraints(min_length=1, max_length=8)] = "份"
    price_fen: Fen
    most: Annotated[int, Field(ge=1, le=99)] = 10
    active: bool = True
    sort: Annotated[int, Field(ge=0, le=1000)] = 0


class RuleIn(BaseModel):
    """How a store counts time."""

    model_config = ConfigDict(extra="forbid")
    unit_minutes: Annotated[int, Field(ge=1, le=240)] = 1
    least_minutes: Annotated[int, Field(ge=0, le=1440)] = 0
    payg: bool = False
    payg_unit_minutes: Annotated[int, Field(ge=1, le=240)] = 15
    payg_least_minutes: Annotated[int, Field(ge=0, le=1440)] = 60
    payg_prepay_minutes: Annotated[int, Field(ge=30, le=1440)] = 240


class LevelIn(BaseModel):
    """A member level."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(min_length=1, max_length=20, strip_whitespace=True)]
    per_cent: Annotated[int, Field(ge=10, le=100)]
    sort: Annotated[int, Field(ge=0, le=100)] = 0


class PriceThing(BaseModel):
    """A tariff, slot, package or extra, as it stands."""

    model_config = ConfigDict(extra="allow")
    id: str
    name: str


class PricesOut(BaseModel):
    """All of a store's prices."""

    tariffs: list[PriceThing]
    slots: list[PriceThing]
    packages: list[PriceThing]
    extras: list[PriceThing]
    rule: RuleIn


def thing(row: Any) -> PriceThing:
    """From any of the tables."""
    return PriceThing.model_validate(row.model_dump(exclude={"merchant_id", "created_at"}))
