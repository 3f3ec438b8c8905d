"""/console: what staff do about refunds that a provider refused."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders import refunds, views
from cloud_api.orders.schemas import ByHandIn, ConsoleOrderOut, WhyIn
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console", tags=["console: orders"])
Who = Annotated[Staff, Depends(staff_actor)]


@router.post("/orders/{order_id}/refunds/{number}/retry", response_model=ConsoleOrderOut)
async def retry_refund(
    order_id: str, number: str, body: WhyIn, request: Request, who: Who
) -> Response:
    """Ask the provider again for a refund that it refused, under a new number. Needs order.refund."""
    cloud = cloud_of(request)

    async def act() -> ConsoleOrderOut:
        order = await refunds.retry(cloud, who, order_id, number, body.why)
        async with cloud.db.read() as session:
            return (await views.for_staff(session, [order], cloud.clocks))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders/{order_id}/refunds/{number}/by-hand", response_model=ConsoleOrderOut)
async def refund_by_hand(
    order_id: str, number: str, body: ByHandIn, request: Request, who: Who
) -> Response:
    """Say that a refused refund was paid by other means, with proof. Needs order.refund."""
    cloud = cloud_of(request)

    async def act() -> ConsoleOrderOut:
        order = await refunds.paid_by_hand(cloud, who, order_id, number, body.why, body.proof)
        async with cloud.db.read() as session:
            return (await views.for_staff(session, [order], cloud.clocks))[0]

    return await once(cloud, who.ref, request, await request.body(), act)
