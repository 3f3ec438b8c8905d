"""What every room of a store is now, and when it can be had next: one answer for pages and API.

The store's own word on a stay comes first, then the clock. A store that is not heard from says nothing
new: its rooms are ``offline`` to staff, with what they were by the clock beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.models import RoomClaim
from cloud_api.claims.room_days import RoomDay, RoomState, room_days, statuses
from cloud_api.devices.status import StoreStatusView
from cloud_api.kit.clocks import Clocks
from cloud_api.stores.models import Room, Store

NEXT_SOON: Final = timedelta(hours=1)
_STAYS: Final = {
    "in_use": RoomState.IN_USE,
    "grace": RoomState.GRACE,
    "overtime": RoomState.OVERTIME,
}


@dataclass(frozen=True, slots=True)
class Present:
    """What a room is now, whether or not we hear from its store."""

    state: RoomState
    claim: RoomClaim | None = None


def present(day: RoomDay, status: StoreStatusView) -> Present:
    """The room's state: the store's own word on a stay first, then the clock."""
    running = day.running
    if running is not None:
        return Present(stay_state(day, running, status), running)
    if day.room.mode in ("maintenance", "cleaning"):
        return Present(RoomState(day.room.mode))
    here = day.spans[0]
    if here.state == "cleaning":
        return Present(RoomState.CLEANING, here.claim)
    if here.claim is not None and here.claim.kind == "maintenance":
        return Present(RoomState.MAINTENANCE, here.claim)
    coming = next_claim(day)
    if coming is not None and coming.starts_at <= day.now + NEXT_SOON:
        return Present(RoomState.HELD if coming.state == "held" else RoomState.BOOKED, coming)
    return Present(RoomState.CLOSED if here.state == "closed" else RoomState.FREE)


def stay_state(day: RoomDay, claim: RoomClaim, status: StoreStatusView) -> RoomState:
    """Where a stay is: what the store reports, else what the clock says."""
    said = _STAYS.get(status.stays.get(claim.id, ""))
    if said is not None and not status.stale:
        return said
    if day.now < claim.ends_at:
        return RoomState.IN_USE
    grace = timedelta(seconds=day.store.grace_s)
    return RoomState.GRACE if day.now < claim.ends_at + grace else RoomState.OVERTIME


def next_claim(day: RoomDay, after: RoomClaim | None = None) -> RoomClaim | None:
    """The booking that is there or comes next, other than ``after``."""
    coming = [
        claim
        for claim in day.claims
        if claim.kind == "booking"
        and claim.state in ("held", "confirmed")
        and claim.ends_at > day.now
        and (after is None or claim.id != after.id)
    ]
    return min(coming, key=lambda claim: claim.starts_at, default=None)


@dataclass(frozen=True, slots=True)
class RoomLive:
    """A room now. ``state`` is what staff see (``offline`` included), ``by_clock`` what it is or was.

    ``until``: when what is now ends, as far as is known. ``next_free_at``: when it can be had for the
    shortest time; now for a free room, None where nobody knows.
    """

    day: RoomDay
    state: RoomState
    by_clock: RoomState
    claim: RoomClaim | None
    until: datetime | None
    next_free_at: datetime | None
    coming: RoomClaim | None


def of_day(day: RoomDay, status: StoreStatusView) -> RoomLive:
    """The live state of a room from its day and its store's report."""
    now = present(day, status)
    free = day.state is RoomState.FREE
    return RoomLive(
        day=day,
        state=now.state if status.online else RoomState.OFFLINE,
        by_clock=now.state,
        claim=now.claim,
        until=_until(day, now),
        next_free_at=day.now if free else day.next_free_at,
        coming=next_claim(day, day.running),
    )


async def live_of(
    session: AsyncSession, store: Store, rooms: Sequence[Room], clocks: Clocks
) -> tuple[list[RoomLive], StoreStatusView]:
    """All ``rooms`` of ``store`` now, and what the store last said; two queries for any number."""
    days = await room_days(session, [store], rooms, clocks.now)
    status = (await statuses(session, [store], clocks))[store.id]
    return [of_day(days[room.id], status) for room in rooms], status


def _until(day: RoomDay, now: Present) -> datetime | None:
    claim = now.claim
    match now.state:
        case RoomState.IN_USE:
            return None if claim is None else claim.ends_at
        case RoomState.GRACE:
            return None if claim is None else claim.ends_at + timedelta(seconds=day.store.grace_s)
        case RoomState.HELD | RoomState.BOOKED:
            return None if claim is None else claim.starts_at
        case RoomState.OVERTIME:
            return None
        case RoomState.FREE:
            return day.free_until
    if day.room.mode in ("maintenance", "cleaning"):
        return day.room.mode_until
    return day.spans[0].ends_at if len(day.spans) > 1 else None
