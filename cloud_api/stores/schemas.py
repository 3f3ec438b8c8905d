"""What goes in and out of the routes for stores, rooms and doors."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.stores.facilities import texts
from cloud_api.stores.hours import in_words
from cloud_api.stores.models import Door, Room, Store
from cloud_api.stores.room_schemas import Days, DaySpans, LocalTime, Thing, Zone, plain_days


class RulesOut(BaseModel):
    """The rules of booking; minutes and seconds are elapsed time."""

    min_minutes: int
    step_minutes: int
    max_minutes: int
    advance_days: int
    lead_s: int
    grace_s: int
    cleaning_s: int
    hold_s: int
    overtime_mode: str  # off | per_unit | per_cent
    overtime_free_minutes: int
    overtime_unit_minutes: int
    overtime_unit_fen: int
    overtime_per_cent: int
    overtime_cap_fen: int | None


class StoreOut(BaseModel):
    """A store as everybody sees it. ``opens``/``closes`` are local ``HH:MM``; null = round the clock."""

    id: str
    name: str
    address: str
    phone: str
    contact: str
    about: str
    notice: str
    lat: float | None
    lon: float | None
    tz: str
    opens: str | None
    closes: str | None
    hours: list[list[list[str]]] | None
    hours_text: str
    rules: RulesOut

    @classmethod
    def of(cls, store: Store) -> StoreOut:
        """From the table."""
        made = {"rules", "hours_text"}
        own = {name: getattr(store, name) for name in StoreOut.model_fields if name not in made}
        rules = RulesOut(**{name: getattr(store, name) for name in RulesOut.model_fields})
        return StoreOut(**own, rules=rules, hours_text=in_words(store))


class StoreFacts(StoreOut):
    """A store as its staff know it."""

    days: dict[str, Any]
    holidays: str
    wifi_name: str
    wifi_password: str | None

    @classmethod
    def of(cls, store: Store) -> StoreFacts:
        """From the table."""
        own = {
            name: getattr(store, name)
            for name in ("days", "holidays", "wifi_name", "wifi_password")
        }
        return cls(**StoreOut.of(store).model_dump(), **own)


class RoomOut(BaseModel):
    """A room as everybody sees it."""

    id: str
    store_id: str
    name: str
    capacity: int
    area_m2: int
    style: str
    art: str
    kind: str
    facilities: list[str]
    equipment: list[Thing]
    tags: list[str]
    about: str
    selling: str  # bookable | walk_up | off
    mode: str
    texts: list[str]

    @classmethod
    def of(cls, room: Room) -> RoomOut:
        """From the table. ``texts``: everything in it, in words."""
        own = {name: getattr(room, name) for name in cls.model_fields if name != "texts"}
        return cls(**own, texts=texts(room.equipment, room.facilities))


class DoorOut(BaseModel):
    """A door for staff, with its sticker's token."""

    id: str
    store_id: str
    name: str
    kind: str
    token: str
    rooms: list[str]
    pulse_ms: int
    lock_binding_id: str | None
    contact_binding_id: str | None
    reader_binding_id: str | None
    cards_binding_id: str | None

    @classmethod
    def of(cls, door: Door) -> DoorOut:
        """From the table."""
        return cls(**{name: getattr(door, name) for name in cls.model_fields})


class StoresOut(BaseModel):
    """A page of stores; ``next_cursor`` goes into the next request."""

    items: list[StoreOut]
    next_cursor: str | None = None


class RoomsOut(BaseModel):
    """A list of rooms."""

    items: list[RoomOut]


class DoorsOut(BaseModel):
    """A list of doors."""

    items: list[DoorOut]


class StoreEdit(BaseModel):
    """What an owner may change; a field left out stays as it is."""

    model_config = ConfigDict(extra="forbid")

    name: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = None
    address: Annotated[str, StringConstraints(max_length=200)] | None = None
    phone: Annotated[str, StringConstraints(max_length=20)] | None = None
    notice: Annotated[str, StringConstraints(max_length=2000)] | None = None
    contact: Annotated[str, StringConstraints(max_length=60)] | None = None
    about: Annotated[str, StringConstraints(max_length=2000)] | None = None
    lat: Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)] | None = None
    lon: Annotated[float, Field(ge=-180, le=180, allow_inf_nan=False)] | None = None
    tz: Zone | None = None
    wifi_name: Annotated[str, StringConstraints(max_length=64)] | None = None
    wifi_password: Annotated[str, StringConstraints(max_length=64)] | None = None
    holidays: Literal["", "CN", "HK", "MO", "TW", "SG", "MY", "US", "AU", "JP"] | None = None
    opens: LocalTime | None = None
    closes: LocalTime | None = None
    hours: Annotated[list[DaySpans], Field(min_length=7, max_length=7)] | None = None
    days: Days | None = None
    min_minutes: Annotated[int, Field(ge=1, le=1440)] | None = None
    step_minutes: Annotated[int, Field(ge=1, le=240)] | None = None
    max_minutes: Annotated[int, Field(ge=1, le=2880)] | None = None
    advance_days: Annotated[int, Field(ge=0, le=365)] | None = None
    lead_s: Annotated[int, Field(ge=0, le=7200)] | None = None
    grace_s: Annotated[int, Field(ge=0, le=7200)] | None = None
    cleaning_s: Annotated[int, Field(ge=0, le=14400)] | None = None
    hold_s: Annotated[int, Field(ge=60, le=3600)] | None = None
    overtime_mode: Literal["off", "per_unit", "per_cent"] | None = None
    overtime_free_minutes: Annotated[int, Field(ge=0, le=120)] | None = None
    overtime_unit_minutes: Annotated[int, Field(ge=1, le=120)] | None = None
    overtime_unit_fen: Annotated[int, Field(ge=0, le=100_000)] | None = None
    overtime_per_cent: Annotated[int, Field(ge=1, le=500)] | None = None
    overtime_cap_fen: Annotated[int, Field(ge=0, le=1_000_000)] | None = None  # null: no limit
    resting_w: Annotated[int, Field(ge=0, le=10_000)] | None = None
    overtime_power: Literal["cut", "keep"] | None = None
    say_welcome: bool | None = None
    say_ended: bool | None = None
    quiet_from: LocalTime | None = None
    quiet_until: LocalTime | None = None
    entry_again_s: Annotated[int, Field(ge=0, le=3600)] | None = None
    entry_most: Annotated[int, Field(ge=0, le=255)] | None = None

    def changes(self) -> dict[str, object]:
        """The fields that were sent; only hours, place, a password and the limit may be null."""
        sent = self.model_dump(exclude_unset=True)
        if self.days is not None:
            sent["days"] = plain_days(self.days)
        may_be_null = (
            "opens",
            "closes",
            "quiet_from",
            "quiet_until",
            "hours",
            "lat",
            "lon",
            "wifi_password",
            "overtime_cap_fen",
        )
        return {k: v for k, v in sent.items() if v is not None or k in may_be_null}
