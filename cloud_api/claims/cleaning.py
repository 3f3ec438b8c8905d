"""Room time that is kept for cleaning: kept longer, and given back when the room is clean.

The claim after a stay is made by ``service.end_at``. Nothing here ever takes time that is somebody's.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import service as claims
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.stores.models import Room

_SECOND = timedelta(seconds=1)


async def keep(session: AsyncSession, room: Room, until: datetime, clocks: Clocks) -> bool:
    """Keep ``room`` for cleaning from now to ``until``, or to the next claim, whatever is first.

    Room time that is kept already is never shortened. False where the room is somebody's now.
    """
    await claims.lock_room(session, room.id)
    known = await _now(session, room.id, clocks.now)
    if known is not None and known.block_until >= until:
        return True
    if known is None:
        return (
            await claims.take_for(session, room, "cleaning", clocks.now, until, clocks) is not None
        )
    following = await _following(session, known)
    known.ends_at = known.block_until = until if following is None else min(until, following)
    session.add(known)
    await session.flush()
    return True


async def give_back(session: AsyncSession, room_id: str, clocks: Clocks) -> bool:
    """The room is clean: what is left of the time that was kept for it is free. False for nothing left."""
    await claims.lock_room(session, room_id)
    known = await _now(session, room_id, clocks.now)
    if known is None:
        return False
    known.ends_at = known.block_until = max(clocks.now, known.starts_at + _SECOND)
    session.add(known)
    await session.flush()
    return True


async def next_arrivals(
    session: AsyncSession, room_ids: list[str], now: datetime
) -> dict[str, datetime]:
    """When somebody comes next, by room; of the next two days. One query."""
    query = (
        select(col(RoomClaim.room_id), col(RoomClaim.starts_at))
        .where(
            col(RoomClaim.room_id).in_(room_ids),
            col(RoomClaim.kind) == "booking",
            col(RoomClaim.state).in_(["held", "confirmed"]),
            col(RoomClaim.block_until) > now,
            col(RoomClaim.starts_at) < now + timedelta(days=2),
        )
        .order_by(col(RoomClaim.starts_at).desc())
    )
    return dict((await session.exec(query)).all())


async def guests_in(session: AsyncSession, room_id: str, now: datetime) -> bool:
    """Whether guests are in the room, paid for or staying on."""
    query = scoped(System(), RoomClaim).where(
        col(RoomClaim.room_id) == room_id,
        col(RoomClaim.state) == "in_use",
        col(RoomClaim.block_from) <= now,
    )
    return (await session.exec(query.limit(1))).first() is not None


async def _now(session: AsyncSession, room_id: str, now: datetime) -> RoomClaim | None:
    query = (
        scoped(System(), RoomClaim)
        .where(
            col(RoomClaim.room_id) == room_id,
            col(RoomClaim.kind) == "cleaning",
            col(RoomClaim.state) != "released",
            col(RoomClaim.block_from) <= now,
            col(RoomClaim.block_until) > now,
        )
        .with_for_update()
    )
    return (await session.exec(query.execution_options(populate_existing=True))).first()


async def _following(session: AsyncSession, claim: RoomClaim) -> datetime | None:
    query = (
        select(col(RoomClaim.block_from))
        .where(
            col(RoomClaim.room_id) == claim.room_id,
            col(RoomClaim.state) != "released",
            col(RoomClaim.block_from) >= claim.block_until,
        )
        .order_by(col(RoomClaim.block_from))
        .limit(1)
    )
    return (await session.exec(query)).first()
