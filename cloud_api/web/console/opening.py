"""The way to a store that is open: what is missing, step by step; and its wiring: boards, devices, doors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices import profiles, wiring
from cloud_api.devices.models import Binding, Board
from cloud_api.devices.status import StoreStatusView
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.i18n import gettext as _
from cloud_api.payments.models import ProviderAccount
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import DEVICE_ENROL, STORE_EDIT
from cloud_api.stores.models import Door, Room, Store
from cloud_api.stores.service import doors_of, rooms_of
from cloud_api.web import room_days
from cloud_api.web.console.frame import Frame, NoStore, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.opening import BoardCard, OpeningPage, Step, WireRow, WiringPage
from cloud_api.web.view_models.prices import Pick

router = APIRouter(prefix="/console", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
Short = Annotated[str, Query(max_length=64)]

CAPABILITIES = {
    "switch.set": "通电的开关",
    "lock.pulse": "门锁",
    "climate.set": "空调温度",
    "speaker.say": "语音",
    "door.contact": "门磁",
    "input.code": "扫码器",
    "input.card": "读卡器",
    "presence": "有人没人",
    "hazard": "烟感、火警",
    "power.w": "功率",
    "energy.wh": "电量",
    "lock.state": "锁的状态",
    "light.scene": "灯光场景",
}
ROLES = {
    "table": "麻将机",
    "light": "灯",
    "ac": "空调",
    "fan": "新风、风扇",
    "sign": "招牌",
    "other": "别的",
    "lock": "门锁",
    "speaker": "语音",
    "contact": "门磁",
    "reader": "读码、读卡",
    "presence": "有人没人",
    "hazard": "烟感、火警",
    "meter": "电表",
}


@router.get("/opening")
async def opening(seen: Seen, who: Who, store: Short = "") -> Response:
    """What a store needs before it opens, and what of it is missing. Needs store.edit."""
    who.need(STORE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        if not frame.stores:
            first = OpeningPage("", "", (), (), can_enrol=False, can_add=who.store_ids is None)
            return console_page(
                seen.at(frame.tz), who, frame, "console/opening.html", first, here="opening"
            )
        shop = _shop(frame, store)
        steps = await _steps(session, seen, who, shop)
    model = OpeningPage(
        store_id=shop.id,
        store_name=shop.name,
        stores=_picks(frame, shop, "/console/opening"),
        steps=steps,
        can_enrol=DEVICE_ENROL in who.permissions,
        can_add=who.store_ids is None,
        site=seen.cloud.settings.public_url.rstrip("/"),
    )
    here = seen.at(shop.tz)
    return console_page(here, who, frame, "console/opening.html", model, here="opening")


@router.get("/wiring")
async def all_wires(seen: Seen, who: Who, store: Short = "") -> Response:
    """Boards, what hangs on them, and doors. Needs store.edit."""
    who.need(STORE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        shop = _shop(frame, store)
        rooms = await rooms_of(session, who, shop.id)
        boards = await wiring.boards_of(session, who, shop.id)
        wires = await wiring.bindings_of(session, who, shop.id)
        doors = await doors_of(session, who, shop.id)
        status = (await room_days.statuses(session, [shop], seen.cloud.clocks))[shop.id]
    names = {room.id: room.name for room in rooms}
    model = WiringPage(
        store_id=shop.id,
        store_name=shop.name,
        stores=_picks(frame, shop, "/console/wiring"),
        boards=tuple(
            BoardCard(
                id=board.id,
                name=board.name,
                model=profiles.name_of(board.profile),
                where=_("{port} · 地址 {unit}").format(
                    port=board.port, unit=board.params.get("unit_id", "–")
                ),
                state=_state(status, board.id)[0],
                tone=_state(status, board.id)[1],
                wires=tuple(_wire(one, names) for one in wires if one.board_id == board.id),
                uses=_uses(board.profile, [one for one in wires if one.board_id == board.id]),
            )
            for board in boards
        ),
        profiles=tuple(profiles.choices()),
        rooms=tuple((room.id, room.name) for room in rooms),
        doors=tuple((door.name, _door_line(door, wires, names)) for door in doors),
        locks=tuple((one.id, one.name) for one in wires if one.capability == "lock.pulse"),
        roles=tuple((key, _(text)) for key, text in ROLES.items()),
    )
    here = seen.at(shop.tz)
    return console_page(here, who, frame, "console/wiring.html", model, here="wiring")


def _shop(frame: Frame, store: str) -> Store:
    if not frame.stores:
        raise NoStore
    return next((one for one in frame.stores if one.id == store), frame.stores[0])


def _picks(frame: Frame, shop: Store, path: str) -> tuple[Pick, ...]:
    return tuple(Pick(s.name, f"{path}?store={s.id}", s.id == shop.id) for s in frame.stores)


def _state(status: StoreStatusView, board_id: str) -> tuple[str, str]:
    said = status.boards.get(board_id)
    if said == "online":
        return _("在线"), "is-free"
    if said is None:
        return _("门店还没说到它"), "is-offline"
    return _("没有回应"), "is-overtime"


def _wire(one: Binding, names: dict[str, str]) -> WireRow:
    rooms = [str(room) for room in one.rooms]
    what = _(CAPABILITIES.get(one.capability, one.capability))
    if one.channel is not None:
        what = _("第 {n} 路 · {what}").format(n=one.channel, what=what)
    return WireRow(
        one.id,
        one.name,
        what,
        "、".join(names[room] for room in rooms if room in names),
        f"/console/rooms/{rooms[0]}" if rooms and rooms[0] in names else "",
    )


def _uses(profile: str, wires: Sequence[Binding]) -> tuple[tuple[str, str], ...]:
    taken = {(one.capability, one.channel) for one in wires}
    found = []
    for capability, channels in profiles.uses(profile).items():
        for channel in channels:
            if (capability, channel) in taken:
                continue
            text = _(CAPABILITIES.get(capability, capability))
            if channel is not None:
                text = _("第 {n} 路 · {what}").format(n=channel, what=text)
            found.append((f"{capability}:{channel or ''}", text))
    return tuple(found)


def _door_line(door: Door, wires: Sequence[Binding], names: dict[str, str]) -> str:
    lock = next((one.name for one in wires if one.id == door.lock_binding_id), "")
    rooms = "、".join(names[str(room)] for room in door.rooms if str(room) in names)
    return f"{rooms} · {lock or _('没有装锁')}"


async def _steps(session: AsyncSession, seen: Visit, who: Staff, shop: Store) -> tuple[Step, ...]:
    rooms = await rooms_of(session, who, shop.id)
    boards = await wiring.boards_of(session, who, shop.id)
    wires = await wiring.bindings_of(session, who, shop.id)
    doors = await doors_of(session, who, shop.id)
    prices = await room_days.prices(session, rooms)
    status = (await room_days.statuses(session, [shop], seen.cloud.clocks))[shop.id]
    accounts = scoped(who, ProviderAccount).where(
        (col(ProviderAccount.store_id) == shop.id) | col(ProviderAccount.store_id).is_(None)
    )
    paid = [one for one in (await session.exec(accounts)).all() if one.enabled]
    at = f"?store={shop.id}"
    unsaid = tuple(
        _("还没写{what}").format(what=name)
        for name, value in ((_("地址"), shop.address), (_("电话"), shop.phone))
        if not value
    )
    away = _("现在断网") if status.reported_at is not None else _("还没接上")
    return (
        Step(1, _("门店资料"), _("店名、地址、电话，客人要找得到你"), unsaid,
             f"/console/house{at}", _("去填")),
        Step(2, _("包间"), _("名字、几个人、有什么"), () if rooms else (_("一间都还没有"),),
             f"/console/house{at}" if rooms else f"/console/house/stores/{shop.id}/rooms/new",
             _("加包间")),
        Step(3, _("控制器"), _("店里那台小电脑用接入码连上来"), () if status.online else (away,),
             "/console/controllers", _("看控制器")),
        Step(4, _("设备"), _("选板子的型号，说清每一路接的是什么，再按一下试试"),
             _device_gaps(rooms, wires, boards, status), f"/console/wiring{at}", _("去接线")),
        Step(5, _("价格"), _("每间都要有价，才订得了"),
             tuple(_("{room}还没有价格").format(room=one.name) for one in rooms if one.id not in prices)
             if rooms else (_("先加包间"),),
             f"/console/prices{at}", _("定价")),
        Step(6, _("规则"), _("多早能订、取消怎么收、超时怎么算"), (),
             f"/console/booking-rules{at}", _("看规则"), optional=True),
        Step(7, _("门和门贴"), _("客人扫门上的码进门"), _door_gaps(rooms, doors),
             f"/console/stores/{shop.id}/stickers" if doors else f"/console/wiring{at}",
             _("打印门贴") if doors else _("加门")),
        Step(8, _("收款"), _("微信、支付宝或银行卡，钱进你的账户"),
             () if paid else (_("还没有收款账户"),), "/console/payments", _("接收款")),
    )  # fmt: skip


def _device_gaps(
    rooms: Sequence[Room],
    wires: Sequence[Binding],
    boards: Sequence[Board],
    status: StoreStatusView,
) -> tuple[str, ...]:
    if not boards:
        return (_("还没有板子"),)
    powered = {str(room) for one in wires if one.capability == "switch.set" for room in one.rooms}
    silent = [
        one
        for one in boards
        if status.online and status.boards.get(one.id) in {"offline", "refused"}
    ]
    return (
        *(
            _("{room}没有接通电的开关").format(room=room.name)
            for room in rooms
            if room.id not in powered
        ),
        *(_("{board}没有回应，看看线和地址").format(board=one.name) for one in silent),
    )


def _door_gaps(rooms: Sequence[Room], doors: Sequence[Door]) -> tuple[str, ...]:
    if not rooms:
        return (_("先加包间"),)
    reached = {str(room) for door in doors if door.lock_binding_id for room in door.rooms}
    return tuple(
        _("{room}没有装锁的门").format(room=room.name) for room in rooms if room.id not in reached
    )
