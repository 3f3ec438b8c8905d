"""What goes in and out of the routes for doors and passes. Instants ISO-8601 in UTC."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StringConstraints

from cloud_api.access.decide import Case
from store_link.rules import AirAim, AirFan, AirMode


class Named(BaseModel):
    """Something with a name."""

    id: str
    name: str


class DoorBrief(BaseModel):
    """The door of the sticker. ``kind``: room or entrance."""

    id: str
    name: str
    kind: str


class StoreBrief(BaseModel):
    """The store of the door; ``online`` tells a guest before setting out."""

    id: str
    name: str
    phone: str
    address: str
    tz: str
    online: bool


class RoomBrief(BaseModel):
    """The room the answer speaks of."""

    id: str
    name: str
    art: str
    state: str


class RightRoom(BaseModel):
    """Where the person's booking is instead."""

    id: str
    name: str
    door_name: str


class DoorView(BaseModel):
    """What this person may do at this door, and why not. ``message`` is the sentence for ``message_key``.

    ``life_s``: how long an unlock command lives. ``pass`` and ``pin`` are given with a right to enter.
    """

    model_config = ConfigDict(populate_by_name=True)

    case: Case
    message_key: str
    message: str
    can_unlock: bool
    now: AwareDatetime
    door: DoorBrief
    store: StoreBrief
    room: RoomBrief | None
    order_id: str | None = None
    opens_at: AwareDatetime | None = None
    starts_at: AwareDatetime | None = None
    ends_at: AwareDatetime | None = None
    grace_ends_at: AwareDatetime | None = None
    held_until: AwareDatetime | None = None
    due_fen: int | None = None
    right_room: RightRoom | None = None
    somebody_inside: bool = False  # guests of before, while this person's time is near or has begun
    free_until: AwareDatetime | None = None
    busy_until: AwareDatetime | None = None
    price_from_fen: int | None = None
    other_rooms: list[Named] = []
    lock_failed_at: AwareDatetime | None = None
    pin: str | None = None
    pass_: Annotated[str | None, Field(alias="pass")] = None
    life_s: int = 10


class UnlockOut(BaseModel):
    """The command and what became of it. ``state`` done means that the lock moved."""

    command_id: str
    state: str
    final: bool
    reason: str | None
    message: str
    sent_ms: int | None
    accepted_ms: int | None
    took_ms: int | None
    evidence: dict[str, object]
    expires_at: AwareDatetime
    again: bool = Field(False, description="a running command was joined; no second one was sent")


class PassOut(BaseModel):
    """A pass for the reader at the door, and the PIN. Ask again every ``renew_s`` while online."""

    model_config = ConfigDict(populate_by_name=True)

    order_id: str
    pass_: Annotated[str, Field(alias="pass")]
    pin: str
    not_before: AwareDatetime
    expires: AwareDatetime
    opens_at: AwareDatetime
    renew_s: int = 60
    store_online: bool
    now: AwareDatetime


class StaffUnlockIn(BaseModel):
    """Why staff opens a door from afar; it stands in the log with their name."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class StickerOut(BaseModel):
    """What is printed for a door: ``url`` goes into the QR code."""

    door_id: str
    name: str
    kind: str
    rooms: list[str]
    url: str


class StickersOut(BaseModel):
    """The stickers of a store."""

    store: str
    items: list[StickerOut]


class OtherRoomIn(BaseModel):
    """Which room instead of the one whose lock does not answer."""

    model_config = ConfigDict(extra="forbid")
    room_id: Annotated[str, Field(min_length=1, max_length=40)]


class OtherRoomOut(BaseModel):
    """The room that is theirs now, and from when to when."""

    change_id: str
    room_id: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class RoomActionIn(BaseModel):
    """What a guest wants of a device of their room: ``on`` of a switch; of an air conditioner
    ``setpoint`` in °C, ``mode`` or ``fan``.
    """

    model_config = ConfigDict(extra="forbid")
    on: StrictBool | None = None
    setpoint: Annotated[int, Field(ge=5, le=40)] | None = None
    mode: AirMode | None = None
    fan: AirFan | None = None

    @property
    def aim(self) -> AirAim:
        """What an air conditioner is to be told."""
        return AirAim(setpoint=self.setpoint, mode=self.mode, fan=self.fan)
