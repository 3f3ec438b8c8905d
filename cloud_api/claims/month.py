"""A store's month in one query: what of each day is sold and whether anything is left to book."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import booking_rules
from cloud_api.claims.booking_rules import Rules
from cloud_api.claims.spans import Span, claims_between, lay_out
from cloud_api.pricing.rules import open_spans
from cloud_api.stores.hours import special
from cloud_api.stores.models import Room, Store

_MINUTE: Final = timedelta(minutes=1)
_SOLD: Final = ("held", "booked", "in_use")
_ORDER: Final = ("free", "some", "full", "closed")  # the best of its rooms is the day's


@dataclass(frozen=True, slots=True)
class RoomMonthDay:
    """A room on a local day. ``bookings`` begin on it; minutes lie within it."""

    room_id: str
    state: str  # past, far, closed, full, some, free
    bookings: int
    taken_minutes: int
    open_minutes: int


@dataclass(frozen=True, slots=True)
class MonthDay:
    """A local day of a store with its rooms."""

    day: date
    name: str
    state: str
    rooms: tuple[RoomMonthDay, ...]

    @property
    def rooms_free(self) -> int:
        """Rooms in which something can still be booked."""
        return sum(room.state in ("free", "some") for room in self.rooms)


async def month_of(
    session: AsyncSession, store: Store, rooms: Sequence[Room], month: str, now: datetime
) -> list[MonthDay]:
    """Every day of ``month`` (``2026-12``, the store's wall) in order; two queries for any number of rooms."""
    zone = ZoneInfo(store.tz)
    first = date.fromisoformat(f"{month}-01")
    following = (first + timedelta(days=31)).replace(day=1)
    edges = [
        datetime.combine(first + timedelta(days=n), time(), zone).astimezone(UTC)
        for n in range((following - first).days + 1)
    ]
    # A little beyond: a stretch that begins in the last night may reach into the next month.
    until = edges[-1] + timedelta(days=1)
    claims = await claims_between(session, [room.id for room in rooms], edges[0], until)
    rules = await booking_rules.rules_by_room(session, [store], rooms)
    laid = lay_out(store, rooms, claims, edges[0], until)
    opened = _opened(store, edges)
    by_room = {
        room.id: _days(room, rules[room.id], laid[room.id], edges, opened, now, zone)
        for room in rooms
    }
    found = []
    for n in range(len(edges) - 1):
        day = first + timedelta(days=n)
        mine = tuple(by_room[room.id][n] for room in rooms)
        apart = special(store, day) or {}
        found.append(MonthDay(day, str(apart.get("name", "")), _best(mine), mine))
    return found


def _opened(store: Store, edges: Sequence[datetime]) -> list[timedelta]:
    """How long the store is open within each day."""
    spans = open_spans(store, edges[0], edges[-1])
    return [
        sum((max(timedelta(), min(b, end) - max(a, begin)) for a, b in spans), timedelta())
        for begin, end in itertools.pairwise(edges)
    ]


def _best(rooms: Sequence[RoomMonthDay]) -> str:
    states = {room.state for room in rooms}
    if not states:
        return "closed"
    return next((state for state in _ORDER if state in states), min(states))


def _days(
    room: Room,
    rules: Rules,
    spans: Sequence[Span],
    edges: Sequence[datetime],
    opened: Sequence[timedelta],
    now: datetime,
    zone: ZoneInfo,
) -> list[RoomMonthDay]:
    """One walk over the room's spans, which are in order, day by day."""
    today = now.astimezone(zone).date()
    last = today + timedelta(days=rules.advance_days)
    least = rules.min_minutes * _MINUTE
    found, at = [], 0
    for n, (begin, end) in enumerate(itertools.pairwise(edges)):
        while spans[at].ends_at <= begin:
            at += 1
        taken = timedelta()
        bookings, left, here = 0, False, at
        while here < len(spans) and spans[here].starts_at < end:
            span = spans[here]
            part = min(span.ends_at, end) - max(span.starts_at, begin)
            if span.state in _SOLD:
                taken += part
                bookings += span.claim is not None and begin <= span.starts_at < end
            elif span.state == "free":
                first = max(span.starts_at, begin, now)
                left = left or (first < end and _usable(spans, here, rules) - first >= least)
            here += 1
        day = begin.astimezone(zone).date()
        state = _state(day, today, last, opened[n], taken, left=left, room=room)
        found.append(RoomMonthDay(room.id, state, bookings, taken // _MINUTE, opened[n] // _MINUTE))
    return found


def _usable(spans: Sequence[Span], at: int, rules: Rules) -> datetime:
    """Until when a free stretch can be booked: the cleaning before the next guest taken off."""
    span = spans[at]
    following = spans[at + 1] if at + 1 < len(spans) else None
    if following is None or following.claim is None or following.state == "cleaning":
        return span.ends_at
    return span.ends_at - rules.cleaning


def _state(
    day: date,
    today: date,
    last: date,
    opened: timedelta,
    taken: timedelta,
    *,
    left: bool,
    room: Room,
) -> str:
    if day < today:
        return "past"
    if not opened:
        return "closed"
    if day > last or (room.selling == "walk_up" and day > today):
        return "far"
    if not left:
        return "full"
    return "some" if taken else "free"
