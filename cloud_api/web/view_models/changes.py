"""Changing an order: what those pages are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.web.view_models.booking import PayMethod


@dataclass(frozen=True)
class ChangeHead:
    """The order as it is now."""

    order_id: str
    number: str
    room_name: str
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class ExtendChoice:
    """So much more, until when, for how much."""

    minutes: int
    text: str
    until: datetime
    fen: int
    href: str
    on: bool = False


@dataclass(frozen=True)
class ExtendPage:
    """``why_not`` says why nothing can be added."""

    head: ChangeHead
    choices: tuple[ExtendChoice, ...]
    chosen: ExtendChoice | None
    most: datetime | None
    why_not: str = ""
    store_offline: bool = False


@dataclass(frozen=True)
class Nearby:
    text: str
    href: str


@dataclass(frozen=True)
class ChangePage:
    """A form to choose from; ``offer`` once something was chosen that can be had."""

    head: ChangeHead
    rooms: tuple[tuple[str, str], ...]
    days: tuple[tuple[str, str], ...]
    times: tuple[str, ...]
    lengths: tuple[tuple[int, str], ...]
    room_id: str
    day: str
    time: str
    minutes: int
    why_not: str = ""
    barred: bool = False
    """Nothing may be chosen at all: no form, but what is left to do."""
    phone: str = ""
    extend_href: str = ""
    nearby: tuple[Nearby, ...] = ()
    new_room: str = ""
    new_from: datetime | None = None
    new_until: datetime | None = None
    diff_fen: int | None = None
    fee_fen: int = 0
    body: str = ""
    """What is posted when the guest agrees, as JSON."""


@dataclass(frozen=True)
class PayChangePage:
    head: ChangeHead
    change_id: str
    title: str
    room_name: str
    new_from: datetime
    new_until: datetime
    amount_fen: int
    hold_expires_at: datetime
    methods: tuple[PayMethod, ...]
    open_href: str = ""
    """The provider's page of a payment that is open."""
    waiting: bool = False
