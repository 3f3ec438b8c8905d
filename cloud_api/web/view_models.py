"""What each page is given: frozen, plain values, so that templates hold no business and need no database.

Conventions. Every instant is an aware ``datetime`` already in the store's time zone. Money is integer
fen. ``href`` is a path of this site. Free text that comes from services (a quote's line, a refusal's
sentence) is already in the reader's language; everything else is worded by the templates.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class RoomState(StrEnum):
    """What a room is now, as staff see it; customers see fewer words (``span`` states)."""

    FREE = "free"
    HELD = "held"
    BOOKED = "booked"
    IN_USE = "in_use"
    GRACE = "grace"
    OVERTIME = "overtime"
    CLEANING = "cleaning"
    MAINTENANCE = "maintenance"
    OFFLINE = "offline"


class SpanState(StrEnum):
    """What a stretch of a room's day is, as customers may know it."""

    FREE = "free"
    HELD = "held"
    BOOKED = "booked"
    IN_USE = "in_use"
    CLEANING = "cleaning"
    CLOSED = "closed"


class DoorCase(StrEnum):
    """The ten answers a door gives; each has a page of its own."""

    READY = "ready"
    EARLY = "early"
    OTHER_ROOM = "other_room"
    NONE_FREE = "none_free"
    NONE_TAKEN = "none_taken"
    UNPAID = "unpaid"
    STORE_OFFLINE = "store_offline"
    LOCK_DEAD = "lock_dead"
    ENDED = "ended"
    CLOSED = "closed"


class StepState(StrEnum):
    """A step of something that takes several: a payment, the store's answer."""

    WAIT = "wait"
    NOW = "now"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"


class DeviceState(StrEnum):
    """How sure we are about a device. ``OK`` means the store reported it and the report is fresh."""

    OK = "ok"
    PENDING = "pending"
    FAILED = "failed"
    UNKNOWN = "unknown"
    STALE = "stale"


@dataclass(frozen=True)
class Shell:
    """What every page carries around its content.

    ``now`` is the business clock's instant at rendering: scripts add what has passed since, so demo
    and tests that advance the clock need no other code. ``events_href`` is the SSE feed or ``""``.
    """

    now: datetime
    csrf: str
    lang: str = "zh-Hans"
    theme: str = ""
    """``light``, ``dark`` or empty for the system's wish."""
    person: str = ""
    """Masked phone of the customer or name of the member of staff; empty when nobody is logged in."""
    events_href: str = ""
    stay_href: str = ""
    """Where the raised door tab goes: the running stay or the next booking's door, else the scanner's help."""


@dataclass(frozen=True)
class Span:
    starts_at: datetime
    ends_at: datetime
    state: SpanState


@dataclass(frozen=True)
class Segment:
    """A piece of a strip or bar in per cent of its width; ``key`` picks the colour."""

    x: float
    width: float
    key: str


@dataclass(frozen=True)
class Strip:
    """A day strip: from ``starts_at`` to ``ends_at``, drawn by the ``strip`` macro."""

    starts_at: datetime
    ends_at: datetime
    now: datetime
    spans: tuple[Span, ...] = ()

    def place(self, at: datetime) -> float:
        """Where an instant lies, in per cent from the left, cut off at both ends."""
        whole = (self.ends_at - self.starts_at).total_seconds()
        part = (at - self.starts_at).total_seconds()
        return round(min(100.0, max(0.0, 100.0 * part / whole)), 3) if whole > 0 else 0.0

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The spans, cut to the strip."""
        cut = []
        for span in self.spans:
            left, right = self.place(span.starts_at), self.place(span.ends_at)
            if right > left:
                cut.append(Segment(left, round(right - left, 3), span.state.value))
        return tuple(cut)

    @property
    def ticks(self) -> tuple[tuple[float, str], ...]:
        """Every second even hour that leaves room for the word 现在 at the left and the edge at the right."""
        tick = self.starts_at.replace(minute=0, second=0, microsecond=0)
        found = []
        while tick < self.ends_at:
            place = self.place(tick)
            if tick.hour % 2 == 0 and 16 <= place <= 97:
                found.append((place, str(tick.hour)))
            tick += timedelta(hours=1)
        return tuple(found)


@dataclass(frozen=True)
class FeeLine:
    """One line of a quote or an order. ``key`` 0, 1, 2 is the tariff's step from cheap to dear."""

    text: str
    amount_fen: int
    minutes: int = 0
    key: int = 0


@dataclass(frozen=True)
class Fees:
    lines: tuple[FeeLine, ...]
    total_fen: int
    before_fen: int | None = None
    """What it would cost without what was taken off; struck through beside the total."""

    @property
    def bar(self) -> tuple[Segment, ...]:
        """The price bar: a piece for each timed line, widths by minutes."""
        timed = [line for line in self.lines if line.minutes > 0]
        whole = sum(line.minutes for line in timed)
        pieces, x = [], 0.0
        for line in timed:
            width = 100.0 * line.minutes / whole
            pieces.append(Segment(round(x, 3), round(width, 3), str(line.key)))
            x += width
        return tuple(pieces)


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
    distance_m: int | None = None


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
class StoresPage:
    stores: tuple[StoreCard, ...]
    pinned: StayCard | None = None
    query: str = ""


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
    photo_url: str = ""


@dataclass(frozen=True)
class FilterChip:
    text: str
    href: str
    on: bool = False
    count: int | None = None


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
    rooms_href: str = ""
    """GET gives ``customer/_rooms.html`` alone, for live refresh."""


@dataclass(frozen=True)
class Facility:
    icon: str
    text: str


@dataclass(frozen=True)
class RoomPage:
    store_name: str
    store_href: str
    room: RoomCard
    facilities: tuple[Facility, ...] = ()
    rules: tuple[str, ...] = ()


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
    expires_at: datetime
    back_href: str
    photo_url: str = ""
    pay_href: str = "/orders/{id}/pay"


@dataclass(frozen=True)
class PayMethod:
    provider: str
    channel: str
    name: str
    note: str = ""


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
    order_href: str = ""
    change_href: str = ""
    asked_at: datetime | None = None


class OrderWord(StrEnum):
    """The words of an order that people see (DESIGN.md, 8)."""

    UNPAID = "unpaid"
    PAID = "paid"
    READY = "ready"
    IN_USE = "in_use"
    DONE = "done"
    CANCELLED = "cancelled"
    REFUNDING = "refunding"
    REFUNDED = "refunded"


@dataclass(frozen=True)
class MoneyMove:
    """A payment or refund of an order; ``amount_fen`` is negative for what went back."""

    at: datetime
    text: str
    amount_fen: int
    state: StepState


@dataclass(frozen=True)
class OrderPage:
    """``next_href``/``next_text`` is the one main action; ``cancel_fee_fen`` None means it cannot be cancelled."""

    id: str
    number: str
    word: OrderWord
    next_line: str
    store_name: str
    address: str
    room_name: str
    art: str
    starts_at: datetime
    ends_at: datetime
    fees: Fees
    moves: tuple[MoneyMove, ...] = ()
    next_text: str = ""
    next_href: str = ""
    pass_href: str = ""
    pin: str = ""
    door_word: str = ""
    map_href: str = ""
    phone: str = ""
    can_finish: bool = False
    cancel_fee_fen: int | None = None
    cancel_back_fen: int = 0
    fresh: bool = False
    """Just paid: the page shows the lit door."""
    photo_url: str = ""


@dataclass(frozen=True)
class OrderRow:
    href: str
    word: OrderWord
    room_name: str
    store_name: str
    art: str
    starts_at: datetime
    ends_at: datetime
    total_fen: int


@dataclass(frozen=True)
class OrdersPage:
    rows: tuple[OrderRow, ...]


class StayPhase(StrEnum):
    RUNNING = "running"
    GRACE = "grace"
    OVERTIME = "overtime"
    ENDED = "ended"


@dataclass(frozen=True)
class Device:
    """``icon`` is of the sprite; ``kind`` says what the control may be: ``switch``, ``view``."""

    id: str
    name: str
    icon: str
    kind: str
    on: bool | None
    state: DeviceState
    word: str
    set_href: str = ""


@dataclass(frozen=True)
class StayPage:
    """``door_token`` feeds the door bar. ``overtime_fen`` is what it costs so far, None if not priced yet."""

    order_id: str
    room_name: str
    store_name: str
    phase: StayPhase
    starts_at: datetime
    ends_at: datetime
    grace_ends_at: datetime
    door_token: str
    order_href: str
    devices: tuple[Device, ...] = ()
    phone: str = ""
    extend_to: datetime | None = None
    extend_href: str = ""
    overtime_fen: int | None = None
    store_online: bool = True


@dataclass(frozen=True)
class Way:
    """A second way on from a door: a link or a phone number (``tel:``)."""

    icon: str
    text: str
    href: str


@dataclass(frozen=True)
class DoorPage:
    """One answer of a door. Empty ``headline``/``line`` take the case's own words.

    ``until`` is what a countdown runs to (early: from when one may go in; unpaid: the hold's end).
    ``main`` is the action of every case but ``ready``, which has the door button.
    """

    case: DoorCase
    token: str
    door_name: str
    store_name: str
    headline: str = ""
    line: str = ""
    plate: str = ""
    art: str = ""
    photo_url: str = ""
    room_state: RoomState = RoomState.FREE
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    until: datetime | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    main: Way | None = None
    ways: tuple[Way, ...] = ()
    qr_svg_url: str = ""
    pin: str = ""
    life_s: int = 10
    back_href: str = "/"
    logged_in: bool = True


@dataclass(frozen=True)
class LoginPage:
    """``next_href`` is checked by the route to be a path of this site."""

    next_href: str = "/"
    phone: str = ""
    reason: str = ""
    code_url: str = "/api/v1/auth/code"
    login_url: str = "/api/v1/auth/login"


@dataclass(frozen=True)
class MePage:
    phone: str
    orders_href: str = "/orders"
    version: str = ""


@dataclass(frozen=True)
class Sticker:
    """A door's sticker for print. ``qr_svg_url`` draws ``url``."""

    store_name: str
    door_name: str
    url: str
    qr_svg_url: str
    plate: str = ""


@dataclass(frozen=True)
class StickersPage:
    stickers: tuple[Sticker, ...]
    back_href: str = "/console"


@dataclass(frozen=True)
class ErrorPage:
    """``code`` is a short number for the store, not the machine's code. ``safe`` says what is not lost."""

    status: int
    headline: str
    line: str = ""
    safe: str = ""
    main: Way | None = None
    code: str = ""
    phone: str = ""


# --- console ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kpi:
    text: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = ""
    """``good``, ``warn``, ``bad`` or empty."""


@dataclass(frozen=True)
class Alarm:
    id: str
    icon: str
    headline: str
    line: str = ""
    room_href: str = ""


@dataclass(frozen=True)
class Tile:
    """At most three lines: name and state; one number; who and until, money or a warning.

    ``until`` makes the number count down (or up after it, for overtime); else ``number`` stands.
    ``progress`` is 0 to 100 of the stay.
    """

    room_id: str
    href: str
    name: str
    state: RoomState
    number: str
    number_note: str = ""
    foot: str = ""
    money_fen: int | None = None
    warn: str = ""
    warn_icon: str = ""
    warn_bad: bool = False
    progress: float | None = None
    until: datetime | None = None
    current: bool = False


@dataclass(frozen=True)
class StoreBlock:
    store_id: str
    name: str
    online: bool
    link_note: str
    in_use: int
    rooms: int
    income_fen: int | None
    tiles: tuple[Tile, ...]
    stale_at: datetime | None = None


@dataclass(frozen=True)
class Arrival:
    at: datetime
    room_name: str
    store_name: str
    who: str
    note: str
    good: bool


@dataclass(frozen=True)
class AnswerStep:
    text: str
    state: StepState
    seconds: float | None = None


@dataclass(frozen=True)
class StoreAnswer:
    """What the store answered to the last command, and who asked, when and why."""

    steps: tuple[AnswerStep, ...]
    by: str = ""


@dataclass(frozen=True)
class ConsoleDoor:
    id: str
    name: str
    word: str
    last: StoreAnswer | None = None


@dataclass(frozen=True)
class ConsoleStay:
    order_number: str
    order_href: str
    who: str
    starts_at: datetime
    ends_at: datetime
    progress: float
    total_fen: int
    phase: StayPhase = StayPhase.RUNNING
    warning: str = ""


@dataclass(frozen=True)
class Inspector:
    room_id: str
    name: str
    art: str
    state: RoomState
    meta: str
    doors: tuple[ConsoleDoor, ...]
    devices: tuple[Device, ...]
    stay: ConsoleStay | None = None
    next_line: str = ""
    store_online: bool = True
    stale_at: datetime | None = None
    close_href: str = "/console"
    href: str = ""
    can_command: bool = True
    photo_url: str = ""


@dataclass(frozen=True)
class NavItem:
    key: str
    icon: str
    text: str
    href: str
    badge: int = 0


@dataclass(frozen=True)
class ConsoleShell:
    """The console's frame: what this member of staff may reach, and where they are."""

    nav: tuple[NavItem, ...]
    here: str
    alarms: int = 0
    store_word: str = ""
    merchant: str = ""


@dataclass(frozen=True)
class LivePage:
    kpis: tuple[Kpi, ...]
    stores: tuple[StoreBlock, ...]
    alarms: tuple[Alarm, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    inspector: Inspector | None = None
    board_href: str = ""
    """GET gives ``console/_board.html`` alone, for live refresh."""

