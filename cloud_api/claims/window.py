"""From when a door opens for a booking: the store's lead time before it, but not into another's time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.claims.models import RoomClaim
from cloud_api.kit.statements import Bound, built
from cloud_api.stores.models import Store

_LOOK_BACK: Final = timedelta(
    hours=3
)  # more than any lead time: what ended before keeps no door shut

_SOLD: Final = ("confirmed", "in_use")  # what nobody paid for yet keeps no guest out


def opens_at(store: Store, starts_at: datetime, previous_until: datetime | None) -> datetime:
    """``starts_at`` − lead, or the end of the block before it (its cleaning included) if that is later.

    Never later than ``starts_at``: paid time is not put off.
    """
    opens = starts_at - timedelta(seconds=store.lead_s)
    if previous_until is None:
        return opens
    return min(max(opens, previous_until), starts_at)


async def previous_until(
    session: AsyncSession, room_id: str, claim_id: str, starts_at: datetime
) -> datetime | None:
    """When the last claim before ``starts_at`` in this room gives it free; None without one."""
    values = {"room_id": room_id, "claim_id": claim_id, "starts_at": starts_at}
    found: datetime | None = await session.scalar(_previous(), values)
    return found


def until_before(room_id: Bound[str], starts_at: Bound[datetime]) -> SelectOfScalar[datetime]:
    """When the last claim before ``starts_at`` in a room gives it free."""
    return select(func.max(col(RoomClaim.block_until))).where(
        col(RoomClaim.room_id) == room_id,
        col(RoomClaim.state).in_(_SOLD),
        col(RoomClaim.block_from) < starts_at,
    )


@built
def _previous() -> SelectOfScalar[datetime]:
    others = col(RoomClaim.id) != bindparam("claim_id")
    return until_before(bindparam("room_id"), bindparam("starts_at")).where(others)


@built
def _near() -> SelectOfScalar[RoomClaim]:
    return select(RoomClaim).where(
        col(RoomClaim.room_id).in_(bindparam("rooms", expanding=True)),
        col(RoomClaim.state).in_(_SOLD),
        col(RoomClaim.block_until) > bindparam("earliest"),
    )


async def opens_of(
    session: AsyncSession, stays: Sequence[tuple[Store, str, str, datetime]]
) -> dict[str, datetime]:
    """By claim id, from when the door opens for stays (store, room id, claim id, start); one query."""
    if not stays:
        return {}
    earliest = min(starts for _, _, _, starts in stays) - _LOOK_BACK
    values = {"rooms": list({room for _, room, _, _ in stays}), "earliest": earliest}
    claims = (await session.exec(_near(), params=values)).all()
    found = {}
    for store, room, claim_id, starts in stays:
        before = [
            claim.block_until
            for claim in claims
            if claim.room_id == room and claim.id != claim_id and claim.block_from < starts
        ]
        found[claim_id] = opens_at(store, starts, max(before, default=None))
    return found
