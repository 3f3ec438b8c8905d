"""While guests stay on past their end, their room is kept from others, and the next guest is not misled.

A due job looks from the end of each stay on, every few minutes, for as long as the store says that
somebody is inside; the store's own word "overtime" comes sooner and stretches at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import overstay as claims
from cloud_api.devices.status import get_status
from cloud_api.kit import feed
from cloud_api.kit.actor import System
from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.models import DueJob
from cloud_api.kit.outbox import desired_changed
from cloud_api.orders.models import Order
from cloud_api.orders.transitions import system_lock
from cloud_api.stores.models import Store
from store_link.messages import StayState

LOOK: Final = "order.overstay"  # ref: order id
EVERY: Final = timedelta(minutes=5)
_INSIDE: Final = frozenset({StayState.IN_USE, StayState.GRACE, StayState.OVERTIME})


async def watch(session: AsyncSession, order: Order, at: datetime) -> None:
    """Look at ``at`` (business time) whether the guests of ``order`` are gone."""
    await schedule(session, merchant_id=order.merchant_id, kind=LOOK, ref=order.id, run_at=at)


async def stayed_on(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """The store says: they are still there."""
    if clocks.now < order.ends_at - timedelta(minutes=1):
        return  # ended early: their own time still keeps the room
    until = await claims.stretch(session, order.claim_id, clocks.now + claims.AHEAD)
    if until is not None:
        await desired_changed(
            session, merchant_id=order.merchant_id, store_id=order.store_id, now=clocks.real
        )  # the next guest's door opens later now
        await feed.tell(
            session,
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            topic="room",
            body={"room_id": order.room_id, "overstay": True},
            now=clocks.real,
        )
        await signal(
            session,
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            kind="stay.overstay",
            subject=f"order:{order.id}",
            active=True,
            data={"room_id": order.room_id, "number": order.number},
            at=clocks.now,
        )


async def gone(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """The stay is over; nothing where nobody stayed on."""
    await signal(
        session,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        kind="stay.overstay",
        subject=f"order:{order.id}",
        active=False,
        data={},
        at=clocks.now,
    )


async def look(cloud: Cloud, job: DueJob) -> None:
    """The handler: stretch and look again, or let it be once the stay is over.

    A store that is offline tells nothing: then the room is kept for grace and cleaning, as sold.
    """
    clocks = cloud.clocks
    async with cloud.db.write() as session:
        order = await system_lock(session, job.ref)
        if order.status != "in_use":
            return
        if clocks.now < order.ends_at:  # extended meanwhile
            await watch(session, order, order.ends_at)
            return
        status = await get_status(session, System(), order.store_id, clocks.real)
        inside = not status.stale and status.stays.get(order.claim_id) in _INSIDE
        store = await session.get_one(Store, order.store_id)
        grace_ends = order.ends_at + timedelta(seconds=store.grace_s)
        if clocks.now < grace_ends:
            await claims.stretch(session, order.claim_id, grace_ends)
            await watch(session, order, grace_ends)
        elif inside:
            await stayed_on(session, order, clocks)
            await watch(session, order, clocks.now + EVERY)
        elif clocks.now < grace_ends + timedelta(hours=24):
            await watch(session, order, clocks.now + EVERY)
