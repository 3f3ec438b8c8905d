"""What time costs when: tariffs, slots, packages, extras; and the quotes made from them."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Tariff(SQLModel, table=True):
    """An hourly price on some days between two local times of day.

    ``weekdays`` is a bit mask, Monday = 1 … Sunday = 64; ``holidays`` says any | only | not
    (pricing/calendar.py). Minutes count from local midnight, ``until_minute`` ≤ 1440. Of several that
    match, the highest ``priority`` rules; one tariff with priority 0 covers everything, so that no
    minute is without a price.
    """

    __public__ = True
    __table_args__ = (
        CheckConstraint("hourly_fen >= 0"),
        CheckConstraint("from_minute >= 0 AND from_minute < until_minute AND until_minute <= 1440"),
        CheckConstraint("weekdays BETWEEN 1 AND 127"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    room_id: str | None = Field(default=None, foreign_key="room.id")  # None: every room
    room_kind: str | None = None  # or the rooms of one kind (Room.kind)
    name: str = Field(max_length=40)  # 平日, 周末, 晚间
    weekdays: int = 127
    holidays: str = "any"
    from_minute: int = 0
    until_minute: int = 1440
    hourly_fen: int
    priority: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)


class Slot(SQLModel, table=True):
    """A stretch of wall time sold as one (上午场, 通宵): ``until_minute`` ≤ ``from_minute`` is next day."""

    __public__ = True
    __table_args__ = (
        CheckConstraint("price_fen >= 0 AND weekdays BETWEEN 1 AND 127"),
        CheckConstraint("from_minute BETWEEN 0 AND 1439 AND until_minute BETWEEN 0 AND 1440"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    rooms: list[Any] = Field(
        default_factory=list, sa_type=Json
    )  # room ids; empty with no kinds: all
    room_kinds: list[Any] = Field(default_factory=list, sa_type=Json)
    name: str = Field(max_length=40)
    from_minute: int
    until_minute: int
    weekdays: int = 127  # of the day on which it begins
    holidays: str = "any"
    price_fen: int
    active: bool = True
    sort: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)


class Package(SQLModel, table=True):
    """So many minutes for one price, begun within a window of the day, while it is valid."""

    __public__ = True
    __table_args__ = (
        CheckConstraint("price_fen >= 0 AND minutes > 0 AND weekdays BETWEEN 1 AND 127"),
        CheckConstraint("from_minute >= 0 AND from_minute < until_minute AND until_minute <= 1440"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    rooms: list[Any] = Field(default_factory=list, sa_type=Json)
    room_kinds: list[Any] = Field(default_factory=list, sa_type=Json)
    name: str = Field(max_length=40)
    about: str = ""
    minutes: int
    price_fen: int
    weekdays: int = 127
    holidays: str = "any"
    from_minute: int = 0  # it may begin from here …
    until_minute: int = 1440  # … to before here
    valid_from: date | None = None  # local days of its beginning
    valid_until: date | None = None
    active: bool = True
    sort: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)


class Extra(SQLModel, table=True):
    """What can be had beside the room (茶水, 加一张桌): a line of the quote each."""

    __public__ = True
    __table_args__ = (CheckConstraint("price_fen >= 0 AND most BETWEEN 1 AND 99"),)
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    name: str = Field(max_length=40)
    unit: str = Field(default="份", max_length=8)
    price_fen: int
    most: int = 10  # of one in an order
    active: bool = True
    sort: int = 0
    created_at: datetime = Field(sa_type=UTCDateTime)


class PriceRule(SQLModel, table=True):
    """How a store counts time: by which unit, at least how long; and whether guests may pay as they go.

    Minutes are elapsed time. A store without a row counts by the minute and sells no pay-as-you-go.
    """

    __tablename__ = "price_rule"
    __public__ = True
    __table_args__ = (
        CheckConstraint("unit_minutes BETWEEN 1 AND 240 AND least_minutes BETWEEN 0 AND 1440"),
        CheckConstraint("payg_unit_minutes BETWEEN 1 AND 240"),
        CheckConstraint("payg_least_minutes BETWEEN 0 AND 1440"),
        CheckConstraint("payg_prepay_minutes BETWEEN 30 AND 1440"),
    )
    store_id: str = Field(foreign_key="store.id", primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    unit_minutes: int = 1  # a begun unit is charged as a whole
    least_minutes: int = 0  # shorter stays are charged as this long
    payg: bool = False
    payg_unit_minutes: int = 15
    payg_least_minutes: int = 60
    payg_prepay_minutes: int = 240  # paid ahead; what is not used goes back


class Quote(SQLModel, table=True):
    """A price that was told to somebody; stored with its lines and never computed again."""

    __public__ = True  # its id is the secret of who asked; it holds no personal data
    __table_args__ = (CheckConstraint("total_fen >= 0"), CheckConstraint("starts_at < ends_at"))
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    store_id: str = Field(foreign_key="store.id", index=True)
    room_id: str = Field(foreign_key="room.id", index=True)
    starts_at: datetime = Field(sa_type=UTCDateTime)
    ends_at: datetime = Field(sa_type=UTCDateTime)
    kind: str = "hourly"  # hourly | slot | package | payg
    product_id: str | None = None  # of the slot or package
    coupon_id: str | None = None  # coupons.CouponGrant that is taken off; used up by the order
    total_fen: int
    lines: list[Any] = Field(sa_type=Json)  # pricing.schemas.QuoteLine as JSON
    # How it came about: payg rule, coupon in words and those that did not fit.
    detail: dict[str, Any] = Field(default_factory=dict, sa_type=Json)
    created_at: datetime = Field(sa_type=UTCDateTime)
    expires_at: datetime = Field(sa_type=UTCDateTime)  # business time
