"""My vouchers: the list, one with its code, and a present on its way to a friend."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.status import get_status
from cloud_api.groupbuy import desk, redeem, views
from cloud_api.groupbuy import routes as api
from cloud_api.groupbuy.models import GroupOrder
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.crypto import vault
from cloud_api.kit.i18n import gettext as _
from cloud_api.payments.dispatch import ref_of
from cloud_api.stores import service as stores
from cloud_api.stores.models import Door, Room, Store
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Voucher
from cloud_api.web import qr, words
from cloud_api.web.customer.groupbuy import localised
from cloud_api.web.customer.readers import readers_at
from cloud_api.web.pages import Visit, page, svg, visit
from cloud_api.web.view_models.groupbuy import GiftPage, VoucherPage, VoucherRoom, VouchersPage

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
LOOKS: Final = {  # what a voucher's chip is: surface, icon
    "issued": ("is-free", "ticket"),
    "redeemed": ("is-in_use", "badge-check"),
    "expired": ("is-done", "clock"),
    "refunding": ("is-grace", "undo-2"),
    "refunded": ("is-done", "undo-2"),
}
_FORMING: Final = ("pending_payment", "paid")
_FURTHEST: Final = timedelta(days=60)


@router.get("/me/vouchers")
async def my_vouchers(seen: Seen, cursor: Annotated[str, Query(max_length=300)] = "") -> Response:
    """One's vouchers, and what is on its way to become one."""
    told = await api.my_vouchers(seen.request, seen.customer, cursor or None, 20)
    forming = []
    if not cursor:
        orders = await api.list_orders(seen.request, seen.customer, None, 20)
        forming = [one for one in orders.items if one.status in _FORMING]
    following = told.next_cursor
    model = VouchersPage(
        tuple(localised(seen, one) for one in told.items),
        tuple(localised(seen, one) for one in forming),
        more_href=f"/me/vouchers?cursor={following}" if following else "",
    )
    return page(seen, "customer/vouchers.html", model, shell=seen.shell(), looks=LOOKS)


@router.get("/me/vouchers/{voucher_id}")
async def my_voucher(
    seen: Seen, voucher_id: str, door: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """One voucher; ``door``: one stands at this door and may go in with it."""
    told = await api.my_voucher(voucher_id, seen.request, seen.customer)
    async with seen.cloud.db.read() as session:
        found = await vouchers.get(session, seen.customer, voucher_id)
        here = seen.at_store(await _place(session, found))
        rooms: tuple[VoucherRoom, ...] = ()
        at_door = None
        if found.state == "issued":
            rooms = await _rooms(session, here, found)
            at_door = await _at_door(session, door, rooms) if door else None
        scanner, online = await _scanners(session, here, found)
        told_use = (await redeem.used(session, found)).message if told.redeemed_at else ""
        order = await session.get_one(GroupOrder, ref_of(found.source))
    last = min(found.valid_until - timedelta(minutes=1), here.now + _FURTHEST)
    model = VoucherPage(
        one=localised(here, told),
        tone=LOOKS[found.state][0],
        icon=LOOKS[found.state][1],
        length=words.hours(found.minutes),
        used=told_use,
        order_href=f"/orders/{told.order_id}" if told.order_id else "",
        rooms=rooms,
        first_day=f"{here.now:%Y-%m-%dT%H:%M}",
        last_day=f"{here.local(last):%Y-%m-%dT%H:%M}",
        door_room=at_door,
        door_href=f"/d/{door}" if at_door is not None else "",
        scanner=scanner,
        offline=scanner and not online,
        may_return=found.state == "issued"
        and order.account_id == seen.customer.account_id
        and found.refundable,
    )
    return page(here, "customer/voucher.html", model, shell=here.shell())


@router.get("/me/vouchers/{voucher_id}/code.svg")
async def voucher_code(seen: Seen, voucher_id: str) -> Response:
    """The voucher's QR of this minute."""
    told = await api.my_voucher(voucher_id, seen.request, seen.customer)
    return svg(qr.svg(told.qr))


@router.get("/gifts/{token}")
async def gift(seen: Seen, token: str) -> Response:
    """A present: what it is, and the way to take it."""
    async with seen.cloud.db.read() as session:
        query = scoped(System(), Voucher).where(
            col(Voucher.gift_hash) == vault().hash_token(f"gift:{token}"),
            col(Voucher.state) == "issued",
            col(Voucher.valid_until) > seen.cloud.clocks.now,
        )
        found = (await session.exec(query)).first()
        if found is None:
            return page(seen, "customer/gift.html", GiftPage(token, gone=True), shell=seen.shell())
        here = seen.at_store(await _place(session, found))
        (told,) = await views.vouchers(session, [found])
    own = isinstance(seen.who, Customer) and seen.who.account_id == found.account_id
    model = GiftPage(
        token=token,
        name=found.name,
        length=words.hours(found.minutes),
        when=told.when,
        stores=_("、").join(told.stores),
        valid_until=here.local(found.valid_until),
        own_href=f"/me/vouchers/{found.id}" if own else "",
    )
    return page(here, "customer/gift.html", model, shell=here.shell())


async def _scanners(session: AsyncSession, here: Visit, found: Voucher) -> tuple[bool, bool]:
    """Whether a door of its stores reads vouchers, and whether one of those stores is connected."""
    if found.state != "issued":
        return False, False
    query = scoped(System(), Door).where(col(Door.store_id).in_(found.store_ids))
    doors = (await session.exec(query)).all()
    readers = await readers_at(session, doors)
    places = {door.store_id for door in doors if readers[door.id].passes}
    real = here.cloud.clocks.real
    online = [(await get_status(session, System(), one, real)).online for one in sorted(places)]
    return bool(places), any(online)


async def _rooms(session: AsyncSession, here: Visit, found: Voucher) -> tuple[VoucherRoom, ...]:
    choices = await desk.rooms_for(session, here.customer, found, None, here.cloud.clocks)
    rooms = {choice.id: await session.get_one(Room, choice.id) for choice in choices}
    shops = {choice.store_id: await session.get_one(Store, choice.store_id) for choice in choices}
    return tuple(
        VoucherRoom(
            id=choice.id,
            name=choice.name,
            store_name=shops[choice.store_id].name,
            art=words.art(rooms[choice.id]),
            free=choice.fits,
            note=choice.message or "",
            offset=_offset(here, shops[choice.store_id]),
        )
        for choice in choices
        if choice.code not in ("voucher.other_room", "voucher.other_store")
    )


async def _at_door(
    session: AsyncSession, token: str, rooms: tuple[VoucherRoom, ...]
) -> VoucherRoom | None:
    door = await stores.get_door_by_token(session, System(), token)
    return next((room for room in rooms if room.id in door.rooms and room.free), None)


async def _place(session: AsyncSession, found: Voucher) -> Store:
    return await session.get_one(Store, str(found.store_ids[0]))


def _offset(here: Visit, store: Store) -> str:
    plain = here.now.astimezone(ZoneInfo(store.tz)).strftime("%z")
    return f"{plain[:3]}:{plain[3:]}"
