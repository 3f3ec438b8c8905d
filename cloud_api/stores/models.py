"""Stores, their rooms and their doors: what a customer sees and walks through."""

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Encrypted, Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Store(SQLModel, table=True):
    """A store and the rules of booking in it. Minutes and seconds are elapsed time."""

    __public__ = True
    __store_itself__ = True
    __table_args__ = (
        CheckConstraint("min_minutes > 0 AND step_minutes > 0 AND max_minutes >= min_minutes"),
        CheckConstraint("lead_s >= 0 AND grace_s >= 0 AND cleaning_s >= 0 AND hold_s > 0"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    name: str = Field(max_length=80)
    address: str = Field(max_length=200)
    phone: str = Field(max_length=20)
    notice: str = ""
    tz: str = "Asia/Shanghai"  # IANA
    opens: str | None = None  # local "HH:MM"; None with closes None = round the clock
    closes: str | None = None
    # Monday … Sunday, each [["10:00", "02:00"], …]; where given it rules instead of opens and closes.
    hours: list[Any] | None = Field(default=None, sa_type=Json)
    # Days that differ (stores/hours.py): {"2027-02-06": {"name", "hours", "as"}}.
    days: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    holidays: str = "CN"  # whose public holidays prices know (pricing/calendar.py); "" for none
    about: str = ""
    contact: str = ""  # whom to ask for, or a WeChat name
    lat: float | None = None  # degrees, WGS 84
    lon: float | None = None
    wifi_name: str = ""  # told to who is in a stay, never public
    wifi_password: str | None = Field(default=None, sa_type=Encrypted("store.wifi_password"))
    min_minutes: int = 60
    step_minutes: int = 30
    max_minutes: int = 720
    advance_days: int = 7
    lead_s: int = 900  # the door opens so long before the start
    grace_s: int = 600  # power stays so long after the end, at no charge
    cleaning_s: int = 900  # the room is blocked so long after a stay
    hold_s: int = 600  # an unpaid booking keeps the room so long
    # Time beyond the paid end and grace (pricing/overtime.py): off | per_unit | per_cent.
    overtime_mode: str = "off"
    overtime_free_minutes: int = 0
    overtime_unit_minutes: int = 15
    overtime_unit_fen: int = 0
    overtime_per_cent: int = 100  # of the hourly price
    overtime_cap_fen: int | None = None
    resting_w: int = 30  # an empty room draws no more; beyond it, a meter shows somebody
    overtime_power: str = "cut"  # cut | keep: what power does in overtime while somebody is inside
    # What the store's computer does by itself (store_link.rules); local "HH:MM".
    scenes: dict[str, Any] | None = Field(default=None, sa_type=Json)
    air: dict[str, Any] | None = Field(default=None, sa_type=Json)  # devices.air_defaults
    say_welcome: bool = False
    say_ended: bool = False
    quiet_from: str | None = None
    quiet_until: str | None = None
    entry_again_s: int = 0
    entry_most: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)


class Room(SQLModel, table=True):
    """A room that is rented by time. ``index`` is its bit in a pass and never changes."""

    __public__ = True
    __table_args__ = (
        UniqueConstraint("store_id", "index"),
        CheckConstraint("capacity > 0 AND area_m2 > 0"),
        CheckConstraint('"index" BETWEEN 0 AND 63'),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    index: int
    name: str = Field(max_length=40)
    capacity: int = 4
    area_m2: int = 20
    style: str = ""  # 中式, 茶室, 现代简约 …
    art: str = "room-moon-bamboo"  # drawing for a room without photos
    facilities: list[Any] = Field(default_factory=list, sa_type=Json)  # ["雀友 T8", "新风", …]
    # What stands in it, with brands: [{"kind": "table", "brand": "雀友", "model": "T8"}, …]
    equipment: list[Any] = Field(default_factory=list, sa_type=Json)
    tags: list[Any] = Field(default_factory=list, sa_type=Json)  # ["临窗", "可抽烟", …]
    kind: str = Field(default="", max_length=20)  # 小包, 大包 …: rooms that share prices
    about: str = ""
    selling: str = "bookable"  # bookable | walk_up (from now only) | off
    retired_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # business time
    sort: int = 0
    mode: str = "normal"  # normal | open | cleaning | maintenance; claims/modes.py changes it
    mode_until: datetime | None = Field(default=None, sa_type=UTCDateTime)  # business time
    mode_why: str = ""
    mode_claim_id: str | None = None  # the room time that maintenance takes
    scenes: dict[str, Any] | None = Field(default=None, sa_type=Json)  # None: the store's
    air: dict[str, Any] | None = Field(default=None, sa_type=Json)  # None: the store's
    created_at: datetime = Field(sa_type=UTCDateTime)


class Door(SQLModel, table=True):
    """A door with a sticker ``/d/{token}``; ``rooms`` are the rooms whose guests may open it."""

    __public__ = True
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    name: str = Field(max_length=40)
    kind: str = "room"  # room | entrance
    token: str = Field(unique=True)
    rooms: list[Any] = Field(sa_type=Json)  # room ids
    lock_binding_id: str | None = None  # devices.Binding with capability lock.pulse
    contact_binding_id: str | None = None
    reader_binding_id: str | None = None  # devices.Binding with capability input.code
    cards_binding_id: str | None = None  # devices.Binding with capability input.card
    pulse_ms: int = 1000
    created_at: datetime = Field(sa_type=UTCDateTime)
