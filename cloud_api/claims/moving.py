"""Moving a claim to another time or room: what it lacks there is held first, so nothing is let go early.

The pieces are claims of their own beside the order's claim; one statement later the claim is grown
over them. Everything happens under the locks of both rooms, taken in the order of their ids.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.models import RoomClaim
from cloud_api.claims.service import RoomTaken, get, lock_room, taken, under_guard
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.stores.models import Room

Interval = tuple[datetime, datetime]
MOVED = "moved"  # released_why of a piece that became part of its claim


def pieces(own: Interval, wanted: Interval, *, same_room: bool) -> list[Interval]:
    """What of ``wanted`` is not in ``own``: the whole of it in another room."""
    if not same_room or wanted[1] <= own[0] or own[1] <= wanted[0]:
        return [wanted]
    before = (wanted[0], own[0])
    after = (own[1], wanted[1])
    return [one for one in (before, after) if one[0] < one[1]]


async def lock_rooms(session: AsyncSession, room_ids: Iterable[str]) -> None:
    """Queue for several rooms, always in the same order."""
    for room_id in sorted(set(room_ids)):
        await lock_room(session, room_id)


async def hold_pieces(
    session: AsyncSession,
    room: Room,
    order_id: str | None,
    wanted: Sequence[Interval],
    clocks: Clocks,
) -> list[str]:
    """Hold pieces of a room's time for an order; all or none. Raises RoomTaken."""
    made = [
        RoomClaim(
            id=new_id(),
            merchant_id=room.merchant_id,
            store_id=room.store_id,
            room_id=room.id,
            order_id=order_id,
            starts_at=begin,
            ends_at=end,
            block_from=begin,
            block_until=end,
            created_at=clocks.now,
        )
        for begin, end in wanted
    ]
    try:
        async with under_guard(session, room.id):
            session.add_all(made)
            await session.flush()
    except RoomTaken as refused:
        begin, end = min(b for b, _ in wanted), max(e for _, e in wanted)
        raise taken(refused, room.id, begin, end, clocks.now) from None
    return [one.id for one in made]


async def bought(session: AsyncSession, claim_id: str, ends_at: datetime) -> None:
    """Say of a piece that only the time to ``ends_at`` is sold; the rest of it is for cleaning."""
    await session.exec(
        update(RoomClaim)
        .where(col(RoomClaim.id) == claim_id)
        .values(ends_at=ends_at)
        .execution_options(synchronize_session=False)
    )


async def let_go(session: AsyncSession, claim_ids: Sequence[str], why: str) -> None:
    """Give pieces back; what is not held any more stays as it is."""
    await session.exec(
        update(RoomClaim)
        .where(col(RoomClaim.id).in_(list(claim_ids)), col(RoomClaim.state) == "held")
        .values(state="released", released_why=why)
        .execution_options(synchronize_session=False)
    )


async def move_to(
    session: AsyncSession,
    claim_id: str,
    piece_ids: Sequence[str],
    room_id: str,
    starts_at: datetime,
    ends_at: datetime,
    block_until: datetime,
) -> None:
    """Let a live claim be of another time or room, over the pieces held for it.

    Raises RoomTaken where the claim is over, or somebody else has part of it after all.
    """
    claim = await get(session, claim_id)
    await lock_rooms(session, (claim.room_id, room_id))
    claim = await get(session, claim_id)
    if claim.state not in {"confirmed", "in_use"}:
        raise RoomTaken(_("这个订单的时间已经放掉了，请刷新再看"))
    overstay = claim.overstay_until
    async with under_guard(session, room_id):
        await let_go(session, piece_ids, MOVED)
        await session.exec(
            update(RoomClaim)
            .where(col(RoomClaim.id) == claim_id)
            .values(
                room_id=room_id,
                starts_at=starts_at,
                ends_at=ends_at,
                block_from=starts_at,
                block_until=block_until,
                overstay_until=overstay if overstay is not None and overstay > ends_at else None,
            )
            .execution_options(synchronize_session=False)
        )
    await session.refresh(claim)


async def next_block(
    session: AsyncSession, room_id: str, after: datetime, order_id: str
) -> datetime | None:
    """When the next claim of somebody else begins to block a room after ``after``; None for never."""
    query = (
        select(col(RoomClaim.block_from))
        .where(
            col(RoomClaim.room_id) == room_id,
            col(RoomClaim.state) != "released",
            col(RoomClaim.block_until) > after,
            (col(RoomClaim.order_id).is_(None)) | (col(RoomClaim.order_id) != order_id),
        )
        .order_by(col(RoomClaim.block_from))
        .limit(1)
    )
    return (await session.exec(query)).first()
