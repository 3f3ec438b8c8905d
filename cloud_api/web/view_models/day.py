"""A day of all rooms as bars, and a month of days."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Block:
    """A bar of a room's day. ``movable``: a booking that may be put elsewhere; the rest only says what is."""

    id: str
    kind: str
    """held, booked, in_use, done, cleaning, maintenance"""
    starts_at: datetime
    ends_at: datetime
    title: str
    who: str = ""
    href: str = ""
    money_fen: int | None = None
    movable: bool = False


@dataclass(frozen=True)
class DayRow:
    room_id: str
    name: str
    note: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class DayStore:
    id: str
    name: str
    line: str
    step_min: int
    rows: tuple[DayRow, ...]


@dataclass(frozen=True)
class DayPage:
    """From ``starts_at`` for ``hours`` hours; one zone for the page."""

    day: str
    text: str
    starts_at: datetime
    hours: int
    before_href: str
    after_href: str
    today_href: str
    stores: tuple[DayStore, ...]
    can_move: bool
    offset: str
    """The zone's offset from UTC, ``+08:00``: what a bar dropped at a local time means."""


@dataclass(frozen=True)
class CalendarDay:
    date: datetime
    href: str
    count: int
    money_fen: int
    inside: bool
    today: bool
    share: int
    """0 to 4: how full, beside the fullest day of the month."""


@dataclass(frozen=True)
class CalendarPage:
    text: str
    before_href: str
    after_href: str
    weeks: tuple[tuple[CalendarDay, ...], ...]
    count: int
    money_fen: int
