"""What goes in and out of group-buy. Money in fen; instants carry an offset."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from cloud_api.kit.calendar import Instant
from cloud_api.media.schemas import MediaOut
from cloud_api.orders.schemas import PayWayOut

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Words = Annotated[str, StringConstraints(strip_whitespace=True, max_length=60)]


class CampaignIn(BaseModel):
    """A campaign as a merchant writes it. ``weekdays`` is a bit mask, Monday = 1; minutes from midnight."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=60)]
    tagline: Annotated[str, StringConstraints(strip_whitespace=True, max_length=120)] = ""
    price_fen: int = Field(gt=0, le=10_000_000)
    list_fen: int = Field(gt=0, le=10_000_000)
    team_size: int = Field(default=1, ge=1, le=20)
    team_hours: int = Field(default=24, ge=1, le=720)
    on_fail: Literal["refund", "complete"] = "refund"
    starts_at: Instant
    ends_at: Instant
    stock: int | None = Field(default=None, ge=0, le=1_000_000)
    most_per_customer: int | None = Field(default=None, ge=1, le=1000)
    most_per_order: int = Field(default=5, ge=1, le=100)
    valid_days: int = Field(default=90, ge=1, le=730)
    minutes: int = Field(ge=30, le=1440)
    people: int = Field(default=0, ge=0, le=50)
    store_ids: list[Id] = Field(min_length=1, max_length=200)
    room_ids: list[Id] = Field(default_factory=list, max_length=500)
    weekdays: int = Field(default=127, ge=1, le=127)
    from_minute: int = Field(default=0, ge=0, lt=1440)
    until_minute: int = Field(default=1440, gt=0, le=2880)
    extras: list[Words] = Field(default_factory=list, max_length=20)
    story: str = Field(default="", max_length=20_000)
    picture: str = Field(default="room-moon-bamboo", pattern=r"^room-[a-z-]{1,40}$")
    rules: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)] = ""
    refundable: bool = True
    refund_on_expiry: bool = True
    sort: int = Field(default=0, ge=-1000, le=1000)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.list_fen < self.price_fen:
            raise ValueError("单买价不能低于团购价")
        if self.ends_at <= self.starts_at:
            raise ValueError("结束要晚于开始")
        if self.until_minute <= self.from_minute or self.until_minute - self.from_minute > 1440:
            raise ValueError("可用时段要从早到晚，最长一天")
        return self


class CampaignOut(BaseModel):
    """A campaign as everybody sees it. ``left`` None: no limit. ``when`` says days and hours in words."""

    id: str
    name: str
    tagline: str
    state: str
    price_fen: int
    list_fen: int
    team_size: int
    team_hours: int
    starts_at: AwareDatetime
    ends_at: AwareDatetime
    left: int | None
    most_per_customer: int | None
    most_per_order: int
    valid_days: int
    minutes: int
    people: int
    store_ids: list[str]
    stores: list[str]
    room_ids: list[str]
    rooms: list[str]
    when: str
    extras: list[str]
    story: str
    media: list[MediaOut] = []  # photos and films, the cover first
    picture: str
    rules: str
    on_fail: str
    refundable: bool
    refund_on_expiry: bool


class AdviceOut(BaseModel):
    """Something recommended, and why. ``kind``: campaign, package (``room_id`` is where it is booked)."""

    kind: str
    id: str
    name: str
    stores: list[str]
    minutes: int
    price_fen: int
    full_fen: int  # what the same costs without it, at least
    when: str
    picture: str
    room_id: str
    reason: str


class AdvicesOut(BaseModel):
    """What to recommend, the best first."""

    items: list[AdviceOut]


class TeamOut(BaseModel):
    """A team as whoever has its link sees it: how many are missing and until when."""

    token: str
    campaign_id: str
    state: str
    size: int
    paid: int
    missing: int
    seats_left: int
    deadline: AwareDatetime
    mine: bool = False


class CampaignPageOut(CampaignOut):
    """With the teams that may be joined now, the fullest first."""

    teams: list[TeamOut]


class CampaignsOut(BaseModel):
    """A page of campaigns."""

    items: list[CampaignOut]
    next_cursor: str | None = None


class ConsoleCampaignOut(CampaignOut):
    """What its merchant sees beside it."""

    taken: int
    stock: int | None
    weekdays: int
    from_minute: int
    until_minute: int
    sort: int
    orders: int
    paid_fen: int
    redeemed: int
    expired: int
    refunded: int


class ConsoleCampaignsOut(BaseModel):
    """A page of one's campaigns."""

    items: list[ConsoleCampaignOut]
    next_cursor: str | None = None


class BuyIn(BaseModel):
    """How many; ``alone`` at the list price without a team; ``shared_by`` from the link."""

    model_config = ConfigDict(extra="forbid")
    quantity: int = Field(default=1, ge=1, le=100)
    alone: bool = False
    shared_by: str | None = Field(default=None, max_length=64)


class JoinIn(BaseModel):
    """How many, in somebody's team."""

    model_config = ConfigDict(extra="forbid")
    quantity: int = Field(default=1, ge=1, le=100)
    shared_by: str | None = Field(default=None, max_length=64)


class GroupOrderOut(BaseModel):
    """A group order. ``state`` is what people read: 待支付, 已支付, 待使用, 已核销, 已使用, 已过期 …"""

    id: str
    number: str
    campaign_id: str
    name: str
    store_id: str
    status: str
    state: str
    quantity: int
    price_fen: int
    total_fen: int
    refunded_fen: int
    hold_expires_at: AwareDatetime
    created_at: AwareDatetime
    paid_at: AwareDatetime | None
    team: TeamOut | None
    vouchers: list[str]
    payment_state: str | None = None  # of the newest payment; told of one order alone
    pay_with: list[PayWayOut] = []  # how it may be paid; told of one order alone


class GroupOrdersOut(BaseModel):
    """A page of one's own group orders."""

    items: list[GroupOrderOut]
    next_cursor: str | None = None


class VoucherOut(BaseModel):
    """A voucher of one's own. ``state`` is what people read; ``when`` and ``rules`` say how to use it."""

    id: str
    name: str
    status: str
    state: str
    minutes: int
    people: int
    value_fen: int
    when: str
    rules: str
    store_ids: list[str]
    stores: list[str]
    room_ids: list[str]
    rooms: list[str]
    valid_from: AwareDatetime
    valid_until: AwareDatetime
    source: str
    order_id: str | None = None  # of the stay it was used for
    redeemed_at: AwareDatetime | None = None
    on_offer: bool = False


class VoucherFullOut(VoucherOut):
    """With its secrets: the code in groups of four, and what its QR says for the next two minutes."""

    code: str
    qr: str
    qr_refresh_s: int


class VouchersOut(BaseModel):
    """A page of vouchers."""

    items: list[VoucherOut]
    next_cursor: str | None = None


class ShareConfigOut(BaseModel):
    """What ``wx.config`` takes, for one page of this site."""

    app_id: str
    timestamp: int
    nonce: str
    signature: str


class GiftOut(BaseModel):
    """The link that gives a voucher away, to whoever opens it first."""

    url: str


class RedeemIn(BaseModel):
    """Which voucher, by code or scanned QR or id; which room; from when (now, if left out)."""

    model_config = ConfigDict(extra="forbid")
    code: str | None = Field(default=None, min_length=1, max_length=120)
    voucher_id: Id | None = None
    room_id: Id
    starts_at: Instant | None = None
    way: Literal["scan", "code", "pick", "online", "door"] = "online"

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.code is None) == (self.voucher_id is None):
            raise ValueError("code 和 voucher_id 给一个")
        return self


class RedeemedOut(BaseModel):
    """What a redemption brought: the voucher, and the order whose door opens now."""

    redemption_id: str
    voucher: VoucherOut
    order_id: str
    order_number: str
    room: str
    starts_at: AwareDatetime
    ends_at: AwareDatetime


class LookIn(BaseModel):
    """A code or a scanned QR to look at before anything happens."""

    model_config = ConfigDict(extra="forbid")
    code: str = Field(min_length=1, max_length=120)
    store_id: Id | None = None


class RoomChoice(BaseModel):
    """A room, and whether the voucher would open it now; else why not."""

    id: str
    name: str
    store_id: str
    fits: bool
    code: str | None = None
    message: str | None = None


class LookOut(BaseModel):
    """A voucher at the desk: what it is worth, whether it was used (then when, where, by whom), rooms."""

    voucher: VoucherOut
    used: dict[str, Any] | None
    rooms: list[RoomChoice]


class RedemptionOut(BaseModel):
    """One line of the log of redemptions."""

    id: str
    kind: str
    at: AwareDatetime
    voucher_id: str
    name: str
    store: str
    room: str
    order_id: str
    order_number: str
    way: str
    by_name: str
    why: str
    amount_fen: int
    undone: bool
    waits: bool = False  # undone once its store says that nobody went in


class RedemptionsOut(BaseModel):
    """A page of the log."""

    items: list[RedemptionOut]
    next_cursor: str | None = None


class WhyIn(BaseModel):
    """Why."""

    model_config = ConfigDict(extra="forbid")
    why: Annotated[str, StringConstraints(strip_whitespace=True, min_length=2, max_length=200)]


class ExtendIn(WhyIn):
    """Until when a voucher is to be good, and why."""

    until: Instant


class ReportRow(BaseModel):
    """Counts and money of a campaign, a store, a person, a day, a way or a channel.

    ``share_orders`` of ``visits`` is what sharing brought.
    """

    key: str
    name: str
    sold: int = 0
    sold_fen: int = 0
    redeemed: int = 0
    redeemed_fen: int = 0
    expired: int = 0
    refunded: int = 0
    refunded_fen: int = 0
    from_shares: int = 0
    share_orders: int = 0
    visits: int = 0  # of shared pages, by people who were not in the team


class ReportOut(BaseModel):
    """Group-buy over days (local of the first store), by one dimension; ``liability_fen``: sold and open."""

    by: str
    rows: list[ReportRow]
    liability_fen: int
