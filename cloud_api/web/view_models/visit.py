"""From the order to the door and the stay: what those pages are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from cloud_api.claims.room_days import RoomState
from cloud_api.web.view_models.booking import FilterChip
from cloud_api.web.view_models.parts import Device, Fees, StayPhase, StepState, Way


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
class Overtime:
    """What staying on came to. ``state``: free, due, paid, waived; ``signs``: when, and what was seen."""

    state: str
    text: str
    amount_fen: int
    signs: tuple[tuple[datetime, str], ...] = ()
    waived_why: str = ""
    can_waive: bool = False
    """Whether this member of staff may let the guest off; console only."""


@dataclass(frozen=True)
class DepositClaimRow:
    """What the store wants to keep; ``object_action`` where its guest may still object."""

    amount_fen: int
    why: str
    word: str
    photo: str = ""
    objection: str = ""
    object_action: str = ""


@dataclass(frozen=True)
class DepositPart:
    """A deposit on the order's page."""

    amount_fen: int
    text: str
    claims: tuple[DepositClaimRow, ...] = ()


@dataclass(frozen=True)
class Happened:
    """A line of an order's history; a change with what was before and after, and by whom."""

    at: datetime
    text: str
    before: str = ""
    after: str = ""
    note: str = ""


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
    finish_back_fen: int = 0
    change_href: str = ""
    extend_href: str = ""
    pending: tuple[tuple[str, str], ...] = ()
    """Changes that wait: what it is, and where it is paid (empty: the store has not said yes yet)."""
    cancel_fee_fen: int | None = None
    cancel_back_fen: int = 0
    cancel_note: str = ""  # why what comes back would wait
    cancel_voucher: str = ""  # whole, part or used: what cancelling makes of the voucher that pays
    fresh: bool = False
    """Just paid: the page shows the lit door."""
    overtime: Overtime | None = None
    refund_href: str = ""
    refund_word: str = ""
    invoice_href: str = ""
    invoice_word: str = ""
    deposit: DepositPart | None = None
    history: tuple[Happened, ...] = ()
    sooner_href: str = ""
    """Where to begin earlier, if the room is free before."""
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
    more_href: str = ""
    filters: tuple[FilterChip, ...] = ()
    """By state; none for who has no order yet."""


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
    wifi: tuple[str, str] | None = None
    """Name and password, while the stay is in use."""
    extend_to: datetime | None = None
    extend_href: str = ""
    overtime_fen: int | None = None
    store_online: bool = True
    finishing: bool = False
    """The guest asked for the end and the store has not reported it yet."""
    friends: int = 0
    """Who came by the invitation, of ``friends_most`` who may."""
    friends_most: int = 0
    """As the invitation's own page says; 0 where nobody may be invited."""
    finish_back_fen: int = 0
    """What comes back where the stay ends now."""
    warning: str = ""
    """In the last minutes: how many are left, and whether more can be had."""
    speaks: bool = False
    """Whether a voice tells before the end; only what hangs in the room is promised."""
    tapped: str = "ready"
    said: str = ""
    """What a tap that came before the script of this page led to, and its words."""


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
    told: str = ""
    """What the API calls this case: the page looks every few seconds whether that changed."""
    tapped: Literal["ready", "open", "failed", "unknown"] = "ready"
    """What a tap just came to that no script told of, and ``said`` in words."""
    said: str = ""
    other_href: str = ""
    """Where another room may be had once this door did not open."""


@dataclass(frozen=True)
class MePage:
    phone: str
    orders_href: str = "/orders"
    console_href: str = ""
    """For those who work somewhere."""
    levels: tuple[tuple[str, str], ...] = ()
    """Merchants where one has a member level, and what it is worth there."""
    balances: tuple[tuple[str, int], ...] = ()
    """Merchants where one has money, and how much, in fen."""

    @property
    def balance_fen(self) -> int:
        """All of it, wherever it is."""
        return sum(fen for _name, fen in self.balances)


@dataclass(frozen=True)
class LinkedRow:
    """An identity at WeChat or Alipay that is linked."""

    id: str
    name: str
    at: datetime


@dataclass(frozen=True)
class LoginsPage:
    """``here``: the app that the browser is in, where it is not linked yet; ``places``: other apps in which
    this page can be opened to link them.
    """

    phone: str
    rows: tuple[LinkedRow, ...] = ()
    said: str = ""
    good: bool = False
    here: str = ""
    href: str = ""
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScanPage:
    """``host``: the one that stickers name; the page may be looked at under another."""

    host: str
