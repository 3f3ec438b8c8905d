"""What goes in and out of the routes for coupons. Money in fen, minutes elapsed or of the local day."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cloud_api.coupons.models import Coupon
from cloud_api.coupons.service import offer_of
from cloud_api.kit.calendar import Day
from cloud_api.pricing.manage_schemas import EndMinute, Minute, Weekdays
from cloud_api.pricing.offers import in_words

Fen = Annotated[int, Field(ge=0, le=10_000_000)]
Minutes = Annotated[int, Field(ge=0, le=1440)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class CouponIn(BaseModel):
    """A kind of coupon. ``off``: ``off_fen`` from ``min_fen`` on; ``discount``: ``per_cent`` of the
    room's time; ``add_time``: the last ``minutes`` free.
    """

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(min_length=1, max_length=40, strip_whitespace=True)]
    kind: Literal["off", "discount", "add_time"]
    off_fen: Fen = 0
    per_cent: Annotated[int, Field(ge=1, le=100)] = 100
    cap_fen: Fen | None = None
    minutes: Minutes = 0
    min_fen: Fen = 0
    min_minutes: Minutes = 0
    stores: Annotated[list[Id], Field(max_length=200)] = []
    room_kinds: Annotated[list[Id], Field(max_length=20)] = []
    products: Annotated[list[Literal["hourly", "slot", "package"]], Field(min_length=1)] = [
        "hourly"
    ]
    weekdays: Weekdays = 127
    holidays: Literal["any", "only", "not"] = "any"
    from_minute: Minute = 0
    until_minute: EndMinute = 1440  # no later than ``from_minute``: on the next day
    valid_from: Day | None = None
    valid_until: Day | None = None
    valid_days: Annotated[int, Field(ge=1, le=730)] | None = None
    stock: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    per_person: Annotated[int, Field(ge=1, le=100)] = 1
    code: (
        Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{4,20}$", to_upper=True)] | None
    ) = None

    @model_validator(mode="after")
    def _makes_sense(self) -> CouponIn:
        if self.kind == "off" and self.off_fen == 0:
            raise ValueError("写上减多少钱")
        if self.kind == "discount" and self.per_cent == 100:
            raise ValueError("写上打几折，100 等于不打折")
        if self.kind == "add_time" and self.minutes == 0:
            raise ValueError("写上送多少分钟")
        if self.kind == "off" and self.min_fen and self.min_fen < self.off_fen:
            raise ValueError("满的金额不能比减的还少")
        if self.until_minute == self.from_minute:
            raise ValueError("时段的开始和结束一样")
        if self.valid_from and self.valid_until and self.valid_until < self.valid_from:
            raise ValueError("有效期的结束要晚于开始")
        return self


class CouponOut(BaseModel):
    """A kind of coupon for staff, with how many are out, used and still in hands."""

    id: str
    name: str
    kind: str
    text: str
    off_fen: int
    per_cent: int
    cap_fen: int | None
    minutes: int
    min_fen: int
    min_minutes: int
    stores: list[str]
    room_kinds: list[str]
    products: list[str]
    weekdays: int
    holidays: str
    from_minute: int
    until_minute: int
    valid_from: date | None
    valid_until: date | None
    valid_days: int | None
    stock: int | None
    issued: int
    used: int
    per_person: int
    code: str | None
    stopped_at: AwareDatetime | None
    created_at: AwareDatetime

    @classmethod
    def of(cls, coupon: Coupon, used: int = 0) -> CouponOut:
        """From the table."""
        own = {
            name: getattr(coupon, name) for name in cls.model_fields if name not in ("text", "used")
        }
        return cls(**own, used=used, text=text_of(coupon))


class CouponsOut(BaseModel):
    """A page of them."""

    items: list[CouponOut]
    next: str | None


class IssueIn(BaseModel):
    """To whom: accounts by phone, or a segment of the merchant's customers.

    ``everybody`` who ordered, ``new`` (first order within 30 days), ``quiet`` (none for 30 days),
    ``regular`` (five orders or more in 90 days), ``level`` (members of ``level_id``).
    """

    model_config = ConfigDict(extra="forbid")
    segment: Literal["phones", "everybody", "new", "quiet", "regular", "level"]
    phones: Annotated[
        list[Annotated[str, StringConstraints(min_length=5, max_length=20)]], Field(max_length=200)
    ] = []
    level_id: Id | None = None

    @model_validator(mode="after")
    def _complete(self) -> IssueIn:
        if self.segment == "phones" and not self.phones:
            raise ValueError("写上手机号，一行一个")
        if self.segment == "level" and self.level_id is None:
            raise ValueError("选一个会员等级")
        return self


class IssuedOut(BaseModel):
    """What became of an issue: given, not given because they had theirs, phones nobody has here."""

    given: int
    had: int
    unknown: int
    sold_out: bool


class ClaimIn(BaseModel):
    """A code that somebody typed."""

    model_config = ConfigDict(extra="forbid")
    code: Annotated[str, StringConstraints(min_length=1, max_length=40)]


class MyCouponOut(BaseModel):
    """A coupon in one's hand. ``state``: unused, used, expired, revoked."""

    id: str
    name: str
    text: str
    state: str
    merchant_id: str
    expires_at: AwareDatetime | None
    order_id: str | None


class MyCouponsOut(BaseModel):
    """One's coupons."""

    items: list[MyCouponOut]


def text_of(coupon: Coupon) -> str:
    """What a coupon does, in words."""
    return in_words(offer_of("", coupon))
