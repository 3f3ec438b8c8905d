"""Guests who stay beyond what they bought: their claim grows a little ahead of now, into free time only.

What was sold to the next guest stays sold; ``ends_at`` stays what was bought, so the store's stay gets
no longer by this. Whoever knows that somebody is still inside calls ``stretch`` again and again; the
end of the stay (``service.end_at``) gives everything back.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.models import RoomClaim
from cloud_api.claims.service import get, lock_room
from cloud_api.stores.models import Store

AHEAD: Final = timedelta(minutes=15)
_SECOND: Final = timedelta(seconds=1)


async def stretch(session: AsyncSession, claim_id: str, until: datetime) -> datetime | None:
    """Keep the room of a claim in use until ``until`` and for cleaning after it, where that is free.

    Returns until when it counts as in use now; None where the claim is over. Never shortens.
    """
    claim = await get(session, claim_id)
    await lock_room(session, claim.room_id)
    claim = await get(session, claim_id)
    if claim.state != "in_use":
        return None
    store = await session.get_one(Store, claim.store_id)
    following = (
        await session.exec(
            select(col(RoomClaim.block_from))
            .where(
                col(RoomClaim.room_id) == claim.room_id,
                col(RoomClaim.id) != claim.id,
                col(RoomClaim.state) != "released",
                col(RoomClaim.block_until) > claim.block_from,
                col(RoomClaim.block_from) > claim.block_from,
            )
            .order_by(col(RoomClaim.block_from))
            .limit(1)
        )
    ).first()
    last = claim.overstay_until or claim.ends_at
    wanted = max(until, last)
    block = max(claim.block_until, wanted + timedelta(seconds=store.cleaning_s))
    if following is not None:
        wanted, block = min(wanted, following), min(block, following)
    wanted = max(wanted, claim.ends_at)
    if (wanted, block) != (claim.overstay_until, claim.block_until):
        await session.exec(
            update(RoomClaim)
            .where(col(RoomClaim.id) == claim.id, col(RoomClaim.state) == "in_use")
            .values(overstay_until=wanted, block_until=block)
            .execution_options(synchronize_session=False)
        )
        await session.refresh(claim)
    return wanted


def in_use_until(claim: RoomClaim) -> datetime:
    """Until when the guests of a claim are in the room, as far as is known."""
    if claim.state == "released" or claim.overstay_until is None:
        return claim.ends_at
    return max(claim.ends_at, claim.overstay_until)
