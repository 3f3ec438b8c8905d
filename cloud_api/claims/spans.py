"""A room's day as anybody may see it: free, held, booked, in use, cleaning, closed. Nothing personal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import or_
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.models import RoomClaim
from cloud_api.claims.overstay import in_use_until
from cloud_api.claims.service import ENDED
from cloud_api.pricing.rules import open_spans
from cloud_api.stores.models import Room, Store

ALIVE: Final = or_(col(RoomClaim.state) != "released", col(RoomClaim.released_why) == ENDED)
"""Claims that say what a room is or was used for; what was given back unused says nothing."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch (half open) of a room's time. ``claim`` is for staff pages; never shown to customers."""

    room_id: str
    starts_at: datetime
    ends_at: datetime
    state: str  # free | held | booked | in_use | cleaning | closed
    claim: RoomClaim | None = None


async def spans(
    session: AsyncSession,
    store: Store,
    rooms: Sequence[Room],
    starts_at: datetime,
    ends_at: datetime,
) -> dict[str, list[Span]]:
    """By room id, spans that cover ``starts_at``..``ends_at`` without gap or overlap; one query."""
    claims = await claims_between(session, [room.id for room in rooms], starts_at, ends_at)
    return lay_out(store, rooms, claims, starts_at, ends_at)


async def claims_between(
    session: AsyncSession, room_ids: Sequence[str], starts_at: datetime, ends_at: datetime
) -> dict[str, list[RoomClaim]]:
    """By room id, the claims that touch ``starts_at``..``ends_at``, in order; one query for any number."""
    query = (
        select(RoomClaim)
        .where(
            col(RoomClaim.room_id).in_(list(room_ids)),
            col(RoomClaim.block_from) < ends_at,
            col(RoomClaim.block_until) > starts_at,
            ALIVE,
        )
        .order_by(col(RoomClaim.block_from))
    )
    return by_room((await session.exec(query)).all(), room_ids)


def by_room(claims: Iterable[RoomClaim], room_ids: Sequence[str]) -> dict[str, list[RoomClaim]]:
    """Claims by room, in the order they come in; a list for each of ``room_ids``."""
    found: dict[str, list[RoomClaim]] = {room_id: [] for room_id in room_ids}
    for claim in claims:
        found[claim.room_id].append(claim)
    return found


def lay_out(
    store: Store,
    rooms: Sequence[Room],
    claims: dict[str, list[RoomClaim]],
    starts_at: datetime,
    ends_at: datetime,
) -> dict[str, list[Span]]:
    """The spans that ``claims`` make of ``starts_at``..``ends_at``; see ``spans``."""
    opening = open_spans(store, starts_at, ends_at)
    return {room.id: _of_room(room, claims[room.id], opening, starts_at, ends_at) for room in rooms}


def _of_room(
    room: Room,
    claims: Sequence[RoomClaim],
    opening: Sequence[tuple[datetime, datetime]],
    starts_at: datetime,
    ends_at: datetime,
) -> list[Span]:
    found: list[Span] = []
    here = starts_at
    for claim in claims:
        for begin, end, state in _parts(claim):
            begin, end = max(begin, here), min(end, ends_at)
            if begin >= end:
                continue
            found += _gap(room, opening, here, begin)
            found.append(Span(room.id, begin, end, state, claim))
            here = end
    return found + _gap(room, opening, here, ends_at)


def _parts(claim: RoomClaim) -> list[tuple[datetime, datetime, str]]:
    """What a claim looks like: the stay, then the cleaning that is blocked with it."""
    if claim.kind == "cleaning":
        return [(claim.block_from, claim.block_until, "cleaning")]
    if claim.kind == "maintenance":
        return [(claim.block_from, claim.block_until, "closed")]
    state = {"held": "held", "confirmed": "booked"}.get(claim.state, "in_use")
    return [
        (claim.block_from, in_use_until(claim), state),
        (in_use_until(claim), claim.block_until, "cleaning"),
    ]


def _gap(
    room: Room,
    opening: Sequence[tuple[datetime, datetime]],
    starts_at: datetime,
    ends_at: datetime,
) -> list[Span]:
    """Time without a claim: free where the store is open and the room is not in maintenance."""
    found: list[Span] = []
    here = starts_at
    for opens, closes in [] if room.mode == "maintenance" else opening:
        begin, end = max(opens, here), min(closes, ends_at)
        if begin >= end:
            continue
        if begin > here:
            found.append(Span(room.id, here, begin, "closed"))
        if found and found[-1].state == "free" and found[-1].ends_at == begin:
            found[-1] = Span(room.id, found[-1].starts_at, end, "free")
        else:
            found.append(Span(room.id, begin, end, "free"))
        here = end
    if here < ends_at:
        found.append(Span(room.id, here, ends_at, "closed"))
    return found
