"""Setting a store up: facts, hours, photos, and its rooms one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from cloud_api.kit.actor import Staff
from cloud_api.kit.i18n import gettext as _
from cloud_api.media.models import Media
from cloud_api.media.schemas import picture
from cloud_api.settings import Settings
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import STORE_EDIT
from cloud_api.stores import facilities
from cloud_api.stores.manage import retired_rooms
from cloud_api.stores.models import Room, Store
from cloud_api.stores.service import get_room, get_store, rooms_of
from cloud_api.web import pictures, words
from cloud_api.web.console.frame import NoStore, console_page, frame_of
from cloud_api.web.console.prices import WEEK
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.house import (
    HousePage,
    RoomFormPage,
    RoomRow,
    Shot,
    SpecialDayRow,
    Weekday,
)
from cloud_api.web.view_models.prices import Pick

router = APIRouter(prefix="/console/house", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
Short = Annotated[str, Query(max_length=64)]

ARTS = (
    ("room-moon-bamboo", "月洞门与竹"),
    ("room-plum-branch", "梅枝"),
    ("room-tea-lattice", "茶室花格"),
    ("room-scroll", "画轴"),
    ("room-round-window", "圆窗"),
    ("room-arch-vase", "拱门与瓶"),
    ("room-city-window", "城市窗景"),
)
_SELLING = {"bookable": "可以预订", "walk_up": "只接到店", "off": "不对外"}


@router.get("")
async def house(seen: Seen, who: Who, store: Short = "") -> Response:
    """A store's facts and its rooms. Needs store.edit."""
    who.need(STORE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        if not frame.stores:
            raise NoStore
        shop = next((one for one in frame.stores if one.id == store), frame.stores[0])
        rooms = await rooms_of(session, who, shop.id)
        gone = await retired_rooms(session, who, shop.id)
        shots = await pictures.of(session, [shop])
    settings = seen.cloud.settings
    model = HousePage(
        store_id=shop.id,
        stores=tuple(
            Pick(one.name, f"/console/house?store={one.id}", one.id == shop.id)
            for one in frame.stores
        ),
        facts=_facts(shop),
        hours=tuple(_weekday(shop, day) for day in range(7)),
        special=tuple(
            SpecialDayRow(day, _special(one)) for day, one in sorted((shop.days or {}).items())
        ),
        shots=_shots(shots.get(shop.id, [])),
        rooms=tuple(_row(room, shots.get(room.id, [])) for room in rooms),
        retired=tuple((room.id, room.name) for room in gone),
        can_edit=True,
        video_mb=settings.video_mb,
        photo_mb=settings.photo_mb,
    )
    here = seen.at(shop.tz)
    return console_page(here, who, frame, "console/house.html", model, here="house")


@router.get("/stores/{store_id}/rooms/new")
async def new_room(seen: Seen, who: Who, store_id: str) -> Response:
    """A form for a new room."""
    who.need(STORE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        shop = await get_store(session, who, store_id)
    model = _form(shop, None, [], seen.cloud.settings)
    return console_page(seen.at(shop.tz), who, frame, "console/room_form.html", model, here="house")


@router.get("/rooms/{room_id}")
async def one_room(seen: Seen, who: Who, room_id: str) -> Response:
    """A room's facts and photos."""
    who.need(STORE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        room = await get_room(session, who, room_id)
        shop = await get_store(session, who, room.store_id)
        shots = (await pictures.of(session, [shop])).get(room.id, [])
    model = _form(shop, room, shots, seen.cloud.settings)
    return console_page(seen.at(shop.tz), who, frame, "console/room_form.html", model, here="house")


def _form(
    shop: Store, room: Room | None, shots: Sequence[Media], settings: Settings
) -> RoomFormPage:
    values = {
        "name": room.name if room else "",
        "capacity": str(room.capacity if room else 4),
        "area_m2": str(room.area_m2 if room else 20),
        "style": room.style if room else "",
        "kind": room.kind if room else "",
        "art": room.art if room else ARTS[0][0],
        "about": room.about if room else "",
        "selling": room.selling if room else "bookable",
        "tags": "、".join(map(str, room.tags)) if room else "",
        "facilities": "、".join(map(str, room.facilities)) if room else "",
    }
    things = tuple(
        (str(t.get("kind", "other")), str(t.get("brand", "")), str(t.get("model", "")))
        for t in (room.equipment if room else ())
    )
    return RoomFormPage(
        id=room.id if room else "",
        store_id=shop.id,
        store_name=shop.name,
        action=f"/api/v1/console/rooms/{room.id}"
        if room
        else f"/api/v1/console/stores/{shop.id}/rooms",
        values=values,
        equipment=things or (("table", "", ""),),
        kinds=tuple((kind, _(facilities.WORDS[kind])) for kind in facilities.KINDS),
        arts=tuple((art, _(name)) for art, name in ARTS),
        shots=_shots(shots),
        retired=room is not None and room.retired_at is not None,
        can_edit=True,
        video_mb=settings.video_mb,
        photo_mb=settings.photo_mb,
    )


def _facts(shop: Store) -> dict[str, str]:
    texts = ("name", "address", "phone", "contact", "about", "notice", "wifi_name", "holidays")
    facts = {name: str(getattr(shop, name)) for name in texts}
    facts["wifi_password"] = shop.wifi_password or ""
    facts["lat"] = "" if shop.lat is None else f"{shop.lat:.6f}"
    facts["lon"] = "" if shop.lon is None else f"{shop.lon:.6f}"
    return facts


def _weekday(shop: Store, day: int) -> Weekday:
    if shop.hours is not None:
        spans = tuple((str(a), str(b)) for a, b in shop.hours[day])
        return Weekday(_(WEEK[day]), not spans, spans)
    if shop.opens is None or shop.closes is None:
        return Weekday(_(WEEK[day]), False, (("00:00", "00:00"),))
    return Weekday(_(WEEK[day]), False, ((shop.opens, shop.closes),))


def _special(one: dict[str, object]) -> str:
    sold = {"holiday": _("按节假日卖"), "workday": _("按工作日卖"), "plain": _("按平常卖")}
    hours = one.get("hours")
    told = [str(one.get("name", ""))]
    if isinstance(hours, list):
        told.append("、".join(f"{a}–{b}" for a, b in hours) or _("休息"))
    told.append(sold.get(str(one.get("as", "")), ""))
    return " · ".join(text for text in told if text)


def _row(room: Room, shots: Sequence[Media]) -> RoomRow:
    facts = [room.kind, _("{n} 人").format(n=room.capacity), f"{room.area_m2} m²", room.style]
    return RoomRow(
        id=room.id,
        name=room.name,
        href=f"/console/house/rooms/{room.id}",
        facts=" · ".join(text for text in facts if text),
        picture=next((picture(one) for one in shots if one.sizes), ""),
        art=words.art(room),
        selling=_("维护")
        if room.mode == "maintenance"
        else ""
        if room.selling == "bookable"
        else _(_SELLING[room.selling]),
    )


def _shots(found: Sequence[Media]) -> tuple[Shot, ...]:
    return tuple(Shot(one.id, picture(one), one.alt, one.kind, one.seconds) for one in found)
