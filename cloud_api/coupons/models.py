"""Coupons of the house (优惠券), and the ones that customers hold."""

from datetime import date, datetime
from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlmodel import Field, SQLModel

from cloud_api.kit.columns import Json, UTCDateTime
from cloud_api.kit.ids import new_id


class Coupon(SQLModel, table=True):
    """A kind of coupon: what it takes off (pricing/offers.py), under which conditions, how many there are.

    ``valid_days`` counts from when somebody gets one; the local days ``valid_from``..``valid_until`` bound
    it in any case. ``code`` lets customers fetch one themselves. ``issued`` never exceeds ``stock``.
    """

    __table_args__ = (
        UniqueConstraint("merchant_id", "code"),
        CheckConstraint("kind IN ('off','discount','add_time')"),
        CheckConstraint("off_fen >= 0 AND min_fen >= 0 AND minutes >= 0 AND min_minutes >= 0"),
        CheckConstraint("per_cent BETWEEN 1 AND 100"),
        CheckConstraint("issued >= 0 AND (stock IS NULL OR issued <= stock)"),
        CheckConstraint("per_person BETWEEN 1 AND 100"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    name: str = Field(max_length=40)
    kind: str
    off_fen: int = 0
    per_cent: int = 100
    cap_fen: int | None = None
    minutes: int = 0
    min_fen: int = 0
    min_minutes: int = 0
    stores: list[Any] = Field(default_factory=list, sa_type=Json)
    room_kinds: list[Any] = Field(default_factory=list, sa_type=Json)
    products: list[Any] = Field(default_factory=lambda: ["hourly"], sa_type=Json)
    weekdays: int = 127
    holidays: str = "any"
    from_minute: int = 0
    until_minute: int = 1440
    valid_from: date | None = None
    valid_until: date | None = None
    valid_days: int | None = None
    stock: int | None = None  # None: no end of them
    issued: int = 0
    per_person: int = 1
    code: str | None = Field(default=None, max_length=20)
    stopped_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # business time
    created_at: datetime = Field(sa_type=UTCDateTime)


class CouponGrant(SQLModel, table=True):
    """One coupon in one customer's hand: unused → used → (given back) unused; or revoked.

    Expiry is no state: it is ``expires_at`` against the clock. All changes are in coupons/service.py.
    """

    __tablename__ = "coupon_grant"
    __table_args__ = (
        CheckConstraint("state IN ('unused','used','revoked')"),
        CheckConstraint("(state = 'used') = (order_id IS NOT NULL)", name="ck_coupon_grant_order"),
        UniqueConstraint("coupon_id", "account_id", "nth"),
    )
    id: str = Field(default_factory=new_id, primary_key=True)
    merchant_id: str = Field(foreign_key="merchant.id", index=True)
    coupon_id: str = Field(foreign_key="coupon.id", index=True)
    account_id: str = Field(foreign_key="account.id", index=True)
    nth: int  # of this coupon in this hand: 1, 2, … per_person
    state: str = "unused"
    order_id: str | None = Field(default=None, index=True)
    last_order_id: str | None = None  # whom it was given back by
    expires_at: datetime | None = Field(default=None, sa_type=UTCDateTime)  # business time
    by: str  # who gave it: staff:…, code, system
    used_at: datetime | None = Field(default=None, sa_type=UTCDateTime)
    created_at: datetime = Field(sa_type=UTCDateTime)
