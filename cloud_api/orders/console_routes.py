"""/console: orders and the day of a store, for staff."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.calendar import Day
from cloud_api.kit.http import cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.idempotency import once
from cloud_api.orders import cancel, finish, search, service, views
from cloud_api.orders.schemas import (
    ConsoleOrderOut,
    ConsoleOrdersOut,
    FinishOut,
    TimelineOut,
    WhyIn,
)
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import DEVICE_CONTROL

router = APIRouter(prefix="/console", tags=["console: orders"])
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("/orders")
async def list_orders(
    request: Request,
    who: Who,
    store_id: Annotated[str | None, Query(max_length=64)] = None,
    state: Annotated[str, Query(max_length=20)] = "",
    status: Annotated[list[str] | None, Query()] = None,
    day: Day | None = None,
    q: Annotated[str, Query(max_length=60)] = "",
    member: Annotated[str, Query(max_length=64)] = "",
    sort: Annotated[str, Query(max_length=20)] = "-created",
    cursor: Annotated[str | None, Query(max_length=300)] = None,
    limit: Annotated[int, Query(ge=1, le=100)] = service.PAGE,
) -> ConsoleOrdersOut:
    """Orders of one's stores, newest first unless ``sort`` says otherwise. Needs order.read.

    ``state``: unpaid, ready, in_use, done, cancelled, refunding; ``status`` the stored ones. ``q`` finds
    an order's number, a whole phone number, or its last four digits; ``member`` is one guest's account.
    """
    cloud = cloud_of(request)
    wanted = search.Wanted(
        group=state,
        status=tuple(status or ()),
        store_id=store_id or "",
        day=day,
        text=q.strip(),
        member=member,
        sort=sort.removeprefix("-"),
        downwards=sort.startswith("-"),
    )
    async with cloud.db.read() as session:
        found, following = await search.find(session, who, wanted, cursor=cursor, limit=limit)
        items = await views.for_staff(session, found, cloud.clocks)
    return ConsoleOrdersOut(items=items, next_cursor=following)


@router.get("/orders/{order_id}")
async def get_order(order_id: str, request: Request, who: Who) -> ConsoleOrderOut:
    """One order. Needs order.read."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        order = await service.get_order(session, who, order_id)
        return (await views.for_staff(session, [order], cloud.clocks))[0]


@router.post("/orders/{order_id}/cancel", response_model=ConsoleOrderOut)
async def cancel_order(order_id: str, body: WhyIn, request: Request, who: Who) -> Response:
    """Cancel a guest's order for a reason; everything paid goes back."""
    cloud = cloud_of(request)

    async def act() -> ConsoleOrderOut:
        async with cloud.db.write() as session:
            order = await cancel.cancel_by_staff(session, who, order_id, body.why, cloud.clocks)
            return (await views.for_staff(session, [order], cloud.clocks))[0]

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders/{order_id}/finish", response_model=FinishOut)
async def finish_order(order_id: str, body: WhyIn, request: Request, who: Who) -> Response:
    """End a guest's stay now. Needs device.control."""
    who.need(DEVICE_CONTROL)
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


@router.get("/stores/{store_id}/timeline")
async def timeline(
    store_id: str, request: Request, who: Who, day: Day | None = None
) -> TimelineOut:
    """A store's day (local; today if not given): rooms, spans, orders. Needs order.read."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        return await service.timeline(session, who, store_id, day, cloud.clocks)
