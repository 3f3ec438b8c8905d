"""Which of one's vouchers opens a room now: the door asks."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.stores import service as stores
from cloud_api.vouchers import judge
from cloud_api.vouchers.models import Voucher
from cloud_api.web.pages import Visit


async def fitting(
    session: AsyncSession, seen: Visit, store_id: str, room_id: str
) -> Voucher | None:
    """The voucher of whoever looks that opens this room now; of several, the one that ends first."""
    if not isinstance(seen.who, Customer):
        return None
    query = (
        scoped(seen.who, Voucher)
        .where(col(Voucher.state) == "issued")
        .order_by(col(Voucher.valid_until), col(Voucher.id))
    )
    store = await stores.get_store(session, System(), store_id)
    now = seen.cloud.clocks.now
    for found in (await session.exec(query)).all():
        no = judge.refuse(found, store_id=store_id, room_id=room_id, starts_at=now, tz=store.tz)
        if no is None:
            return found
    return None
