"""The house confirms a paid order where the room's rule wants it; not in time, the money goes back."""

from __future__ import annotations

from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.claims import service as claims
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict
from cloud_api.kit.i18n import later
from cloud_api.kit.models import DueJob
from cloud_api.orders import changes
from cloud_api.orders.models import Order
from cloud_api.orders.money import make_ready, refund_part
from cloud_api.orders.transitions import lock_order, move, system_lock
from cloud_api.staff.permissions import ORDER_CREATE

WHY: Final = "not_confirmed"


async def confirm(session: AsyncSession, staff: Staff, order_id: str, clocks: Clocks) -> Order:
    """Say yes to a paid order. Needs order.create; again changes nothing.

    Raises NotFound, Conflict ``confirm.not_waiting``.
    """
    staff.need(ORDER_CREATE)
    order = await lock_order(session, staff, order_id)
    if order.status == "ready":
        return order
    if order.status != "paid":
        raise Conflict("confirm.not_waiting", "这个订单不用确认", status_now=order.status)
    await make_ready(session, order, by=staff.ref, why="confirmed", clocks=clocks)
    await audit.record(
        session,
        staff,
        "order.confirm",
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        subject=f"order:{order.id}",
        after={"number": order.number},
        clocks=clocks,
    )
    return order


async def late(cloud: Cloud, job: DueJob) -> None:
    """Nobody confirmed in time: cancelled, and everything goes back."""
    async with cloud.db.write() as session:
        order = await system_lock(session, job.ref)
        if order.status != "paid":
            return
        await changes.drop_all(session, order, by="system", clocks=cloud.clocks)
        await claims.release(session, order.claim_id, WHY)
        await move(
            session,
            order,
            "cancelled",
            by="system",
            why=WHY,
            clocks=cloud.clocks,
            cancel_why=WHY,
        )
        left = order.paid_fen - order.refunded_fen - order.refunding_fen
        await refund_part(
            session,
            order,
            left,
            by="system",
            reason=later("店家没有确认，全额退回"),
            clocks=cloud.clocks,
        )
