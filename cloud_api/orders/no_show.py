"""Who does not come: warned half way, then the room goes back on sale, by the room's rule.

Nothing is done while the store is away: then nobody knows whether the guests are in.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import service as claims
from cloud_api.claims.booking_rules import rules_of
from cloud_api.devices.status import get_status
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, schedule
from cloud_api.kit.i18n import later
from cloud_api.kit.models import DueJob
from cloud_api.orders import changes, tell
from cloud_api.orders.cancel_rules import fee_of, left_fen
from cloud_api.orders.models import Order
from cloud_api.orders.money import REVOKE, refund_part
from cloud_api.orders.transitions import move, note, system_lock
from cloud_api.stores.models import Store

LOOK: Final = "order.no_show"  # ref: order id
WHY: Final = "no_show"
_AGAIN_S: Final = 60


async def watch(session: AsyncSession, order: Order) -> None:
    """Look half way and at the end of the time that a room is kept; nothing where it is kept."""
    store = await session.get_one(Store, order.store_id)
    minutes = (await rules_of(session, store, order.room_id)).no_show_minutes
    if not minutes:
        return
    for part in (minutes / 2, minutes):
        await schedule(
            session,
            merchant_id=order.merchant_id,
            kind=LOOK,
            ref=order.id,
            run_at=order.starts_at + timedelta(minutes=part),
        )


async def look(cloud: Cloud, job: DueJob) -> None:
    """The handler."""
    clocks = cloud.clocks
    async with cloud.db.write() as session:
        order = await system_lock(session, job.ref)
        store = await session.get_one(Store, order.store_id)
        rules = await rules_of(session, store, order.room_id)
        if order.status != "ready" or order.finished_early or not rules.no_show_minutes:
            return
        until = order.starts_at + timedelta(minutes=rules.no_show_minutes)
        half = order.starts_at + timedelta(minutes=rules.no_show_minutes / 2)
        if clocks.now < half or clocks.now >= order.ends_at:
            return  # moved meanwhile, or over
        status = await get_status(session, System(), store.id, clocks.real)
        if not status.online or status.stays.get(order.claim_id) in {"in_use", "grace"}:
            raise Again(_AGAIN_S, "the store does not say whether they are in")
        if clocks.now < until:
            await tell.no_show_soon(session, order, until, clocks)
            return
        await changes.drop_all(session, order, by="system", clocks=clocks)
        await claims.release(session, order.claim_id, WHY)
        left = left_fen(order)
        fee = min(left, fee_of(order.total_fen, rules.no_show_per_cent))
        await move(
            session,
            order,
            "cancelled",
            by="system",
            why=WHY,
            clocks=clocks,
            cancel_why=WHY,
            cancel_fee_fen=fee,
        )
        if fee:
            body = {"amount_fen": fee, "back_fen": left - fee}
            await note(session, order, "cancel_fee", by="system", clocks=clocks, body=body)
        await refund_part(
            session, order, left - fee, by="system", reason=later("没有到店"), clocks=clocks
        )
        await schedule(
            session,
            merchant_id=order.merchant_id,
            kind=REVOKE,
            ref=order.id,
            run_at=clocks.real,
            clock="wire",
        )
