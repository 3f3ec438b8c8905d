"""What goes in and out of the routes by which staff change stores and rooms."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from cloud_api.kit.calendar import Day
from cloud_api.stores.facilities import Kind, texts
from cloud_api.stores.models import Room

LocalTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=40, strip_whitespace=True)]
Short = Annotated[str, StringConstraints(max_length=20, strip_whitespace=True)]
Text = Annotated[str, StringConstraints(max_length=2000)]
WallSpan = Annotated[list[LocalTime], Field(min_length=2, max_length=2)]
DaySpans = Annotated[list[WallSpan], Field(max_length=4)]
Art = Literal[
    "room-moon-bamboo", "room-city-window", "room-plum-branch", "room-tea-lattice", "room-scroll",
    "room-arch-vase", "room-round-window",
]  # fmt: skip


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("没有这个时区，写成 Asia/Shanghai 这样") from error
    return name


Zone = Annotated[str, StringConstraints(max_length=60), AfterValidator(_zone)]


class Thing(BaseModel):
    """Something that stands in a room."""

    model_config = ConfigDict(extra="forbid")
    kind: Kind
    brand: Short = ""
    model: Short = ""


class SpecialDay(BaseModel):
    """A day that differs. ``hours`` null: as usual; empty: closed. ``as``: what prices take it for."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)
    name: Short = ""
    hours: DaySpans | None = None
    as_: Literal["", "plain", "holiday", "workday"] = Field("", alias="as")


Days = Annotated[dict[Day, SpecialDay], Field(max_length=400)]


def plain_days(days: dict[date, SpecialDay]) -> dict[str, Any]:
    """As the table keeps them."""
    return {day.isoformat(): one.model_dump(by_alias=True) for day, one in sorted(days.items())}


class StoreNew(BaseModel):
    """A store to be; everything else is set afterwards."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(min_length=1, max_length=80, strip_whitespace=True)]
    address: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    phone: Annotated[str, StringConstraints(min_length=1, max_length=20)]
    tz: Zone = "Asia/Shanghai"


class RoomIn(BaseModel):
    """A new room."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    capacity: Annotated[int, Field(ge=1, le=100)] = 4
    area_m2: Annotated[int, Field(ge=1, le=2000)] = 20
    style: Short = ""
    kind: Short = ""
    art: Art = "room-moon-bamboo"
    facilities: Annotated[list[Short], Field(max_length=30)] = []
    equipment: Annotated[list[Thing], Field(max_length=30)] = []
    tags: Annotated[list[Short], Field(max_length=10)] = []
    about: Text = ""
    selling: Literal["bookable", "walk_up", "off"] = "bookable"


class RoomEdit(BaseModel):
    """What changes of a room; a field left out stays as it is."""

    model_config = ConfigDict(extra="forbid")
    name: Name | None = None
    capacity: Annotated[int, Field(ge=1, le=100)] | None = None
    area_m2: Annotated[int, Field(ge=1, le=2000)] | None = None
    style: Short | None = None
    kind: Short | None = None
    art: Art | None = None
    facilities: Annotated[list[Short], Field(max_length=30)] | None = None
    equipment: Annotated[list[Thing], Field(max_length=30)] | None = None
    tags: Annotated[list[Short], Field(max_length=10)] | None = None
    about: Text | None = None
    selling: Literal["bookable", "walk_up", "off"] | None = None

    def changes(self) -> dict[str, Any]:
        """The fields that were sent."""
        sent = self.model_dump(exclude_unset=True)
        return {name: value for name, value in sent.items() if value is not None}


class RoomFacts(BaseModel):
    """A room as staff set it up."""

    id: str
    store_id: str
    index: int
    name: str
    capacity: int
    area_m2: int
    style: str
    kind: str
    art: str
    facilities: list[str]
    equipment: list[Thing]
    tags: list[str]
    about: str
    selling: str
    mode: str
    sort: int
    retired_at: AwareDatetime | None
    texts: list[str]

    @classmethod
    def of(cls, room: Room) -> RoomFacts:
        """From the table."""
        own = {name: getattr(room, name) for name in cls.model_fields if name != "texts"}
        return cls(**own, texts=texts(room.equipment, room.facilities))


class RoomFactsList(BaseModel):
    """A store's rooms, and those that were given up."""

    items: list[RoomFacts]
    retired: list[RoomFacts] = []


class RoomOrder(BaseModel):
    """All rooms of the store in their new order."""

    model_config = ConfigDict(extra="forbid")
    room_ids: Annotated[list[str], Field(max_length=64)]
