"""What goes in and out of platform vouchers. Money in fen; instants carry an offset; no secret goes out."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cloud_api.kit.calendar import Instant

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
Code = Annotated[str, StringConstraints(strip_whitespace=True, min_length=4, max_length=600)]
Place = Annotated[str, StringConstraints(strip_whitespace=True, max_length=80)]


class AccountIn(BaseModel):
    """A new access. ``store_id`` null: for the stores that ``places`` names."""

    model_config = ConfigDict(extra="forbid")
    kind: Annotated[str, Field(max_length=20)]
    name: Name
    store_id: Id | None = None
    places: Annotated[dict[Id, Place], Field(max_length=300)] = {}
    enabled: bool = True
    fields: Annotated[dict[str, Any], Field(max_length=20)]


class AccountChange(BaseModel):
    """What changes; what is left out stays, and so does a secret that is left empty."""

    model_config = ConfigDict(extra="forbid")
    name: Name = "x"
    places: Annotated[dict[Id, Place], Field(max_length=300)] = {}
    enabled: bool = True
    fields: Annotated[dict[str, Any], Field(max_length=20)] = {}


class AccountOut(BaseModel):
    """An access without its secrets. ``window_s``: how long a verification may be taken back there."""

    id: str
    kind: str
    kind_name: str
    name: str
    store_id: str | None
    places: dict[str, str]
    enabled: bool
    fields: dict[str, str]
    window_s: int | None
    has_records: bool
    checked_at: AwareDatetime | None
    checked: str | None


class AccountsOut(BaseModel):
    """A merchant's accesses."""

    items: list[AccountOut]


class CheckOut(BaseModel):
    """How a try went; ``message`` says what is wrong."""

    ok: bool
    message: str
    at: AwareDatetime


class DealIn(BaseModel):
    """What a deal of the platform opens here."""

    model_config = ConfigDict(extra="forbid")
    deal: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=64)]
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    minutes: int = Field(ge=30, le=1440)
    worth_fen: int = Field(default=0, ge=0, le=10_000_000)
    store_ids: list[Id] = Field(default_factory=list, max_length=200)
    room_ids: list[Id] = Field(default_factory=list, max_length=500)
    weekdays: int = Field(default=127, ge=1, le=127)
    from_minute: int = Field(default=0, ge=0, lt=1440)
    until_minute: int = Field(default=1440, gt=0, le=2880)
    active: bool = True

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.until_minute <= self.from_minute or self.until_minute - self.from_minute > 1440:
            raise ValueError("可用时段要从早到晚，最长一天")
        return self


class DealOut(DealIn):
    """With its number."""

    model_config = ConfigDict(extra="ignore")
    id: str
    account_id: str


class DealsOut(BaseModel):
    """The deals of one access."""

    items: list[DealOut]


class WayOut(BaseModel):
    """A platform whose vouchers a store takes. ``manual``: staff confirm by hand; ``deals`` to choose of."""

    account_id: str
    family: str
    label: str
    manual: bool
    least_digits: int
    most_digits: int
    deals: list[DealOut]


class WaysOut(BaseModel):
    """All of them."""

    items: list[WayOut]


class LookIn(BaseModel):
    """A platform's code, or what its QR says, to look at before anything happens."""

    model_config = ConfigDict(extra="forbid")
    account_id: Id
    store_id: Id
    code: Code


class RoomChoice(BaseModel):
    """A room, and whether the voucher would open it now; else why not."""

    id: str
    name: str
    fits: bool
    code: str | None = None
    message: str | None = None


class CouponOut(BaseModel):
    """A voucher behind a code: what it opens here. ``known`` false: nobody has said what the deal is.

    Where staff confirm by hand each deal that it may be; ``key`` is the deal's id then.
    """

    key: str
    deal: str
    title: str
    known: bool
    name: str
    minutes: int
    paid_fen: int | None
    until: AwareDatetime | None
    when: str
    rooms: list[RoomChoice]


class LookOut(BaseModel):
    """What is behind a code."""

    label: str
    manual: bool
    items: list[CouponOut]


class RedeemIn(BaseModel):
    """Which code, for which room, from when (now, if left out).

    ``key``: which of several vouchers behind one code. ``deal_id``: what it is, where staff confirm by hand.
    """

    model_config = ConfigDict(extra="forbid")
    account_id: Id
    code: Code
    key: Annotated[str, Field(max_length=64)] | None = None
    deal_id: Id | None = None
    room_id: Id
    starts_at: Instant | None = None
    way: Literal["online", "door", "scan", "code"] = "online"


class DeskRedeemIn(RedeemIn):
    """At the desk: for whoever has ``phone``. ``why``: how staff know, where it is confirmed by hand."""

    phone: Annotated[str, StringConstraints(strip_whitespace=True, min_length=5, max_length=24)]
    why: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""


class UseOut(BaseModel):
    """One use. ``word`` is what people read; ``order_id`` once its room is theirs."""

    id: str
    state: str
    word: str
    label: str
    name: str
    code_tail: str
    store_id: str
    store: str
    room_id: str
    room: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    worth_fen: int
    order_id: str | None
    why: str
    waiting: bool
    expires_at: AwareDatetime | None
    created_at: AwareDatetime


class ConsoleUseOut(UseOut):
    """With what staff see beside it."""

    code: str
    phone_tail: str
    way: str
    by_name: str
    order_number: str
    receipt: str
    verified_at: AwareDatetime | None
    may: list[str]


class ConsoleUsesOut(BaseModel):
    """A page of them."""

    items: list[ConsoleUseOut]
    next_cursor: str | None = None


class WhyIn(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=200)]


class DifferenceOut(BaseModel):
    """Where a day's records differ."""

    id: str
    day: date
    account: str
    category: str
    category_name: str
    receipt: str
    name: str
    theirs_fen: int | None
    ours_fen: int | None
    use_id: str | None
    solved_at: AwareDatetime | None
    solved_why: str


class DifferencesOut(BaseModel):
    """A page of them."""

    items: list[DifferenceOut]
    next_cursor: str | None = None
