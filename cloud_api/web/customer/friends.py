"""Inviting friends to an order, and the page behind an invitation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from cloud_api.access.situation import door_of_room
from cloud_api.kit.actor import Customer, System
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import service as orders
from cloud_api.orders import share
from cloud_api.orders.views import phone_tails
from cloud_api.stores import service as stores
from cloud_api.web import qr, words
from cloud_api.web.pages import Visit, page, svg, visit
from cloud_api.web.view_models.friends import FriendsPage, JoinPage

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]


@router.get("/orders/{order_id}/friends")
async def friends(seen: Seen, order_id: str) -> Response:
    """The link to send on, and who came by it."""
    async with seen.cloud.db.read() as session:
        order = await orders.get_order(session, seen.customer, order_id)
        store = await stores.get_store(session, System(), order.store_id)
        room = await stores.get_room(session, System(), order.room_id)
        link = await share.link_of(session, seen.customer, order_id)
        came = await share.friends_of(session, order_id)
        tails = await phone_tails(session, {one.account_id for one in came})
        most = await share.most_of(session, store, order)
    here = seen.at_store(store)
    over = share.over(order, seen.cloud.clocks)
    live = link is not None and link.revoked_at is None and not over
    base = seen.cloud.settings.public_url.rstrip("/")
    model = FriendsPage(
        order_id=order.id,
        number=order.number,
        room_name=room.name,
        starts_at=here.local(order.starts_at),
        ends_at=here.local(order.ends_at),
        url=f"{base}/join/{link.token}" if live and link is not None else "",
        qr_href=f"/orders/{order.id}/friends.svg" if live else "",
        most=most,
        friends=tuple(
            (one.id, _("尾号 {tail}").format(tail=tails.get(one.account_id, ""))) for one in came
        ),
        over=over,
    )
    return page(here, "customer/friends.html", model, shell=here.shell())


@router.get("/orders/{order_id}/friends.svg")
async def friends_code(seen: Seen, order_id: str) -> Response:
    """The invitation as a QR code."""
    async with seen.cloud.db.read() as session:
        link = await share.link_of(session, seen.customer, order_id)
    if link is None or link.revoked_at is not None:
        raise NotFound("share")
    return svg(qr.svg(f"{seen.cloud.settings.public_url.rstrip('/')}/join/{link.token}"))


@router.get("/join/{token}")
async def invitation(seen: Seen, token: str) -> Response:
    """What one is invited to; joining needs a login and a tap."""
    seen.need_login()
    async with seen.cloud.db.read() as session:
        _link, order = await share.look(session, token)
        store = await stores.get_store(session, System(), order.store_id)
        room = await stores.get_room(session, System(), order.room_id)
        door = await door_of_room(session, store.id, room.id)
        joined = isinstance(seen.who, Customer) and await share.may_enter(
            session, seen.who.account_id, order
        )
    here = seen.at_store(store)
    model = JoinPage(
        token=token,
        store_name=store.name,
        address=store.address,
        room_name=room.name,
        art=words.art(room),
        starts_at=here.local(order.starts_at),
        ends_at=here.local(order.ends_at),
        joined=joined,
        door_href=f"/d/{door.token}" if door is not None else "/",
        over_href=f"/s/{store.id}" if share.over(order, seen.cloud.clocks) else "",
    )
    return page(here, "customer/join.html", model, shell=here.shell())
