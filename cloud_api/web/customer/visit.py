"""The visit: the door's one answer and the stay, from what the access rules and the store say."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import other_room
from cloud_api.access import service as access
from cloud_api.access.decide import Case
from cloud_api.access.room_control import steers
from cloud_api.access.schemas import DoorView, PassOut
from cloud_api.access.situation import door_of_room
from cloud_api.claims.booking_rules import rules_of
from cloud_api.devices import service as devices
from cloud_api.devices.models import DeviceCommand
from cloud_api.groupbuy.platform_views import ways as platform_ways
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders import leaving, offers, overtime, share
from cloud_api.orders.models import Order
from cloud_api.stores.models import Door, Room, Store
from cloud_api.web import words
from cloud_api.web.customer import sooner
from cloud_api.web.customer.fitting import fitting
from cloud_api.web.customer.readers import Reader, reader_at
from cloud_api.web.device_words import guest_devices
from cloud_api.web.pages import Visit
from cloud_api.web.rendering import hm
from cloud_api.web.room_days import room_days
from cloud_api.web.view_models import (
    DoorCase,
    DoorPage,
    RoomState,
    StayPage,
    StayPhase,
    Way,
)

_CASES = {
    Case.CLEANING: DoorCase.CLOSED,
    Case.MAINTENANCE: DoorCase.CLOSED,
    Case.OPEN: DoorCase.READY,
}
_SOON = timedelta(minutes=15)  # before the end the page warns
_NEWS = timedelta(minutes=1)  # so long a page tells what a tap came to
_STATES = {
    "free": RoomState.FREE,
    "taken": RoomState.IN_USE,
    "cleaning": RoomState.CLEANING,
    "maintenance": RoomState.MAINTENANCE,
}


async def door_page(
    session: AsyncSession,
    seen: Visit,
    token: str,
    *,
    again: bool = False,
    came: dict[str, Any] | None = None,
) -> DoorPage | None:
    """The door's answer; None when somebody has to log in first. Opens nothing.

    ``again``: a guest tries a lock that gave no answer once more. ``came``: of a tap (``came_of``).
    """
    cloud = seen.cloud
    view = await access.door_view(session, seen.who, token, cloud.clocks, cloud.settings.data_dir)
    if view.case is Case.LOGIN:
        return None
    here = seen.at(view.store.tz)
    case = _CASES.get(view.case) or DoorCase(view.case.value)
    again = again and case is DoorCase.LOCK_DEAD
    return DoorPage(
        case=DoorCase.READY if again else case,
        told=view.case.value,
        token=token,
        door_name=view.door.name,
        store_name=view.store.name,
        back_href=f"/orders/{view.order_id}" if view.order_id else f"/s/{view.store.id}",
        life_s=view.life_s,
        **_times(here, view),
        **await _room(session, here, view),
        **await _words(session, here, view, token, again=again),
        **(came or {}),
    )


async def came_of(seen: Visit, door_id: str, command_id: str) -> dict[str, Any]:
    """What one's own tap came to, for as long as that is news: ``tapped`` and ``said`` of the page.

    Who tapped hears an answer before it is written (devices/commands.py), so the row is waited for; no
    longer than the command lives.
    """
    if not command_id or not isinstance(seen.who, Customer):
        return {}
    cloud = seen.cloud
    query = scoped(System(), DeviceCommand).where(
        col(DeviceCommand.id) == command_id,
        col(DeviceCommand.target) == door_id,
        col(DeviceCommand.by) == seen.who.ref,
        col(DeviceCommand.created_at) > cloud.clocks.real - _NEWS,
    )
    async with cloud.db.read() as session:
        command = (await session.exec(query)).one_or_none()
    if command is None:
        return {}
    found = await devices.wait_for(cloud, command.id)
    shown = {"done": "open", "unknown": "unknown"}.get(found["state"], "failed")
    return {"tapped": shown, "said": found["message"]}


def _times(here: Visit, view: DoorView) -> dict[str, Any]:
    def at(instant: datetime | None) -> datetime | None:
        return None if instant is None else here.local(instant)

    until = {Case.EARLY: view.opens_at, Case.UNPAID: view.held_until}.get(view.case)
    return {
        "starts_at": at(view.starts_at),
        "ends_at": at(view.ends_at),
        "until": at(until),
        "valid_from": at(view.opens_at),
        "valid_until": at(view.ends_at),
    }


async def _room(session: AsyncSession, here: Visit, view: DoorView) -> dict[str, Any]:
    if view.room is None:
        return {"room_state": RoomState.CLOSED}
    state = _STATES.get(view.room.state, RoomState.IN_USE)
    if state is RoomState.IN_USE:  # somebody in it, or about to come?
        room = await session.get_one(Room, view.room.id)
        store = await session.get_one(Store, view.store.id)
        now = here.cloud.clocks.now
        state = (await room_days(session, [store], [room], now))[room.id].state
    return {
        "art": view.room.art if view.room.art in words.ARTS else "",
        "plate": view.room.name if view.door.kind == "room" else view.door.name,
        "room_state": state,
    }


async def _sooner(session: AsyncSession, here: Visit, view: DoorView) -> tuple[Way, ...]:
    order = await session.get_one(Order, view.order_id)
    if order.account_id != here.customer.account_id:  # a friend's: who booked decides
        return ()
    store = await session.get_one(Store, order.store_id)
    href = await sooner.href(session, here, order, store)
    return (Way("alarm-clock", _("提前开始"), href),) if href else ()


async def _words(
    session: AsyncSession, here: Visit, view: DoorView, token: str, *, again: bool
) -> dict[str, Any]:
    """Headline, line, the one action and the ways beside it, by case."""
    call = Way("phone", _("打给店家"), f"tel:{_dial(view.store.phone)}")
    order = Way("receipt-text", _("看订单"), f"/orders/{view.order_id}")
    ways = (order, call) if view.order_id else (call,)
    match view.case:
        case Case.READY:
            longer = Way("plus", _("续时"), f"/orders/{view.order_id}/extend")
            other = ""
            if view.order_id and view.door.kind == "room":
                other = f"{order.href}/other-room"
            return {"headline": "", "ways": (longer, *ways), "other_href": other}
        case Case.OPEN:
            return {"headline": _("现在谁都可以进"), "ways": (call,)}
        case Case.EARLY:
            early = await _sooner(session, here, view)
            return {"ways": (*early, *ways)}
        case Case.OTHER_ROOM:
            right = view.right_room
            name = right.name if right else ""
            return {
                "line": _("你订的是{room}，去找写着「{door}」的门").format(
                    room=name, door=right.door_name if right else ""
                ),
                "main": Way("receipt-text", _("看我订的{room}").format(room=name), order.href),
                "ways": (call,),
            }
        case Case.UNPAID:
            return {
                "line": _("{room}给你留着，付好就能开门").format(
                    room=view.room.name if view.room else ""
                ),
                "main": Way(
                    "", _("付 {sum}").format(sum=yuan(view.due_fen or 0)), f"{order.href}/pay"
                ),
                "ways": (call,),
            }
        case Case.NONE_FREE:
            return await _none_free(session, here, view, token, call)
        case Case.NONE_TAKEN | Case.CLEANING | Case.MAINTENANCE:
            return _not_now(here, view, call, order)
        case Case.ENDED:
            ended = hm(here.local(view.ends_at)) if view.ends_at else ""
            return {
                "line": _("{time} 就结束了。东西落在里面？打给店家").format(time=ended),
                "main": call,
                "ways": (order,),
            }
        case Case.LOCK_DEAD:
            told = _lock_dead(view, call, order, token, again=again)
            return told if again else told | await _instead(session, here, view, call)
        case _:
            return await _offline(session, view, call, order)


async def _none_free(
    session: AsyncSession, here: Visit, view: DoorView, token: str, call: Way
) -> dict[str, Any]:
    room = view.room
    ways: tuple[Way, ...] = (call,)
    if room is not None and (held := await fitting(session, here, view.store.id, room.id)):
        use = Way("ticket", _("用团购券进门"), f"/me/vouchers/{held.id}?door={token}")
        ways = (use, call)
    if room is not None and await platform_ways(session, view.store.id):
        ways = (Way("scan-line", _("用平台券"), f"/platform-code?door={token}"), *ways)
    parts = []
    if view.free_until is not None:
        until = words.moment(here.local(view.free_until), here.now)
        parts.append(_("空到 {time}").format(time=until))
    if view.price_from_fen is not None:
        parts.append(_("{price}/小时起").format(price=yuan(view.price_from_fen)))
    return {
        "headline": _("{room}空着").format(room=room.name) if room else "",
        "line": _("，").join([_("你现在没有订这里"), *parts]),
        "main": Way("", _("订{room}").format(room=room.name), f"/rooms/{room.id}/book")
        if room
        else None,
        "ways": ways,
    }


def _not_now(here: Visit, view: DoorView, call: Way, order: Way) -> dict[str, Any]:
    """Taken, cleaning or in maintenance: when it is free, and which other room is."""
    lines = []
    if view.order_id and view.starts_at and view.case is not Case.NONE_TAKEN:
        lines.append(_("你的时段 {time} 开始").format(time=hm(here.local(view.starts_at))))
    elif view.busy_until is not None and view.case is Case.CLEANING:
        until = words.moment(here.local(view.busy_until), here.now)
        lines.append(_("{time} 后可以用").format(time=until))
    if not view.order_id:
        if view.other_rooms:
            names = _("、").join(room.name for room in view.other_rooms)
            lines.append(_("{rooms}现在空着").format(rooms=names))
        else:
            lines.append(_("别的房间现在也没有空的"))
    heads = {
        Case.NONE_TAKEN: _("你现在没有订这里，这间别人订了"),
        Case.CLEANING: _("正在保洁"),
        Case.MAINTENANCE: _("这间在维护，暂时不能用"),
    }
    main: Way | None = Way("", _("看这家店"), f"/s/{view.store.id}")
    if view.order_id:
        main = order
    elif view.other_rooms:
        other = view.other_rooms[0]
        main = Way("", _("订{room}").format(room=other.name), f"/rooms/{other.id}/book")
    ways: tuple[Way, ...] = (call,)
    if view.case is Case.NONE_TAKEN and view.room is not None:
        wait = Way("hourglass", _("空出来叫我"), f"/rooms/{view.room.id}/wait")
        ways = (wait, call)
    return {
        "headline": heads[view.case],
        "line": _("，").join(lines),
        "main": main,
        "ways": ways,
    }


async def _instead(session: AsyncSession, here: Visit, view: DoorView, call: Way) -> dict[str, Any]:
    """Another room for who cannot get into theirs; the store's number goes beside it."""
    if not view.order_id or view.door.kind != "room":
        return {}
    booked = await session.get_one(Order, view.order_id)
    found = await other_room.choice(session, here.customer, booked, here.cloud.clocks)
    if not found.rooms:
        return {}
    href = f"/orders/{view.order_id}/other-room"
    again = Way("refresh-cw", _("再试一次"), f"/d/{here.request.path_params['token']}?again=1")
    return {
        "line": _("可以免费换一间，差价不用补"),
        "main": Way("", _("免费换到{room}").format(room=found.rooms[0].name), href),
        "ways": (again, call),
    }


def _lock_dead(view: DoorView, call: Way, order: Way, token: str, *, again: bool) -> dict[str, Any]:
    """The guest may try again: if we are wrong about the lock, the door opens."""
    if again:
        return {
            "headline": _("再试一次"),
            "line": _("门锁刚才没有反应。还是打不开，就打给店家"),
            "ways": (order, call),
        }
    free = _("、").join(room.name for room in view.other_rooms)
    line = _("打给店家，他们能帮你开门或换一间")
    if free:
        line = _("打给店家，他们能帮你开门，或换到空着的{rooms}").format(rooms=free)
    return {
        "line": line,
        "main": call,
        "ways": (Way("refresh-cw", _("再试一次"), f"/d/{token}?again=1"), order),
    }


async def _offline(session: AsyncSession, view: DoorView, call: Way, order: Way) -> dict[str, Any]:
    """Without network only a reader at the door opens; where there is none, say so."""
    reader = await reader_at(session, await session.get(Door, view.door.id))
    if reader.passes and view.order_id and view.pass_:
        return {
            "qr_svg_url": f"/orders/{view.order_id}/pass.svg",
            "pin": (view.pin or "") if reader.pins else "",
            "ways": (order, call),
        }
    return {
        "headline": _("门店暂时断网，门现在开不了"),
        "line": _("恢复后马上能开，这一页会自己更新。着急就打给店家"),
        "main": call,
        "ways": (order,),
    }


def _dial(phone: str) -> str:
    return "".join(c for c in phone if c.isdigit() or c == "+")


def pass_page(here: Visit, made: PassOut, store: Store, reader: Reader) -> DoorPage:
    """The pass while the network is there: the same card as at a door without it."""
    return DoorPage(
        case=DoorCase.STORE_OFFLINE,
        token="",
        door_name=_("通行码"),
        store_name=store.name,
        headline=_("手机没网也能进"),
        line=_("存一张截图不行，码会过期；没网时输 6 位数字")
        if reader.pins
        else _("存一张截图不行，码会过期；到店前打开这一页"),
        qr_svg_url=f"/orders/{made.order_id}/pass.svg",
        pin=made.pin if reader.pins else "",
        valid_from=here.local(made.opens_at),
        valid_until=here.local(made.expires),
        ways=(
            Way("receipt-text", _("看订单"), f"/orders/{made.order_id}"),
            Way("phone", _("打给店家"), f"tel:{_dial(store.phone)}"),
        ),
        back_href=f"/orders/{made.order_id}",
    )


async def _ending(
    session: AsyncSession, seen: Visit, order: Order, store: Store, phase: StayPhase
) -> dict[str, Any]:
    """Until when more time can be had, and the warning in the last minutes."""
    if order.finished_early or phase is not StayPhase.RUNNING:
        return {}
    rules = await rules_of(session, store, order.room_id)
    free = await offers.free_minutes(session, order, rules)
    step = timedelta(minutes=rules.extend_step_minutes)
    most = None if free is None else order.ends_at + timedelta(minutes=free)
    told: dict[str, Any] = {"extend_to": None if most is None else seen.local(most)}
    left = order.ends_at - seen.cloud.clocks.now
    if left > _SOON:
        return told
    minutes = max(1, -(-left // timedelta(minutes=1)))
    if most is not None and most - order.ends_at < step:
        told["warning"] = _("还有 {n} 分钟。{time} 有人接着用，这间续不了了").format(
            n=minutes, time=hm(seen.local(most))
        )
    elif most is not None:
        told["warning"] = _("还有 {n} 分钟，要续时吗？最多到 {time}").format(
            n=minutes, time=hm(seen.local(most))
        )
    else:
        told["warning"] = _("还有 {n} 分钟，要续时吗？").format(n=minutes)
    return told


async def stay_page(
    session: AsyncSession,
    seen: Visit,
    order: Order,
    store: Store,
    came: dict[str, Any] | None = None,
) -> StayPage:
    """The running stay. ``seen`` is in the store's zone; ``came``: of came_of. Raises NotFound without a door."""
    room = await session.get_one(Room, order.room_id)
    door = await door_of_room(session, store.id, room.id)
    if door is None:
        raise NotFound("door", "这间还没有装门锁，请联系店家")
    status = await devices.get_status(session, System(), store.id, seen.cloud.clocks.real)
    bindings = await devices.bindings_of(session, System(), store.id)
    mine = [b for b in bindings if steers(b, room.id)]
    boards = await devices.boards_of(session, System(), store.id)
    grace_ends = order.ends_at + timedelta(seconds=store.grace_s)
    now = seen.cloud.clocks.now
    phase = StayPhase.RUNNING
    if now >= order.ends_at:
        phase = StayPhase.GRACE if now < grace_ends else StayPhase.OVERTIME
    return StayPage(
        order_id=order.id,
        room_name=room.name,
        store_name=store.name,
        phase=phase,
        starts_at=seen.local(order.starts_at),
        ends_at=seen.local(order.ends_at),
        grace_ends_at=seen.local(grace_ends),
        door_token=door.token,
        order_href=f"/orders/{order.id}",
        devices=guest_devices(
            seen,
            mine,
            {board.id: board.profile for board in boards},
            status,
            order.id,
            may_steer=status.online and not order.finished_early,
        ),
        **await _ending(session, seen, order, store, phase),
        phone=_dial(store.phone),
        wifi=(store.wifi_name, store.wifi_password or "")
        if store.wifi_name and order.status == "in_use"
        else None,
        overtime_fen=await overtime.so_far(session, store, order, now),
        store_online=status.online,
        finishing=order.finished_early,
        extend_href="" if order.finished_early else f"/orders/{order.id}/extend",
        friends=len(await share.friends_of(session, order.id)),
        friends_most=await share.most_of(session, store, order),
        finish_back_fen=await leaving.early_back(session, order, now),
        speaks=any(b.capability == "speaker.say" and room.id in b.rooms for b in bindings),
        **(came or {}),
    )
