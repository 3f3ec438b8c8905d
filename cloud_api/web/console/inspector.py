"""One room under the glass: its stay, its doors with the store's last answer, its devices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import and_, literal
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import live
from cloud_api.claims.models import RoomClaim
from cloud_api.devices.commands import answer
from cloud_api.devices.models import Binding, DeviceCommand
from cloud_api.devices.status import StoreStatusView, boards_of
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.models import StaffMember
from cloud_api.staff.permissions import (
    DEVICE_CONTROL,
    DEVICE_READ,
    DOOR_OPEN_CLEANING,
    DOOR_OPEN_REMOTE,
    ROOM_MODE,
)
from cloud_api.stores import service as stores
from cloud_api.stores.models import Door, Room
from cloud_api.web import words
from cloud_api.web.console import tiles
from cloud_api.web.device_words import steered_devices
from cloud_api.web.pages import Visit
from cloud_api.web.rendering import hm, hm_end
from cloud_api.web.room_days import RoomDay
from cloud_api.web.view_models import (
    AnswerStep,
    ConsoleDoor,
    ConsoleStay,
    Inspector,
    ModeChoice,
    RoomModes,
    RoomState,
    StayPhase,
    StepState,
    StoreAnswer,
)

if TYPE_CHECKING:
    from cloud_api.web.console.live import House

_PHASES = {RoomState.GRACE: StayPhase.GRACE, RoomState.OVERTIME: StayPhase.OVERTIME}


async def inspector(
    session: AsyncSession, seen: Visit, who: Staff, house: House, room: Room
) -> Inspector:
    """``seen`` is in the zone of the room's store."""
    day = house.days[room.id]
    status = house.status[day.store.id]
    now = live.present(day, status)
    doors = [
        door for door in await stores.doors_of(session, who, day.store.id) if room.id in door.rooms
    ]
    doors.sort(key=lambda door: door.kind != "room")
    mine = [
        binding
        for binding in house.bindings
        if binding.store_id == day.store.id and room.id in binding.rooms
    ]
    shown = [b for b in mine if DEVICE_READ in who.permissions]
    boards = await boards_of(session, who, day.store.id) if shown else []
    coming = live.next_claim(day, day.running)
    # live.spoke_at, not imported: live imports this module.
    ahead = seen.cloud.clocks.now - seen.cloud.clocks.real
    return Inspector(
        room_id=room.id,
        name=room.name,
        art=words.art(room),
        state=now.state,
        meta=" · ".join(
            (day.store.name, _("{n} 人").format(n=room.capacity), f"{room.area_m2} m²")
        ),
        doors=await _doors(session, seen, who, doors, house.bindings, status),
        devices=steered_devices(
            seen,
            shown,
            {board.id: board.profile for board in boards},
            status,
            may_steer=status.online and DEVICE_CONTROL in who.permissions,
        ),
        stay=_stay(seen, house, day, now),
        next_line=_next(seen, house, coming),
        store_online=status.online,
        stale_at=None
        if status.online or status.reported_at is None
        else seen.local(status.reported_at + ahead),
        close_href="/console",
        href=f"/console/rooms/{room.id}?part=inspector",
        store_id=day.store.id,
        can_command=DOOR_OPEN_REMOTE in who.permissions,
        can_clean=room.mode == "cleaning" and DOOR_OPEN_CLEANING in who.permissions,
        modes=_modes(seen, who, room, status),
    )


def _modes(seen: Visit, who: Staff, room: Room, status: StoreStatusView) -> RoomModes:
    """``seen`` is in the zone of the room's store."""
    choices = tuple(
        ModeChoice(key, text, current=key == room.mode) for key, (text, _line) in _words().items()
    )
    line = ""
    if room.mode != "normal":
        until = room.mode_until
        time = _("一直到改回正常")
        if until is not None:
            time = _("到 {time}").format(time=words.moment(seen.local(until), seen.now))
        line = f"{time} · {room.mode_why}" if room.mode_why else time
    return RoomModes(
        url=f"/api/v1/console/rooms/{room.id}/mode",
        choices=choices,
        line=line,
        obeyed=status.modes.get(room.id, "normal") == room.mode or not status.online,
        may_set=ROOM_MODE in who.permissions,
    )


def _words() -> dict[str, tuple[str, str]]:
    return {
        "normal": (_("正常"), _("订单说了算，手动的开关不受影响")),
        "open": (_("常开"), _("谁扫门上的码都能进，电一直开着。到时间自动回到正常")),
        "cleaning": (_("保洁"), _("只开灯，保洁员能开门。有客人在用时不受影响")),
        "maintenance": (_("维护"), _("不能再订，不通电。已经订了的不动，要你去联系改期")),
    }


def mode_sheets() -> tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...]:
    """What is asked before a room's mode is changed."""
    return tuple(
        (key, _("{{name}}切到{mode}").format(mode=text), line, _lengths(key))
        for key, (text, line) in _words().items()
    )


def _lengths(mode: str) -> tuple[tuple[str, str], ...]:
    """How long a mode may be set for; its default first."""
    hours = {"open": (2, 1, 4, 8, 12), "cleaning": (1, 2, 4), "maintenance": (24, 72, 168)}
    if mode not in hours:
        return ()
    offered = tuple((str(h * 3600), words.hours(h * 60)) for h in hours[mode])
    return (("", _("修好为止")), *offered) if mode == "maintenance" else offered


def _stay(seen: Visit, house: House, day: RoomDay, now: live.Present) -> ConsoleStay | None:
    claim, order = day.running, house.order_of(day.running)
    if claim is None or order is None:
        return None
    following = live.next_claim(day, claim)
    warning = ""
    if following is not None and following.starts_at - claim.ends_at < live.NEXT_SOON:
        warning = _("{time} {who} 接着用").format(
            time=hm(seen.local(following.starts_at)), who=house.who(following)
        )
    return ConsoleStay(
        order_number=order.number,
        order_href=f"/console/orders/{order.id}",
        who=house.who(claim),
        starts_at=seen.local(claim.starts_at),
        ends_at=seen.local(claim.ends_at),
        progress=tiles.progress(claim, day.now),
        total_fen=order.total_fen,
        phase=_PHASES.get(now.state, StayPhase.RUNNING),
        warning=warning,
    )


def _next(seen: Visit, house: House, coming: RoomClaim | None) -> str:
    if coming is None:
        return _("后面一天半没有预订")
    starts = words.moment(seen.local(coming.starts_at), seen.now)
    until = hm_end(seen.local(coming.ends_at))
    who = house.who(coming)
    line = _("下一场 {start}–{end}").format(start=starts, end=until)
    unpaid = _("，还没付款") if coming.state == "held" else ""
    return f"{line}{' · ' + who if who else ''}{unpaid}"


async def _doors(
    session: AsyncSession,
    seen: Visit,
    who: Staff,
    doors: Sequence[Door],
    bindings: Sequence[Binding],
    status: StoreStatusView,
) -> tuple[ConsoleDoor, ...]:
    last = await last_answers(session, seen, who, doors)
    by_id = {binding.id: binding for binding in bindings}
    return tuple(
        ConsoleDoor(
            id=door.id,
            name=door.name,
            word=_door_word(door, by_id, status),
            last=last.get(door.id),
        )
        for door in doors
    )


async def last_answers(
    session: AsyncSession,
    seen: Visit,
    who: Staff,
    doors: Sequence[Door],
    since: datetime | None = None,
) -> dict[str, StoreAnswer]:
    """What the store answered to the newest unlock, by door; ``since`` (business time) forgets older ones."""
    last, names = await _last_commands(session, who, doors)
    ahead = seen.cloud.clocks.now - seen.cloud.clocks.real
    return {
        door_id: _answer(seen, command, names)
        for door_id, command in last.items()
        if since is None or command.created_at + ahead >= since
    }


async def _last_commands(
    session: AsyncSession, who: Staff, doors: Sequence[Door]
) -> tuple[dict[str, DeviceCommand], dict[str, str]]:
    """The newest unlock by door, and the names of staff who asked. One query."""
    query = (
        scoped(who, DeviceCommand)
        .where(
            col(DeviceCommand.target).in_([door.id for door in doors]),
            col(DeviceCommand.action) == "unlock",
        )
        .order_by(col(DeviceCommand.created_at).desc(), col(DeviceCommand.id).desc())
        .limit(20)
        .outerjoin(
            StaffMember,
            and_(
                col(DeviceCommand.by) == literal("staff:") + col(StaffMember.id),
                col(StaffMember.merchant_id) == who.merchant_id,
            ),
        )
        .add_columns(col(StaffMember.name))
    )
    found: dict[str, DeviceCommand] = {}
    names: dict[str, str] = {}
    for command, name in (await session.execute(query)).all():
        found.setdefault(command.target, command)
        if name is not None:
            names[command.by] = name
    return found, names


def _door_word(door: Door, bindings: dict[str, Binding], status: StoreStatusView) -> str:
    lock = bindings.get(door.lock_binding_id or "")
    if door.lock_binding_id is None:
        return _("没有装锁")
    if lock is None:
        return _("锁")
    if status.board_dead(lock.board_id):
        return _("锁的板子没有回应")
    contact = status.values.get(door.contact_binding_id or "")
    if contact is not None and isinstance(contact.value, bool) and contact.quality == "ok":
        return _("门开着") if contact.value else _("门关着")
    if not status.online:
        return _("门店断网")
    return _("锁在线") if status.boards.get(lock.board_id) == "online" else _("锁还没有回话")


def _answer(seen: Visit, command: DeviceCommand, names: dict[str, str]) -> StoreAnswer:
    told = answer(command)
    by = names.get(command.by, _("客人") if command.by.startswith("customer:") else _("店员"))
    ahead = seen.cloud.clocks.now - seen.cloud.clocks.real
    time = words.moment(seen.local(command.created_at + ahead), seen.now)
    line = _("{who} {time} 开门").format(who=by, time=time)
    if command.why:
        line = _("{line} · 原因：{why}").format(line=line, why=command.why)
    return StoreAnswer(_steps(command, told["message"]), line)


def _steps(command: DeviceCommand, message: str) -> tuple[AnswerStep, ...]:
    """Sent, obeyed, moved: the rows stop where it stopped, and say so."""

    def since(at: object) -> float | None:
        took = getattr(at, "timestamp", None)
        return None if took is None else round(took() - command.created_at.timestamp(), 1)

    sent = AnswerStep(_("已送到门店"), StepState.DONE, since(command.sent_at))
    obeyed = AnswerStep(_("控制器照办"), StepState.DONE, since(command.accepted_at))
    end = since(command.final_at)
    match command.state:
        case "done":
            return sent, obeyed, AnswerStep(_("锁已动作"), StepState.DONE, end)
        case "failed":
            return sent, obeyed, AnswerStep(message, StepState.FAILED, end)
        case "refused":
            return sent, AnswerStep(message, StepState.FAILED, end)
        case "expired" | "not_sent":
            return (AnswerStep(message, StepState.FAILED, end),)
        case "unknown":
            return sent, AnswerStep(message, StepState.UNKNOWN, end)
        case "accepted":
            return sent, obeyed, AnswerStep(_("锁已动作"), StepState.NOW)
        case _:
            return (AnswerStep(_("已送到门店"), StepState.NOW),)
