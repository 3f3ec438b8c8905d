"""What goes in and out of the routes for stores, rooms and doors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.stores.models import Door, Room, Store

LocalTime = Annotated[str, StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]


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
    notice: str
    tz: str
    opens: str | None
    closes: str | None
    rules: RulesOut

    @classmethod
    def of(cls, store: Store) -> StoreOut:
        """From the table."""
        own = {name: getattr(store, name) for name in cls.model_fields if name != "rules"}
        rules = RulesOut(**{name: getattr(store, name) for name in RulesOut.model_fields})
        return cls(**own, rules=rules)


class RoomOut(BaseModel):
    """A room as everybody sees it."""

    id: str
    store_id: str
    name: str
    capacity: int
    area_m2: int
    style: str
    art: str
    facilities: list[str]
    mode: str

    @classmethod
    def of(cls, room: Room) -> RoomOut:
        """From the table."""
        return cls(**{name: getattr(room, name) for name in cls.model_fields})


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

    @classmethod
    def of(cls, door: Door) -> DoorOut:
        """From the table."""
        return cls(**{name: getattr(door, name) for name in cls.model_fields})


class StoresOut(BaseModel):
    """A list of stores."""

    items: list[StoreOut]


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
    opens: LocalTime | None = None
    closes: LocalTime | None = None
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
        """The fields that were sent; only the hours (round the clock) and the limit may be null."""
        sent = self.model_dump(exclude_unset=True)
        may_be_null = ("opens", "closes", "quiet_from", "quiet_until", "overtime_cap_fen")
        return {k: v for k, v in sent.items() if v is not None or k in may_be_null}
