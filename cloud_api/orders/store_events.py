"""What a store reports of a stay becomes the order's status, its times and its usage.

Called by the ingest inside the transaction of the event, so each report counts once; and it is
idempotent by status, since a restored cloud may be told again.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import structlog
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import service as claims
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.orders import changes, leaving, overstay, overtime, refund_wait
from cloud_api.orders.models import Order
from cloud_api.orders.money import FORGOTTEN_AFTER, GRANT
from cloud_api.orders.transitions import change, move, note, system_lock
from cloud_api.stores.models import Store
from store_link.clock import from_ms
from store_link.messages import StayBody, StayState, UsageBody

AFTER_ALL: Final = "in_after_all"  # why an order that was cancelled lives again
_log = structlog.get_logger(__name__)


async def apply_stay(
    session: AsyncSession, store: Store, body: StayBody, at: datetime, clocks: Clocks
) -> None:
    """A stay changed its state at ``at`` (business time at the store)."""
    order = await _order_of(session, store, body.stay)
    if order is None:
        return
    if order.status == "cancelled":
        if body.now is StayState.IN_USE:  # entered on a pass the store had not yet heard revoked
            if await refund_wait.used(session, order, clocks):
                await _enter(session, order, at, AFTER_ALL, clocks)
                await schedule(
                    session,
                    merchant_id=order.merchant_id,
                    kind=GRANT,
                    ref=order.id,
                    run_at=clocks.real,
                    clock="wire",
                )
                return
            await note(
                session, order, "used_after_cancel", by=_by(store), why=body.why, clocks=clocks
            )
    elif body.now is StayState.IN_USE:
        await _enter(session, order, at, body.why, clocks)
    elif body.now is StayState.ENDED:
        # "cancelled" says only that the document lists it no more: where the order lives, it was moved
        # beyond the days that a store is told of, and comes again.
        if body.why != "cancelled":
            await _complete(session, order, at, body.why, clocks)
    elif body.now in {StayState.GRACE, StayState.OVERTIME}:
        await note(
            session, order, f"stay_{body.now.value}", by=_by(store), why=body.why, clocks=clocks
        )
        if body.now is StayState.OVERTIME and order.status == "in_use":
            await overstay.stayed_on(session, order, clocks)
        await _overstay(session, order, body.now is StayState.OVERTIME, clocks)


async def apply_usage(
    session: AsyncSession, store: Store, body: UsageBody, at: datetime, clocks: Clocks
) -> None:
    """The store's account of a stay that ended; kept with its evidence, once."""
    order = await _order_of(session, store, body.stay)
    if order is None or order.usage is not None:
        return
    entered = None if body.entered_at is None else from_ms(body.entered_at)
    await change(
        session,
        order,
        entered_at=order.entered_at or entered,
        ended_at=order.ended_at or from_ms(body.ended_at),
        used_s=body.used_s,
        power_on_s=body.power_on_s,
        overtime_s=body.overtime_s,
        usage=body.model_dump(mode="json"),
    )
    await note(
        session,
        order,
        "usage",
        by=_by(store),
        clocks=clocks,
        body={"used_s": body.used_s, "overtime_s": body.overtime_s},
    )
    if order.status == "cancelled":
        await refund_wait.used_for(session, order, body.used_s, clocks)
    await overtime.charge(session, store, order, body, clocks)
    await _complete(session, order, from_ms(body.ended_at), "usage", clocks)


async def complete_forgotten(session: AsyncSession, order_id: str, clocks: Clocks) -> None:
    """A day after its end no store has told of this stay: it counts as used until its paid end."""
    order = await system_lock(session, order_id)
    if (
        clocks.now >= order.ends_at + FORGOTTEN_AFTER
    ):  # not one that was moved or extended meanwhile
        await _complete(session, order, order.ends_at, "not_reported", clocks)


async def _enter(
    session: AsyncSession, order: Order, at: datetime, why: str, clocks: Clocks
) -> None:
    if order.status != "ready" and why != AFTER_ALL:
        return
    await claims.enter(session, order.claim_id)
    await move(
        session,
        order,
        "in_use",
        by=f"store:{order.store_id}",
        why=why,
        clocks=clocks,
        entered_at=order.entered_at or at,
        cancel_why=None,
    )
    await overstay.watch(session, order, order.ends_at)


async def _complete(
    session: AsyncSession, order: Order, at: datetime, why: str, clocks: Clocks
) -> None:
    if order.status not in {"ready", "in_use"}:
        return
    await _overstay(session, order, False, clocks)
    await changes.drop_all(session, order, by="system", clocks=clocks)
    await changes.undelivered(session, order, at.timestamp(), clocks)
    claim = await claims.get(session, order.claim_id)
    await move(
        session,
        order,
        "completed",
        by=f"store:{order.store_id}",
        why=why,
        clocks=clocks,
        ended_at=order.ended_at or at,
    )
    await claims.end_at(session, claim, at, clocks)
    await leaving.settle(session, order, at, clocks)
    await overstay.gone(session, order, clocks)


async def _overstay(session: AsyncSession, order: Order, active: bool, clocks: Clocks) -> None:
    await signal(
        session,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        kind="stay.overstay",
        subject=f"order:{order.id}",
        active=active,
        data={"order_id": order.id, "room_id": order.room_id, "number": order.number},
        at=clocks.real,
    )


async def _order_of(session: AsyncSession, store: Store, stay: str) -> Order | None:
    """The order behind a stay, locked; a store can only speak of its own."""
    query = scoped(System(), Order).where(
        col(Order.claim_id) == stay, col(Order.store_id) == store.id
    )
    found = (await session.exec(query)).first()
    if found is None:
        _log.warning("stay.unknown", store=store.id, stay=stay)
        return None
    return await system_lock(session, found.id)


def _by(store: Store) -> str:
    return f"store:{store.id}"
