"""/console: letting a guest off what overtime costs."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders import overtime, service, views
from cloud_api.orders.overtime_out import WaiveIn
from cloud_api.orders.schemas import ConsoleOrderOut
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console", tags=["console: orders"])
Who = Annotated[Staff, Depends(staff_actor)]


@router.post("/orders/{order_id}/overtime/waive", response_model=ConsoleOrderOut)
async def waive(order_id: str, body: WaiveIn, request: Request, who: Who) -> Response:
    """Waive what is due, for a reason. Needs order.waive, within the role's limit."""
    cloud = cloud_of(request)

    async def act() -> ConsoleOrderOut:
        async with cloud.db.write() as session:
            await overtime.waive(session, who, order_id, body.why, cloud.clocks)
            order = await service.get_order(session, who, order_id)
            return (await views.for_staff(session, [order], cloud.clocks))[0]

    return await once(cloud, who.ref, request, await request.body(), act)
