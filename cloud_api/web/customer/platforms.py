"""A code bought at another platform, on the guest's phone: entered, used for a room, waited for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.booking_rules import rules_of
from cloud_api.groupbuy import platform_routes as api
from cloud_api.groupbuy import platform_views
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import kept
from cloud_api.platform_vouchers.schemas import WayOut
from cloud_api.stores.models import Door, Room, Store
from cloud_api.stores.service import get_store
from cloud_api.web.customer.groupbuy import localised
from cloud_api.web.pages import Visit, page, visit
from cloud_api.web.view_models.platforms import PlatformCodePage, PlatformUsePage

router = APIRouter(include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Word = Annotated[str, Query(max_length=64)]
_FURTHEST: Final = timedelta(days=30)
_LOOKS: Final = {
    "asked": ("is-grace", "hourglass"),
    "verifying": ("is-booked", "hourglass"),
    "unknown": ("is-grace", "hourglass"),
    "verified": ("is-booked", "hourglass"),
    "confirmed": ("is-in_use", "badge-check"),
    "cancelling": ("is-grace", "undo-2"),
    "cancelled": ("is-done", "undo-2"),
    "stuck": ("is-overtime", "circle-alert"),
    "refused": ("is-done", "circle-alert"),
    "lapsed": ("is-done", "clock"),
}


@router.get("/platform-code")
async def code(seen: Seen, store: Word = "", door: Word = "") -> Response:
    """Where a code is entered; ``door``: one stands at this door of a free room."""
    seen.need_login()
    async with seen.cloud.db.read() as session:
        room = await _at_door(session, door) if door else None
        found = await get_store(session, seen.customer, store if room is None else room.store_id)
        ways = await platform_views.ways(session, found.id)
        rules = await rules_of(session, found, None if room is None else room.id)
    here = seen.at_store(found)
    model = code_page(here, found, room, tuple(ways), f"/d/{door}" if room else f"/s/{found.id}")
    model = replace(model, cancel_words=kept.platform_words(rules))
    return page(here, "customer/platform_code.html", model, shell=here.shell())


@router.get("/platform-vouchers/{use_id}")
async def one(seen: Seen, use_id: str) -> Response:
    """How a use stands: confirmed, or what is waited for."""
    told = await api.one_use(use_id, seen.request, seen.customer)
    async with seen.cloud.db.read() as session:
        store = await session.get_one(Store, told.store_id)
    here = seen.at_store(store)
    tone, icon = _LOOKS[told.state]
    model = PlatformUsePage(
        one=localised(here, told),
        line=_line(told.state, _(told.label), told.why),
        tone=tone,
        icon=icon,
        order_href=f"/orders/{told.order_id}" if told.order_id else "",
        back_href=f"/platform-code?store={told.store_id}",
        may_withdraw=told.state == "asked",
    )
    return page(here, "customer/platform_use.html", model, shell=here.shell())


def code_page(
    here: Visit, store: Store, room: Room | None, ways: tuple[WayOut, ...], back: str
) -> PlatformCodePage:
    """The form's model, for the phone and for the desk."""
    now = here.now
    zone = f"{now:%z}"
    return PlatformCodePage(
        store_id=store.id,
        store_name=store.name,
        ways=ways,
        back_href=back,
        offset=f"{zone[:3]}:{zone[3:]}",
        first_day=f"{now:%Y-%m-%dT%H:%M}",
        last_day=f"{now + _FURTHEST:%Y-%m-%dT%H:%M}",
        room_id="" if room is None else room.id,
        room_name="" if room is None else room.name,
        door_href=back if room is not None else "",
    )


def _line(state: str, label: str, why: str) -> str:
    lines = {
        "asked": _("房间给你留着，店员正在{label}核对"),
        "verifying": _("正在{label}核销，房间给你留着"),
        "unknown": _("{label}还没有回话，房间给你留着，不用再输一次"),
        "verified": _("核销好了，正在订房"),
        "confirmed": _("房间是你的了"),
        "cancelling": _("正在把券退回{label}"),
        "cancelled": _("券退回{label}了，还能再用"),
        "stuck": _("{label}不让退回这张券，店家会处理"),
        "lapsed": _("店家没有及时确认，房间放开了，券没有动"),
        "refused": _("没有核销，房间没有占用"),
    }
    words = lines[state].format(label=label)
    return _("{line}（{why}）").format(line=words, why=why) if state == "refused" and why else words


async def _at_door(session: AsyncSession, token: str) -> Room | None:
    """The room behind a door, where it is one room's."""
    door = (await session.exec(scoped(System(), Door).where(col(Door.token) == token))).first()
    if door is None or len(door.rooms) != 1:
        return None
    return await session.get(Room, str(door.rooms[0]))
