"""What to offer somebody whose time was taken or may not be booked: shorter, later, or another room."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import booking_rules
from cloud_api.claims.booking_rules import Rules
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.clocks import Clocks
from cloud_api.pricing import admission
from cloud_api.pricing.rules import is_open
from cloud_api.stores.models import Room, Store

_LOOK_AHEAD: Final = timedelta(hours=48)
_OFFERS: Final = 3
_MOVES: Final = {"booking.too_short": "min_minutes", "booking.too_long": "max_minutes"}


async def instead(
    session: AsyncSession, store: Store, room: Room, starts_at: datetime, ends_at: datetime
) -> dict[str, Any]:
    """Facts for the refusal, as JSON: ``free_until``, ``next_free``, ``other_rooms``.

    ``free_until`` (or None) is how long this room is free from ``starts_at``, cleaning taken off;
    ``next_free`` (or None) the earliest start on the grid within 48 h at which the same length fits.
    """
    rules = await booking_rules.rules_of(session, store, room.id)
    cleaning = rules.cleaning
    rooms = await _rooms(session, store)
    claims = await _claims(session, store, starts_at, ends_at + _LOOK_AHEAD)
    mine = [c for c in claims if c.room_id == room.id]
    busy = {c.room_id for c in claims if c.block_from < ends_at + cleaning}
    first = mine[0].block_from if mine else None
    free_until = None
    if first is not None and first - cleaning > starts_at:
        free_until = first - cleaning
        if free_until - starts_at < timedelta(minutes=rules.min_minutes):
            free_until = None
    return {
        "free_until": _iso(free_until),
        "next_free": _iso(_next_free(store, mine, starts_at, ends_at - starts_at, cleaning)),
        "other_rooms": [
            {"id": other.id, "name": other.name} for other in rooms if other.id not in busy
        ],
    }


async def nearest(
    session: AsyncSession,
    store: Store,
    room: Room,
    starts_at: datetime,
    length: timedelta,
    now: datetime,
    *,
    skip: str = "",
) -> list[dict[str, Any]]:
    """Up to three times that may be booked and are free: the same room's first, then other rooms'.

    Each ``{room_id, room, starts_at, ends_at}``, within 48 h of ``starts_at``. ``skip`` is an order
    whose own room time counts as free (it is about to move).
    """
    rooms = await _rooms(session, store)
    here = max(starts_at, now)
    claims = await _claims(session, store, here - timedelta(days=1), here + 2 * _LOOK_AHEAD)
    by_room = await booking_rules.rules_by_room(session, [store], rooms)
    found: list[tuple[bool, datetime, Room]] = []
    for one in sorted(rooms, key=lambda r: r.id != room.id):
        mine = [c for c in claims if c.room_id == one.id and (not skip or c.order_id != skip)]
        start = _first(by_room[one.id], store, one, mine, here, length, now)
        if start is not None:
            found.append((one.id != room.id, start, one))
    found.sort(key=lambda item: (item[1], item[0], item[2].sort))
    return [
        {
            "room_id": one.id,
            "room": one.name,
            "starts_at": _iso(start),
            "ends_at": _iso(start + length),
        }
        for _, start, one in found[:_OFFERS]
    ]


def _first(
    rules: Rules,
    store: Store,
    room: Room,
    claims: Sequence[RoomClaim],
    here: datetime,
    length: timedelta,
    now: datetime,
) -> datetime | None:
    """The earliest start at or after ``here`` that obeys the rules and is free; None within 48 h."""
    step = timedelta(minutes=rules.step_minutes)
    start = _on_grid(store, rules.step_minutes, here)
    while start <= here + _LOOK_AHEAD:
        end = start + length
        blocking = [
            c for c in claims if c.block_from < end + rules.cleaning and start < c.block_until
        ]
        if blocking:
            start = _on_grid(store, rules.step_minutes, max(c.block_until for c in blocking))
        elif booking_rules.refusal(rules, store, room, start, end, now) is None:
            return start
        else:
            start += step
    return None


async def admit(
    session: AsyncSession,
    store: Store,
    room: Room,
    starts_at: datetime,
    ends_at: datetime,
    clocks: Clocks,
    *,
    fixed: bool = False,
) -> None:
    """Raise the rule that forbids this time, with the nearest times that may be had (``nearest``)."""
    rules = await booking_rules.rules_of(session, store, room.id)
    refused = booking_rules.refusal(rules, store, room, starts_at, ends_at, clocks.now, fixed=fixed)
    if refused is None:
        return
    length = ends_at - starts_at
    if refused.code in _MOVES:
        length = timedelta(minutes=getattr(rules, _MOVES[refused.code]))
    elif refused.code == "booking.step":
        step = rules.step_minutes
        length = timedelta(
            minutes=max(rules.min_minutes, -(-round(length.total_seconds()) // 60 // step) * step)
        )
    if refused.code != "booking.order":
        wanted = starts_at
        if refused.code == "booking.too_far":
            wanted = min(wanted, clocks.now + timedelta(days=rules.advance_days) - _LOOK_AHEAD / 2)
        refused.extra["nearest"] = await nearest(session, store, room, wanted, length, clocks.now)
    raise refused


async def _rooms(session: AsyncSession, store: Store) -> Sequence[Room]:
    query = (
        select(Room)
        .where(col(Room.store_id) == store.id, col(Room.mode) != "maintenance")
        .order_by(col(Room.sort), col(Room.index))
    )
    return (await session.exec(query)).all()


async def _claims(
    session: AsyncSession, store: Store, starts_at: datetime, ends_at: datetime
) -> list[RoomClaim]:
    query = (
        select(RoomClaim)
        .where(
            col(RoomClaim.store_id) == store.id,
            col(RoomClaim.state) != "released",
            col(RoomClaim.block_until) > starts_at,
            col(RoomClaim.block_from) < ends_at,
        )
        .order_by(col(RoomClaim.block_from))
    )
    return list((await session.exec(query)).all())


def _next_free(
    store: Store,
    claims: list[RoomClaim],
    starts_at: datetime,
    length: timedelta,
    cleaning: timedelta,
) -> datetime | None:
    for claim in claims:
        start = _on_grid(store, store.step_minutes, max(claim.block_until, starts_at))
        end = start + length + cleaning
        clear = all(c.block_until <= start or end <= c.block_from for c in claims)
        if clear and is_open(store, start, start + length):
            return start
    return None


def _on_grid(store: Store, step: int, instant: datetime) -> datetime:
    """The first local time at or after ``instant`` that bookings may start at."""
    local = instant.astimezone(ZoneInfo(store.tz))
    minute = local.hour * 60 + local.minute + (1 if local.second or local.microsecond else 0)
    up = -minute % step
    floor = instant.replace(second=0, microsecond=0)
    whole = floor if floor == instant else floor + timedelta(minutes=1)
    return whole + timedelta(minutes=up)


def _iso(instant: datetime | None) -> str | None:
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


admission.register(admit)
