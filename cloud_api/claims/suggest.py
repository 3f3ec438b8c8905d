"""What to offer somebody whose time was taken: shorter, later, or another room."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.models import RoomClaim
from cloud_api.pricing.rules import is_open
from cloud_api.stores.models import Room, Store

_LOOK_AHEAD: Final = timedelta(hours=48)


async def instead(
    session: AsyncSession, store: Store, room: Room, starts_at: datetime, ends_at: datetime
) -> dict[str, Any]:
    """Facts for the refusal, as JSON: ``free_until``, ``next_free``, ``other_rooms``.

    ``free_until`` (or None) is how long this room is free from ``starts_at``, cleaning taken off;
    ``next_free`` (or None) the earliest start on the grid within 48 h at which the same length fits.
    """
    cleaning = timedelta(seconds=store.cleaning_s)
    rooms = (
        await session.exec(
            select(Room)
            .where(col(Room.store_id) == store.id, col(Room.mode) != "maintenance")
            .order_by(col(Room.sort), col(Room.index))
        )
    ).all()
    claims = (
        await session.exec(
            select(RoomClaim)
            .where(
                col(RoomClaim.store_id) == store.id,
                col(RoomClaim.state) != "released",
                col(RoomClaim.block_until) > starts_at,
                col(RoomClaim.block_from) < ends_at + _LOOK_AHEAD,
            )
            .order_by(col(RoomClaim.block_from))
        )
    ).all()
    mine = [c for c in claims if c.room_id == room.id]
    busy = {c.room_id for c in claims if c.block_from < ends_at + cleaning}
    first = mine[0].block_from if mine else None
    free_until = None
    if first is not None and first - cleaning > starts_at:
        free_until = first - cleaning
        if free_until - starts_at < timedelta(minutes=store.min_minutes):
            free_until = None
    return {
        "free_until": _iso(free_until),
        "next_free": _iso(_next_free(store, mine, starts_at, ends_at - starts_at, cleaning)),
        "other_rooms": [
            {"id": other.id, "name": other.name} for other in rooms if other.id not in busy
        ],
    }


def _next_free(
    store: Store,
    claims: list[RoomClaim],
    starts_at: datetime,
    length: timedelta,
    cleaning: timedelta,
) -> datetime | None:
    for claim in claims:
        start = _on_grid(store, max(claim.block_until, starts_at))
        end = start + length + cleaning
        clear = all(c.block_until <= start or end <= c.block_from for c in claims)
        if clear and is_open(store, start, start + length):
            return start
    return None


def _on_grid(store: Store, instant: datetime) -> datetime:
    """The first local time at or after ``instant`` that bookings may start at."""
    local = instant.astimezone(ZoneInfo(store.tz))
    minute = local.hour * 60 + local.minute + (1 if local.second or local.microsecond else 0)
    up = -minute % store.step_minutes
    floor = instant.replace(second=0, microsecond=0)
    whole = floor if floor == instant else floor + timedelta(minutes=1)
    return whole + timedelta(minutes=up)


def _iso(instant: datetime | None) -> str | None:
    if instant is None:
        return None
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")
