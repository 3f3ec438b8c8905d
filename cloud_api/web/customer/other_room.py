"""The way out for who stands before a door that does not open: another room, free; or whom to call."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud_api.access import other_room
from cloud_api.kit.actor import System
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import service as orders
from cloud_api.stores import service as stores
from cloud_api.web.pages import CUSTOMER_EVENTS, Visit, page, visit
from cloud_api.web.view_models.other_room import FreeRoom, OtherRoomPage

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]


@router.get("/orders/{order_id}/other-room")
async def choose(seen: Seen, order_id: str) -> Response:
    """The rooms that may be had instead, or why none."""
    async with seen.cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        store = await stores.get_store(session, System(), order.store_id)
        room = await stores.get_room(session, System(), order.room_id)
        found = await other_room.choice(session, seen.customer, order, seen.cloud.clocks)
    here = seen.at_store(store)
    model = OtherRoomPage(
        order_id=order.id,
        number=order.number,
        room_name=room.name,
        begins=here.local(found.begins),
        ends=here.local(order.ends_at),
        rooms=tuple(FreeRoom(one.id, one.name, one.capacity) for one in found.rooms),
        why_not="" if found.why_not is None else _(found.why_not.message),
        phone=store.phone,
    )
    return page(here, "customer/other_room.html", model, shell=here.shell(events=CUSTOMER_EVENTS))
