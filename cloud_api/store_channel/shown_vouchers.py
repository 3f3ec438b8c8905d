"""A voucher held before a door's reader: redeemed for the room behind it, and the door opens; or neither.

What the store sent is a request of that moment. One that comes late (the link was down, the cloud was
busy) does nothing: nobody stands at the door any more, and the voucher stays whole.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import service as access
from cloud_api.groupbuy import desk, redeem
from cloud_api.kit import feed
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import later
from cloud_api.stores.models import Door, Store
from cloud_api.vouchers import codes
from cloud_api.vouchers.models import Voucher
from store_link.messages import VoucherBody

FRESH: Final = timedelta(seconds=15)
WAY: Final = "scanner"
_SYSTEM: Final = System()
_log = structlog.get_logger(__name__)


async def use(
    session: AsyncSession,
    cloud: Cloud,
    store: Store,
    body: VoucherBody,
    event_id: str,
    at: datetime,
    *,
    fresh: bool,
) -> None:
    """Redeem it for the room behind the door and open, all or nothing. ``at`` is business time.

    One that was used for this door already (by the phone, a moment ago) opens it once more.
    """
    if not fresh or abs(cloud.clocks.now - at) > FRESH:
        _log.info("voucher.shown_late", store=store.id, door=body.door)
        return
    voucher: Voucher | None = None
    try:
        async with session.begin_nested():
            voucher_id = codes.voucher_of_qr(body.text, cloud.clocks.real.timestamp())
            voucher = await session.get(Voucher, voucher_id)
            door = await _door(session, store, body.door)
            if voucher is None or voucher.merchant_id != store.merchant_id:
                raise NotFound("voucher", later("没有这张券"))
            guest = Customer(account_id=voucher.account_id)
            if voucher.state != "redeemed":
                await redeem.redeem(
                    session,
                    guest,
                    room_id=await _room(session, cloud, store, door, voucher),
                    voucher_id=voucher.id,
                    way=WAY,
                    nonce=f"reader:{event_id}",
                    clocks=cloud.clocks,
                )
            await access.unlock(session, guest, door.token, cloud.clocks, cloud.waiters.instance)
    except KaimenError as refusal:
        _log.info("voucher.shown_refused", store=store.id, door=body.door, code=refusal.code)
        if voucher is not None:
            await feed.tell(
                session,
                merchant_id=store.merchant_id,
                store_id=store.id,
                account_id=voucher.account_id,
                topic="voucher",
                body={"voucher": voucher.id, "code": refusal.code, "message": refusal.message},
                now=cloud.clocks.real,
            )


async def _door(session: AsyncSession, store: Store, door_id: str) -> Door:
    query = scoped(_SYSTEM, Door).where(col(Door.id) == door_id, col(Door.store_id) == store.id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("door", later("没有这扇门"))
    return found


async def _room(
    session: AsyncSession, cloud: Cloud, store: Store, door: Door, voucher: Voucher
) -> str:
    """The first room behind the door that the voucher opens now. Raises why there is none."""
    choices = await desk.rooms_for(session, _SYSTEM, voucher, store.id, cloud.clocks)
    behind = [one for one in choices if one.id in door.rooms]
    for one in behind:
        if one.fits:
            return one.id
    if behind:
        raise Conflict(
            behind[0].code or "voucher.no_room", behind[0].message or later("现在没有空房")
        )
    raise Conflict("voucher.other_store", later("这张券不能在这家店用"))
