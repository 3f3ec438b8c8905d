"""Room time: hold it, confirm it, give it back. The database refuses what overlaps (I1).

On PostgreSQL writers of one room also queue on an advisory lock. The lock is no guard: without it
two inserts could each wait for the other's row and one would die as a deadlock instead of being told
that the room is taken.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Integer, bindparam, func, insert, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import guard, suggest
from cloud_api.claims.booking_rules import rules_of
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id
from cloud_api.kit.statements import built, is_sqlite
from cloud_api.kit.writing import made, values_of, written
from cloud_api.stores.models import Room, Store

ENDED: Final = "ended"  # released_why of a claim whose stay is over
_LOCKS: Final = 7101  # the class of our advisory locks; the other half of the key is the room
_SECOND: Final = timedelta(seconds=1)


class RoomTaken(Conflict):
    """The room is not free for the whole of the time asked for; ``extra`` says what is."""

    def __init__(self, message: str = "这个时间刚被订走了，请换个时间或包间", **extra: Any) -> None:
        super().__init__("book.taken", message, **extra)


async def hold(
    session: AsyncSession,
    room: Room,
    order_id: str | None,
    starts_at: datetime,
    ends_at: datetime,
    clocks: Clocks,
) -> RoomClaim:
    """Claim ``room`` from ``starts_at`` to ``ends_at``, plus the cleaning after it; state ``held``.

    Raises RoomTaken (409 ``book.taken``) with ``free_until``, ``next_free``, ``other_rooms`` and
    ``nearest``.
    A hold that ran out is no hindrance we remove here: its money may be on the way, so only the job
    that asks the provider gives it back.
    """
    store = await session.get_one(Store, room.store_id)
    cleaning = (await rules_of(session, store, room.id)).cleaning
    claim = made(
        RoomClaim,
        id=new_id(),
        merchant_id=room.merchant_id,
        store_id=room.store_id,
        room_id=room.id,
        order_id=order_id,
        starts_at=starts_at,
        ends_at=ends_at,
        block_from=starts_at,
        block_until=ends_at + cleaning,
        created_at=clocks.now,
    )
    if not await _insert(session, claim):
        raise taken(RoomTaken(), room.id, starts_at, ends_at, clocks.now)
    return claim


def taken(
    refused: RoomTaken, room_id: str, starts_at: datetime, ends_at: datetime, now: datetime
) -> RoomTaken:
    """The refusal that will say what is free instead, once it has let go of the room.

    That takes a look at the whole store: not while others wait for this room.
    """

    async def look(session: AsyncSession) -> dict[str, Any]:
        room = await session.get_one(Room, room_id)
        store = await session.get_one(Store, room.store_id)
        nearest = await suggest.nearest(session, store, room, starts_at, ends_at - starts_at, now)
        told = await suggest.instead(session, store, room, starts_at, ends_at)
        return {**told, "nearest": nearest}

    refused.explain_later(look)
    return refused


async def _insert(session: AsyncSession, claim: RoomClaim) -> bool:
    """Write the claim, if the guard lets it be; False if the room is somebody's. One statement, no savepoint.

    PostgreSQL queues for the room and inserts at once; a conflict with the guard's constraint is no
    error there. SQLite's trigger undoes the statement alone.
    """
    await session.flush()
    sqlite = is_sqlite(session)
    values = values_of(claim)
    if not sqlite:
        values["lock"] = _lock_key(claim.room_id)
    try:
        found = await session.execute(_claimed(sqlite), values)
    except IntegrityError as error:
        if sqlite and guard.is_overlap(error):
            return False
        raise
    if found.first() is None:
        return False
    written(session, claim)
    return True


@built
def _claimed(sqlite: bool) -> Any:
    table: Any = RoomClaim.__table__  # type: ignore[attr-defined]
    places = {name: bindparam(name, type_=column.type) for name, column in table.c.items()}
    if sqlite:
        return insert(table).values(places).returning(table.c.id)
    queue = select(func.pg_advisory_xact_lock(_LOCKS, bindparam("lock", type_=Integer))).cte(
        "queue"
    )
    row = select(*places.values()).select_from(queue)
    return (
        postgresql.insert(table)
        .from_select(list(places), row)
        .on_conflict_do_nothing()
        .returning(table.c.id)
    )


async def take_for(
    session: AsyncSession,
    room: Room,
    kind: str,
    starts_at: datetime,
    ends_at: datetime,
    clocks: Clocks,
) -> str | None:
    """Take the room's time from ``starts_at`` for the house (``maintenance``, ``cleaning``).

    It reaches to ``ends_at`` or to the next claim, whatever is first. Returns the claim's id; None where
    the room is somebody's at ``starts_at``.
    """
    await lock_room(session, room.id)
    following = (
        await session.exec(
            select(col(RoomClaim.block_from))
            .where(
                col(RoomClaim.room_id) == room.id,
                col(RoomClaim.state) != "released",
                col(RoomClaim.block_until) > starts_at,
            )
            .order_by(col(RoomClaim.block_from))
            .limit(1)
        )
    ).first()
    until = ends_at if following is None else min(ends_at, following)
    if until - starts_at < _SECOND:
        return None
    claim = RoomClaim(
        id=new_id(),
        merchant_id=room.merchant_id,
        store_id=room.store_id,
        room_id=room.id,
        kind=kind,
        starts_at=starts_at,
        ends_at=until,
        block_from=starts_at,
        block_until=until,
        state="confirmed",
        created_at=clocks.now,
    )
    try:
        async with under_guard(session, room.id):
            session.add(claim)
            await session.flush()
    except RoomTaken:
        return None
    return claim.id


async def adopt(session: AsyncSession, claim_id: str, order_id: str) -> RoomClaim:
    """Let a held claim of nobody's order be an order's. Raises RoomTaken if it is not held any more."""
    if not await _move(session, claim_id, ("held",), order_id=order_id):
        raise RoomTaken(_("给你留的位已经过时了，请重新排"))
    return await get(session, claim_id)


async def confirm(session: AsyncSession, claim_id: str) -> bool:
    """held → confirmed. False if the claim is not held any more."""
    return await _move(session, claim_id, ("held",), state="confirmed")


async def enter(session: AsyncSession, claim_id: str) -> bool:
    """confirmed → in_use: the guests are in. False if it is in another state."""
    return await _move(session, claim_id, ("confirmed",), state="in_use")


async def release(session: AsyncSession, claim_id: str, why: str) -> bool:
    """Give the room's time back. False if that was done before."""
    live = ("held", "confirmed", "in_use")
    return await _move(session, claim_id, live, state="released", released_why=why)


async def restore(session: AsyncSession, claim_id: str) -> bool:
    """Take a released claim again, confirmed, if nobody has its time now. False if somebody has."""
    claim = await get(session, claim_id)
    if claim.state != "released" or claim.released_why == ENDED:
        return False
    try:
        async with under_guard(session, claim.room_id):
            await session.exec(
                update(RoomClaim)
                .where(col(RoomClaim.id) == claim.id, col(RoomClaim.state) == "released")
                .values(state="confirmed", released_why=None)
                .execution_options(synchronize_session=False)
            )
    except RoomTaken:
        return False
    await session.refresh(claim)
    return True


async def end_at(session: AsyncSession, claim: RoomClaim, when: datetime, clocks: Clocks) -> bool:
    """The stay of ``claim`` ended at ``when``: free the rest, block the room for cleaning.

    Cleaning that would reach into the next claim (after overtime) is cut off there: a paid stay is
    never put off by a broom. False if the claim was over before.
    """
    await lock_room(session, claim.room_id)  # before the row: a hold takes them in this order too
    store = await session.get_one(Store, claim.store_id)
    ended = max(when, claim.starts_at + _SECOND)
    done = await _move(
        session,
        claim.id,
        ("held", "confirmed", "in_use"),
        state="released",
        released_why=ENDED,
        block_from=min(claim.block_from, claim.starts_at),
        ends_at=ended,
        overstay_until=None,
        block_until=ended,
    )
    if not done:
        return False
    until = when + (await rules_of(session, store, claim.room_id)).cleaning
    following = (
        await session.exec(
            select(col(RoomClaim.block_from))
            .where(
                col(RoomClaim.room_id) == claim.room_id,
                col(RoomClaim.state) != "released",
                col(RoomClaim.block_until) > when,
            )
            .order_by(col(RoomClaim.block_from))
            .limit(1)
        )
    ).first()
    if following is not None:
        until = min(until, following)
    if until - when >= _SECOND:
        await _add_cleaning(session, claim, when, until, clocks)
    return True


async def get(session: AsyncSession, claim_id: str) -> RoomClaim:
    """The claim as it is in the database now."""
    query = select(RoomClaim).where(col(RoomClaim.id) == claim_id)
    return (await session.exec(query.execution_options(populate_existing=True))).one()


async def _add_cleaning(
    session: AsyncSession, after: RoomClaim, starts_at: datetime, ends_at: datetime, clocks: Clocks
) -> None:
    try:
        async with under_guard(session, after.room_id):
            session.add(
                RoomClaim(
                    merchant_id=after.merchant_id,
                    store_id=after.store_id,
                    room_id=after.room_id,
                    order_id=after.order_id,
                    kind="cleaning",
                    starts_at=starts_at,
                    ends_at=ends_at,
                    block_from=starts_at,
                    block_until=ends_at,
                    state="confirmed",
                    created_at=clocks.now,
                )
            )
            await session.flush()
    except RoomTaken:
        pass  # somebody booked the very moment: they come first


async def _move(session: AsyncSession, claim_id: str, was: tuple[str, ...], **values: Any) -> bool:
    moved = await session.exec(
        update(RoomClaim)
        .where(col(RoomClaim.id) == claim_id, col(RoomClaim.state).in_(was))
        .values(**values)
        .returning(col(RoomClaim.id))
        .execution_options(synchronize_session=False)
    )
    if moved.first() is None:
        return False
    known = await session.get(RoomClaim, claim_id)
    if known is not None:
        await session.refresh(known)
    return True


@asynccontextmanager
async def under_guard(session: AsyncSession, room_id: str) -> AsyncIterator[None]:
    """A savepoint in which the guard's refusal becomes RoomTaken and spoils nothing else."""
    await lock_room(session, room_id)
    try:
        async with session.begin_nested():
            yield
    except IntegrityError as error:
        if guard.is_overlap(error):
            raise RoomTaken from error
        raise


async def lock_room(session: AsyncSession, room_id: str) -> None:
    """Queue for ``room_id`` until this transaction ends (PostgreSQL; SQLite has one writer anyway)."""
    if session.get_bind().dialect.name == "postgresql":
        await session.exec(select(func.pg_advisory_xact_lock(_LOCKS, _lock_key(room_id))))


def _lock_key(room_id: str) -> int:
    return zlib.crc32(room_id.encode()) - 2**31  # fits int4, the second key of the pair
