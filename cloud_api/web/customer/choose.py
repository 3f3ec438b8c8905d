"""Choosing a time: the days that may be booked and every room's time on one of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from sqlmodel import col, exists, or_
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.booking_rules import rules_of
from cloud_api.claims.models import RoomClaim
from cloud_api.claims.spans import Span, claims_between, lay_out
from cloud_api.kit.i18n import gettext as _
from cloud_api.pricing.models import Package, PriceRule, Slot
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room, Store
from cloud_api.web import pictures, room_days, words
from cloud_api.web.customer.find import book_href
from cloud_api.web.pages import Visit
from cloud_api.web.view_models import DayChip, TimelinePage, TimelineRow

_NIGHT = timedelta(
    hours=9
)  # how far into the next morning a day is drawn: who sits down at midnight stays
_HALF_HOUR = timedelta(minutes=30)
_CHIPS = 14  # days in the row; the calendar has the others


async def timeline_page(
    session: AsyncSession,
    seen: Visit,
    store: Store,
    room: Room,
    wanted: str,
    preset: tuple[str, str],
) -> TimelinePage:
    """The day ``wanted`` (``2026-11-23``; today if it is none that may be booked)."""
    rooms, products = await _rooms(session, seen, store)
    priced = await room_days.prices(session, rooms)
    rooms = [
        one
        for one in rooms
        if one.id == room.id or (one.id in priced and one.selling == "bookable")
    ]
    rules = await rules_of(session, store, room.id)
    today = seen.now.date()
    days = [today + timedelta(days=n) for n in range(rules.advance_days + 1)]
    chosen = _day(wanted, days)
    far = days[-1]
    days = days[:_CHIPS] + ([chosen] if chosen not in days[:_CHIPS] else [])
    last = _midnight(seen, days[-1] + timedelta(days=1)) + _NIGHT
    claims = await claims_between(session, [one.id for one in rooms], seen.now, last)
    starts_at = _midnight(seen, chosen)
    if chosen == today:
        starts_at = max(starts_at, _floor(seen.now - _HALF_HOUR / 2, starts_at))
    ends_at = _midnight(seen, chosen + timedelta(days=1)) + _NIGHT
    laid = lay_out(store, rooms, claims, starts_at, ends_at)
    covers = await pictures.covers(session, [store])
    return TimelinePage(
        store_name=store.name,
        back_href=f"/rooms/{room.id}",
        days=tuple(
            DayChip(
                href=f"{book_href(room)}?day={day.isoformat()}",
                date=_midnight(seen, day),
                fullness=_fullness(seen, store, rooms, claims, day),
                on=day == chosen,
            )
            for day in days
        ),
        rows=tuple(
            TimelineRow(
                room_id=one.id,
                name=one.name,
                note=_("{n} 人").format(n=one.capacity),
                art=words.art(one),
                photo_url=covers.get(one.id, ""),
                seats=one.capacity,
                busy=room_days.busy(laid[one.id], starts_at, ends_at),
            )
            for one in rooms
        ),
        starts_at=starts_at,
        ends_at=ends_at,
        room_id=room.id,
        month_href=f"/api/v1/stores/{store.id}/calendar",
        book_href=book_href(room),
        far=far.isoformat(),
        day=chosen.isoformat(),
        step_min=rules.step_minutes,
        min_min=rules.min_minutes,
        max_min=rules.max_minutes,
        clean_min=-(-rules.cleaning_s // 60),
        start_now=chosen == today and not rules.notice_minutes,
        preset=_preset(seen, preset, starts_at, ends_at),
        products=products,
    )


async def _rooms(session: AsyncSession, seen: Visit, store: Store) -> tuple[list[Room], bool]:
    """A store's rooms, and whether it sells more than hours: a page keeps the place for what comes later."""
    query = stores.rooms_query(seen.who, store.id)
    more = or_(
        *(
            exists().where(col(model.store_id) == store.id, col(model.active))
            for model in (Slot, Package)
        ),
        exists().where(col(PriceRule.store_id) == store.id, col(PriceRule.payg)),
    )
    rows = (await session.execute(query.add_columns(more.label("more")))).all()
    return [room for room, _more in rows], any(one for _room, one in rows)


def _day(wanted: str, days: Sequence[date]) -> date:
    try:
        day = date.fromisoformat(wanted)
    except ValueError:
        return days[0]
    return day if day in days else days[0]


def _midnight(seen: Visit, day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=seen.zone)


def _floor(at: datetime, midnight: datetime) -> datetime:
    return midnight + (at - midnight) // _HALF_HOUR * _HALF_HOUR


def _fullness(
    seen: Visit,
    store: Store,
    rooms: Sequence[Room],
    claims: dict[str, list[RoomClaim]],
    day: date,
) -> int:
    """0 nothing long enough is free, 1 under a quarter, 2 under three fifths, 3 more."""
    starts_at = max(seen.now, _midnight(seen, day))
    ends_at = _midnight(seen, day + timedelta(days=1))
    least = timedelta(minutes=store.min_minutes)
    # What begins late in the day may end in the next one.
    laid = lay_out(store, rooms, claims, starts_at, ends_at + least)
    free = [_free(laid[room.id], ends_at) for room in rooms]
    if not any(
        span.state == "free" and span.ends_at - span.starts_at >= least and span.starts_at < ends_at
        for room in rooms
        for span in laid[room.id]
    ):
        return 0
    whole = (ends_at - starts_at).total_seconds() * len(rooms)
    share = sum(span.total_seconds() for span in free) / whole if whole else 0.0
    return 1 if share < 0.25 else 2 if share < 0.6 else 3


def _free(spans: Sequence[Span], ends_at: datetime) -> timedelta:
    parts = (
        min(span.ends_at, ends_at) - span.starts_at
        for span in spans
        if span.state == "free" and span.starts_at < ends_at
    )
    return sum(parts, timedelta())


def _preset(
    seen: Visit, preset: tuple[str, str], starts_at: datetime, ends_at: datetime
) -> tuple[datetime, datetime] | None:
    """A time that another page proposes, if it lies in what is drawn."""
    try:
        begin, end = (datetime.fromisoformat(text) for text in preset)
    except ValueError:
        return None
    if begin.tzinfo is None or end.tzinfo is None:
        return None
    if not starts_at <= begin < end <= ends_at:
        return None
    return seen.local(begin), seen.local(end)
