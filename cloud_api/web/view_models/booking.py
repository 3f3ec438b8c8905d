"""From finding a store to paying: what those pages are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cloud_api.claims.room_days import RoomState
from cloud_api.web.view_models.parts import Fees, SharePicture, Span, Strip
from cloud_api.web.view_models.support import Proof


@dataclass(frozen=True)
class StoreCard:
    id: str
    href: str
    name: str
    sign: str
    """What stands over the door in the drawing: the name without the branch."""
    address: str
    rooms_total: int
    rooms_free: int
    price_from_fen: int
    online: bool = True
    next_free_at: datetime | None = None
    next_free_room: str = ""
    photo_url: str = ""
    away: str = ""
    """How far it is, in words; empty where one of both has no position."""


@dataclass(frozen=True)
class StayCard:
    """The running stay or next booking, pinned on top of the list of stores."""

    href: str
    room_name: str
    store_name: str
    art: str
    starts_at: datetime
    ends_at: datetime
    running: bool


@dataclass(frozen=True)
class FindForm:
    """What rooms have to have, and when: choices, and what is chosen. ``keep`` is asked for besides."""

    keep: tuple[tuple[str, str], ...]
    days: tuple[tuple[str, str], ...]
    times: tuple[tuple[str, str], ...]
    lengths: tuple[tuple[int, str], ...]
    facilities: tuple[tuple[str, str], ...]
    day: str = ""
    time: str = ""
    minutes: int = 120
    chosen: tuple[str, ...] = ()


@dataclass(frozen=True)
class StoresPage:
    stores: tuple[StoreCard, ...]
    pinned: StayCard | None = None
    query: str = ""
    filters: tuple[FilterChip, ...] = ()
    near: bool = False
    """Whether this browser told where it is."""
    keep: tuple[tuple[str, str], ...] = ()
    """What else is asked for, while words are searched."""
    form: FindForm | None = None
    more_href: str = ""


@dataclass(frozen=True)
class RoomCard:
    """``art`` names a drawing (``room-moon-bamboo``); ``photo_url`` wins over it when the owner has one."""

    id: str
    href: str
    book_href: str
    name: str
    art: str
    seats: int
    price_from_fen: int
    facts: tuple[str, ...]
    state: RoomState
    strip: Strip
    free_until: datetime | None = None
    next_free_at: datetime | None = None
    over: bool = False
    """The last guests have not left yet though their time is up."""
    photo_url: str = ""


@dataclass(frozen=True)
class FilterChip:
    text: str
    href: str
    on: bool = False
    count: int | None = None


@dataclass(frozen=True)
class Photo:
    """A picture of a gallery; with ``video`` it is the poster of a film (``src`` may be empty)."""

    src: str
    srcset: str
    alt: str
    video: str = ""


@dataclass(frozen=True)
class StorePage:
    store: StoreCard
    rooms: tuple[RoomCard, ...]
    book_href: str
    filters: tuple[FilterChip, ...] = ()
    phone: str = ""
    hours: str = ""
    notice: str = ""
    map_href: str = ""
    about: str = ""
    exceptions: tuple[str, ...] = ()
    """Coming days with other hours, in words."""
    photos: tuple[Photo, ...] = ()
    rooms_href: str = ""
    """GET gives ``customer/_rooms.html`` alone, for live refresh."""
    stars: float = 0.0
    """The mean of all reviews; nothing is said of it while ``reviews_total`` is 0."""
    reviews_total: int = 0
    reviews: tuple[StoreReview, ...] = ()
    reviews_href: str = ""
    """More of them; empty: these are the last."""
    platforms: str = ""
    """Whose vouchers the store takes, in words; empty for none."""
    platforms_href: str = ""
    offers_href: str = ""
    """GET gives what is worth its money here, with the reason: it comes after the rooms do."""
    share_url: str = ""
    share_picture: SharePicture | None = None
    """What a shared link shows; None where there is neither a photo nor a logo."""


@dataclass(frozen=True)
class StoreReview:
    """What somebody said of a stay, for everybody: without a name."""

    stars: int
    text: str
    room_name: str
    at: datetime
    reply: str = ""
    photos: tuple[Proof, ...] = ()


@dataclass(frozen=True)
class StoreReviewsPage:
    """A page of a store's reviews, newest first."""

    store_name: str
    back_href: str
    stars: float
    total: int
    rows: tuple[StoreReview, ...]
    more_href: str = ""


@dataclass(frozen=True)
class Facility:
    icon: str
    text: str


@dataclass(frozen=True)
class RoomPage:
    store_name: str
    store_href: str
    room: RoomCard
    photos: tuple[Photo, ...] = ()
    tags: tuple[str, ...] = ()
    about: str = ""
    offers: tuple[tuple[str, str, int], ...] = ()
    """Slots and packages of today: name, when or how long, price."""
    facilities: tuple[Facility, ...] = ()
    rules: tuple[str, ...] = ()
    stars: float = 0.0
    """Of this room alone; nothing is said of it while ``reviews_total`` is 0."""
    reviews_total: int = 0
    reviews: tuple[StoreReview, ...] = ()
    reviews_href: str = ""
    address: str = ""
    map_href: str = ""


@dataclass(frozen=True)
class DayChip:
    """``fullness`` 0 to 3 bars lit, counted by free time; 0 is 已满."""

    href: str
    date: datetime
    fullness: int
    on: bool = False


@dataclass(frozen=True)
class TimelineRow:
    room_id: str
    name: str
    note: str
    art: str
    seats: int
    busy: tuple[Span, ...]
    photo_url: str = ""


@dataclass(frozen=True)
class TimelinePage:
    """The choice of time. Limits are the rooms' own, in minutes; ``starts_at``/``ends_at`` bound the drawing."""

    store_name: str
    back_href: str
    days: tuple[DayChip, ...]
    rows: tuple[TimelineRow, ...]
    starts_at: datetime
    ends_at: datetime
    room_id: str
    month_href: str = ""
    """GET tells a month of the store, day by day."""
    book_href: str = ""
    far: str = ""
    """The last local day that may be booked."""
    day: str = ""
    """The local day, ``2026-11-23``: its slots and packages are asked for."""
    step_min: int = 30
    min_min: int = 60
    max_min: int = 720
    clean_min: int = 0
    """Minutes kept free before the next one's start."""
    start_now: bool = False
    """Whether a booking may start at the running minute, not only on the step (walk-in)."""
    preset: tuple[datetime, datetime] | None = None
    quotes_href: str = "/api/v1/quotes"
    confirm_href: str = "/quotes/{id}"
    """``{id}`` becomes the quote's."""
    products: bool = False
    """The store sells slots, packages or pay-as-you-go: their place is kept until they come."""


@dataclass(frozen=True)
class ExtraRow:
    """Something beside the room; ``quantity`` of it are in the price."""

    id: str
    name: str
    unit: str
    price_fen: int
    most: int
    quantity: int = 0


@dataclass(frozen=True)
class CouponRow:
    """A coupon that was weighed against a price; ``why_not`` where it does not fit."""

    id: str
    name: str
    text: str
    off_fen: int
    why_not: str = ""
    chosen: bool = False
    best: bool = False


@dataclass(frozen=True)
class ConfirmPage:
    quote_id: str
    store_name: str
    address: str
    room_name: str
    art: str
    starts_at: datetime
    ends_at: datetime
    fees: Fees
    phone: str
    cancel_rule: str
    overtime_rule: str
    expires_at: datetime
    back_href: str
    photo_url: str = ""
    pay_href: str = "/orders/{id}/pay"
    want: str = "{}"
    """How the price of the same time is asked for again, as JSON for POST /quotes."""
    extras: tuple[ExtraRow, ...] = ()
    coupons: tuple[CouponRow, ...] = ()
    coupon_word: str = ""
    keep: str = "best"
    """What happens to the coupon when something else changes: ``best``, ``none`` or its id."""
    requote: bool = False
    """The price knew nobody; it is asked for again as whoever looks."""
    weekly_href: str = ""
    payg: tuple[int, int] | None = None
    """Pay for what is used: minutes of a unit, and the least that is paid for."""


@dataclass(frozen=True)
class CouponCard:
    """A coupon in somebody's hand. ``word`` says why it is over."""

    name: str
    text: str
    state: str
    word: str = ""
    until: datetime | None = None
    order_href: str = ""


@dataclass(frozen=True)
class CouponsPage:
    """Those that can be used, and those that are over."""

    usable: tuple[CouponCard, ...]
    over: tuple[CouponCard, ...] = ()


@dataclass(frozen=True)
class WeekRow:
    """One week: its price, or ``why`` it cannot be had."""

    starts_at: datetime
    ends_at: datetime
    total_fen: int | None
    why: str = ""


@dataclass(frozen=True)
class WeeklyPage:
    """The same time every week. ``body`` books those that can be had."""

    room_name: str
    store_name: str
    art: str
    starts_at: datetime
    ends_at: datetime
    times: int
    choices: tuple[tuple[int, str], ...]
    weeks: tuple[WeekRow, ...]
    bookable: int
    total_fen: int
    body: str
    back_href: str


@dataclass(frozen=True)
class PayMethod:
    provider: str
    channel: str
    name: str
    note: str = ""
    icon: str = "credit-card"
    balance_fen: int = 0  # of the balance, beside it


@dataclass(frozen=True)
class PayForm:
    """What the browser posts to a provider, and where."""

    action: str
    fields: tuple[tuple[str, str], ...]


class PayState(StrEnum):
    CHOOSE = "choose"
    WAITING = "waiting"
    FAILED = "failed"
    LATE = "late"


@dataclass(frozen=True)
class PayPage:
    order_id: str
    number: str
    state: PayState
    amount_fen: int
    store_name: str
    room_name: str
    art: str
    starts_at: datetime
    ends_at: datetime
    hold_expires_at: datetime
    methods: tuple[PayMethod, ...] = ()
    provider_name: str = ""
    deposit_fen: int = 0  # part of amount_fen, comes back
    order_href: str = ""
    change_href: str = ""
    asked_at: datetime | None = None
    go_on_href: str = ""
    """The provider's page of a payment that is still open; the only address of another site."""
    code_href: str = ""
    """The code to be scanned with another device, drawn by us."""
    jsapi: str = ""
    """What WeChat's own payment sheet is called with, as JSON."""
    until: datetime | None = None
    """The last moment to pay what is open; a provider that cannot close has less than the hold."""
    elsewhere: bool = False
    """There are ways to pay, but none that works in this browser."""
    open_state: str = ""
    """The open payment's state as this page was drawn; another one draws it again."""
    can_change: bool = False
    """Whether another way may be asked for: the API closes this one first, or says why it cannot."""
    overtime_text: str = ""
    """Not the order is paid for but its overtime: how the amount came about."""
    late_text: str = ""
