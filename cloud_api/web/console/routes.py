"""The owner's pages; what a member of staff may not see is not read."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff import service as staff_service
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import STORE_READ
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room
from cloud_api.web import qr
from cloud_api.web.console import live, nav, stickers
from cloud_api.web.console.frame import console_page, frame_of
from cloud_api.web.customer.routes import log_out
from cloud_api.web.pages import Visit, go, local_path, page, svg, visit
from cloud_api.web.room_days import rooms_of_all
from cloud_api.web.view_models import LoginPage

router = APIRouter(prefix="/console", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]


@router.get("")
async def all_rooms(seen: Seen, who: Who) -> Response:
    """All rooms of all stores, live; who may not see rooms begins at the first page that is theirs."""
    if STORE_READ not in who.permissions and (href := nav.first(who.permissions)):
        return go(href)
    return await _live(seen, who, "console/live.html")


@router.get("/board")
async def board(seen: Seen, who: Who, room: Annotated[str, Query(max_length=64)] = "") -> Response:
    """What of the live page is refreshed as one."""
    return await _live(seen, who, "console/_board.html", current=room)


@router.get("/rooms/{room_id}")
async def one_room(
    seen: Seen, who: Who, room_id: str, part: Annotated[str, Query(max_length=20)] = ""
) -> Response:
    """The live page with a room under the glass; ``part=inspector`` gives the glass alone."""
    template = "console/_inspector.html" if part == "inspector" else "console/live.html"
    return await _live(seen, who, template, under_glass=room_id)


async def _live(
    seen: Visit, who: Staff, template: str, *, current: str = "", under_glass: str = ""
) -> Response:
    who.need(STORE_READ)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        rooms = await rooms_of_all(session, who, frame.stores)
        room = _one(rooms, under_glass) if under_glass else None
        here = seen.at(frame.tz_of(room.store_id) if room is not None else frame.tz)
        model = await live.live_page(session, here, who, frame.stores, rooms, room, current)
    return console_page(here, who, frame, template, model, here="live")


def _one(rooms: Sequence[Room], room_id: str) -> Room:
    found = next((room for room in rooms if room.id == room_id), None)
    if found is None:
        raise NotFound("room", "没有这个包间，或不归你管")
    return found


@router.get("/stickers")
async def all_stickers(seen: Seen, who: Who) -> Response:
    """The door stickers of every store one works in."""
    async with seen.cloud.db.read() as session:
        found = await stores.console_stores(session, who)
        model = await stickers.stickers_page(session, seen, who, found)
    return page(seen, "console/stickers.html", model, shell=seen.shell(person=who.name))


@router.get("/stores/{store_id}/stickers")
async def store_stickers(seen: Seen, who: Who, store_id: str) -> Response:
    """The door stickers of one store."""
    who.need(STORE_READ)
    async with seen.cloud.db.read() as session:
        found = await stores.get_store(session, who, store_id)
        model = await stickers.stickers_page(session, seen, who, [found])
    return page(seen, "console/stickers.html", model, shell=seen.shell(person=who.name))


@router.get("/stores/{store_id}/stickers.pdf")
async def stickers_pdf(
    seen: Seen,
    who: Who,
    store_id: str,
    door: Annotated[list[str] | None, Query(max_length=200)] = None,
    grid: Annotated[str, Query(max_length=10)] = "3x4",
) -> Response:
    """A store's door stickers to print and cut; ``door`` (again and again) chooses some."""
    who.need(STORE_READ)
    async with seen.cloud.db.read() as session:
        store = await stores.get_store(session, who, store_id)
        body = await stickers.sheet(session, seen, who, store, door or (), grid)
    headers = {  # the button says that it downloads; a phone would otherwise leave the page for a viewer
        "Content-Disposition": 'attachment; filename="stickers.pdf"',
        "Cache-Control": "no-store",
    }
    return Response(body, media_type="application/pdf", headers=headers)


@router.get("/doors/{door_id}/sticker.svg")
async def sticker_code(seen: Seen, who: Who, door_id: str) -> Response:
    """The QR code of a door's sticker."""
    who.need(STORE_READ)
    async with seen.cloud.db.read() as session:
        door = await stores.get_door(session, who, door_id)
    return svg(qr.svg(stickers.url_of(seen, door)))


@router.get("/login")
async def login(
    request: Request,
    seen: Seen,
    next_: Annotated[str, Query(alias="next", max_length=500)] = "/console",
) -> Response:
    """Log in as staff; leads on to ``next``, a page of the console."""
    href = local_path(next_, "/console")
    reason = ""
    if seen.account is not None:
        async with seen.cloud.db.read() as session:
            works = await staff_service.workplaces(session, seen.account.id)
        if works:
            return go(href)
        reason = _("现在登录的 {who} 不是店员，换店主给你开通的手机号").format(
            who=seen.shell().person
        )
    model = LoginPage(next_href=href, reason=reason)
    return page(seen, "console/login.html", model, shell=seen.shell())


@router.post("/logout")
async def logout(request: Request, seen: Seen) -> Response:
    """End this login at once."""
    return await log_out(request, seen, "/console/login")
