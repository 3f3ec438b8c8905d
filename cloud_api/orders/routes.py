"""/orders for customers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer
from cloud_api.kit.http import cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.idempotency import once, once_within
from cloud_api.orders import cancel, finish, pay, place, service, views
from cloud_api.orders.schemas import FinishOut, OrderIn, OrderOut, OrdersOut, PayIn, PayOut, WhyIn
from cloud_api.payments.payer_codes import payer_of

router = APIRouter(tags=["orders"])
Who = Annotated[Customer, Depends(customer)]


@router.post("/orders", response_model=OrderOut)
async def place_order(body: OrderIn, request: Request, who: Who) -> Response:
    """Order what was quoted: the room is held until ``hold_expires_at``."""
    cloud = cloud_of(request)

    async def act(session: AsyncSession) -> OrderOut:
        placed = await place.place_new(session, who, body.quote_id, cloud.clocks)
        return await views.placed(session, placed, cloud.clocks)

    return await once_within(cloud, who.ref, request, await request.body(), act)


@router.get("/orders")
async def list_orders(
    request: Request,
    who: Who,
    cursor: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=50)] = service.PAGE,
) -> OrdersOut:
    """One's own orders, newest first."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found, following = await service.list_orders(session, who, cursor=cursor, limit=limit)
        items = await views.many(session, found, cloud.clocks)
    return OrdersOut(items=items, next_cursor=following)


@router.get("/orders/{order_id}")
async def get_order(order_id: str, request: Request, who: Who) -> OrderOut:
    """One order with everything that happened to it."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        order = await service.get_order(session, who, order_id)
        return await views.one(session, order, cloud.clocks)


@router.post("/orders/{order_id}/pay", response_model=PayOut)
async def pay_order(order_id: str, body: PayIn, request: Request, who: Who) -> Response:
    """Open a payment, or give back the one that is open."""
    cloud = cloud_of(request)

    async def act() -> PayOut:
        payment = await pay.pay(
            cloud,
            who,
            order_id,
            provider=body.provider,
            channel=body.channel,
            return_path=body.return_path,
            payer=payer_of(request, who),
            payer_code=body.payer_code,
            balance_fen=body.balance_fen,
        )
        return PayOut.of(payment)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders/{order_id}/check-payment")
async def check_payment(order_id: str, request: Request, who: Who) -> OrderOut:
    """Ask the provider now where an open payment stands; the answer is the order."""
    cloud = cloud_of(request)
    await pay.check(cloud, who, order_id)
    async with cloud.db.read() as session:
        order = await service.get_order(session, who, order_id)
        return await views.one(session, order, cloud.clocks)


@router.post("/orders/{order_id}/close-payment", response_model=OrderOut)
async def close_payment(order_id: str, request: Request, who: Who) -> Response:
    """Close the open payment, to choose another way; the answer is the order."""
    cloud = cloud_of(request)

    async def act() -> OrderOut:
        await pay.close(cloud, who, order_id)
        async with cloud.db.read() as session:
            order = await service.get_order(session, who, order_id)
            return await views.one(session, order, cloud.clocks)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders/{order_id}/cancel", response_model=OrderOut)
async def cancel_order(
    order_id: str, request: Request, who: Who, body: WhyIn | None = None
) -> Response:
    """Cancel: unpaid at once; paid for free until two hours before the start."""
    cloud = cloud_of(request)

    async def act() -> OrderOut:
        async with cloud.db.write() as session:
            order = await cancel.cancel(session, who, order_id, cloud.clocks)
            return await views.one(session, order, cloud.clocks)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders/{order_id}/finish", response_model=FinishOut)
async def finish_order(
    order_id: str, request: Request, who: Who, body: WhyIn | None = None
) -> Response:
    """Leave early: the store ends the stay and switches off."""
    cloud = cloud_of(request)

    async def act() -> FinishOut:
        async with cloud.db.write() as session:
            order, command = await finish.finish(
                session, who, order_id, cloud.clocks, cloud.waiters.instance
            )
            shown = await views.one(session, order, cloud.clocks)
        return FinishOut(
            order=shown,
            command_id=None if command is None else command.id,
            message=_("门店已收到，正在结束") if command else _("门店现在离线，恢复后会马上结束"),
        )

    return await once(cloud, who.ref, request, await request.body(), act)
