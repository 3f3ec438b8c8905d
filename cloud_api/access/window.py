"""From when a door opens for a booking: the store's lead time before it, but not into another's time."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.models import RoomClaim
from cloud_api.stores.models import Store


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
    query = select(func.max(col(RoomClaim.block_until))).where(
        col(RoomClaim.room_id) == room_id,
        col(RoomClaim.id) != claim_id,
        col(RoomClaim.state) != "released",
        col(RoomClaim.block_from) < starts_at,
    )
    found: datetime | None = await session.scalar(query)
    return found
