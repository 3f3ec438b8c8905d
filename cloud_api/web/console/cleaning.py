"""Cleaning: the board for who has others clean, big buttons for who cleans, a month's pay, the rules."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import cleaning as room_time
from cloud_api.cleaning import people, rules, service, sheet, work
from cloud_api.cleaning.models import CleaningEvent, CleaningRule, CleaningTask
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.kit.seen import mark
from cloud_api.media import service as media
from cloud_api.media.schemas import MediaOut
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import CLEANING_DO, CLEANING_MANAGE
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room, Store
from cloud_api.web import pictures, room_days, words
from cloud_api.web.console.frame import Frame, console_page, frame_of
from cloud_api.web.console.inspector import last_answers
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.cleaning import (
    CleaningBoard,
    CleaningCard,
    CleaningColumn,
    CleaningDoor,
    CleaningPhoto,
    CleaningRuleForm,
    CleaningRules,
    CleaningSheet,
    CleaningTaskPage,
    PayLine,
    PayPerson,
)

router = APIRouter(prefix="/console/cleaning", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
SOON = timedelta(minutes=30)


@router.get("")
async def board(seen: Seen, who: Who) -> Response:
    """What is to be cleaned: in columns, or one's own and the free ones. Needs cleaning.do."""
    who.need(CLEANING_DO)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        model = await _board(session, here, who, frame)
    return console_page(here, who, frame, "console/cleaning.html", model, here="cleaning")


@router.get("/sheet")
async def pay_sheet(
    seen: Seen, who: Who, month: Annotated[str, Query(max_length=10)] = ""
) -> Response:
    """A month's pay. Needs cleaning.do; a cleaner sees their own."""
    who.need(CLEANING_DO)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        here = seen.at(frame.tz)
        wanted = month or f"{here.now:%Y-%m}"
        first, after = sheet.month_of(wanted)
        found = await sheet.month(session, who, wanted, frame.tz)
    before = first - timedelta(days=1)
    path = "/console/cleaning/sheet?month="
    model = CleaningSheet(
        month=wanted,
        text=_("{y} 年 {m} 月").format(y=first.year, m=first.month),
        before_href=f"{path}{before:%Y-%m}",
        after_href="" if after > here.now.date() else f"{path}{after:%Y-%m}",
        people=tuple(_person(one) for one in found),
        csv_href=f"/api/v1/console/cleaning/sheet.csv?month={wanted}",
    )
    return console_page(here, who, frame, "console/cleaning_sheet.html", model, here="cleaning-pay")


@router.get("/rules")
async def all_rules(seen: Seen, who: Who) -> Response:
    """When each store wants its rooms cleaned. Needs cleaning.manage."""
    who.need(CLEANING_MANAGE)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        clocks = seen.cloud.clocks
        forms = tuple(
            [_form(store, await rules.rule_of(session, store, clocks)) for store in frame.stores]
        )
    here = seen.at(frame.tz)
    return console_page(
        here, who, frame, "console/cleaning_rules.html", CleaningRules(forms), here="cleaning-rules"
    )


@router.get("/tasks/{task_id}")
async def one_task(seen: Seen, who: Who, task_id: str) -> Response:
    """One task: the door, photos, done; for the house who does it and whether it is clean."""
    who.need(CLEANING_DO)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        task, events = await service.read(session, who, task_id)
        here = seen.at(frame.tz_of(task.store_id))
        model = await _task(session, here, who, frame, task, events)
    return console_page(here, who, frame, "console/cleaning_task.html", model, here="cleaning")


async def _board(session: AsyncSession, seen: Visit, who: Staff, frame: Frame) -> CleaningBoard:
    tasks = await service.live(session, who)
    over = await service.ended(session, who)
    cards = await _cards(session, seen, who, frame, [*tasks, *over])
    live = [cards[task.id] for task in tasks]
    today = seen.now.replace(hour=0, minute=0, second=0, microsecond=0)
    done = [
        task
        for task in over
        if task.state == "done" and task.finished_at is not None and task.finished_at >= today
    ]
    mine = [card for card in live if card.mine]
    free = tuple(card for card in live if card.state == "open")
    if CLEANING_MANAGE not in who.permissions:
        return CleaningBoard(
            mine=tuple(sorted(mine, key=lambda card: card.state != "cleaning")),
            free=free,
            done_today=len(done),
            earned_fen=sum(task.pay_fen for task in done),
        )
    found = await room_days.rooms_of_all(session, who, frame.stores)
    names = {store.id: store.name for store in frame.stores}
    many = len(frame.stores) > 1
    return CleaningBoard(
        columns=tuple(
            CleaningColumn(key, text, tuple(c for c in chosen if c.state in states), empty)
            for key, text, states, chosen, empty in (
                ("wait", _("待做"), ("open", "taken", "rejected"), live, _("没有要打扫的房间")),
                ("now", _("进行中"), ("cleaning",), live, _("现在没有人在打扫")),
                ("check", _("待验"), ("to_check",), live, _("没有等验收的")),
                (
                    "done",
                    _("今天完成"),
                    ("done",),
                    [cards[t.id] for t in done],
                    _("今天还没有完成的"),
                ),
            )
        ),
        done_today=len(done),
        earned_fen=sum(task.pay_fen for task in done),
        rooms=tuple(
            (room.id, f"{names[room.store_id]} · {room.name}" if many else room.name)
            for room in found
        ),
        people=await _people(session, who),
    )


async def _people(
    session: AsyncSession, who: Staff, store_id: str = ""
) -> tuple[tuple[str, str], ...]:
    found = await people.cleaners(session, who.merchant_id)
    return tuple(
        (one.id, one.name) for one in found if not store_id or people.works_at(one, store_id)
    )


async def _cards(
    session: AsyncSession, seen: Visit, who: Staff, frame: Frame, tasks: list[CleaningTask]
) -> dict[str, CleaningCard]:
    """By task id; a fixed number of queries."""
    ids = {task.room_id for task in tasks}
    rooms = {
        room.id: room
        for room in (await session.exec(scoped(who, Room).where(col(Room.id).in_(ids)))).all()
    }
    shots = await pictures.covers(session, frame.stores)
    coming = await room_time.next_arrivals(session, sorted(ids), seen.cloud.clocks.now)
    staff = await people.names(session, who.merchant_id)
    names = {store.id: store.name for store in frame.stores}
    made = {}
    for task in tasks:
        room = rooms[task.room_id]
        zone = seen.at(frame.tz_of(task.store_id))
        arrival = coming.get(room.id) if task.state not in ("done", "cancelled") else None
        due, hot = "", False
        if arrival is not None:
            at = zone.local(arrival)
            hot = arrival - seen.cloud.clocks.now < SOON
            due = _("{t} 有客人到").format(t=words.moment(at, zone.now))
        made[task.id] = CleaningCard(
            id=task.id,
            href=f"/console/cleaning/tasks/{task.id}",
            room=room.name,
            store=names.get(task.store_id, ""),
            art=words.art(room),
            photo_url=shots.get(room.id, ""),
            state=task.state,
            word=_(STATES[task.state]),
            who=staff.get(task.staff_id or "", ""),
            since=zone.local(task.finished_at or task.started_at or task.created_at),
            due=due,
            hot=hot,
            note=task.note,
            why=_(task.why) if task.state in ("rejected", "cancelled") else "",
            pay_fen=task.pay_fen,
            mine=task.staff_id == who.staff_id,
        )
    return made


STATES = {
    "open": "等人接",
    "taken": "已接",
    "cleaning": "打扫中",
    "to_check": "等验收",
    "rejected": "要返工",
    "done": "完成",
    "cancelled": "取消了",
}


async def _task(
    session: AsyncSession,
    seen: Visit,
    who: Staff,
    frame: Frame,
    task: CleaningTask,
    events: list[CleaningEvent],
) -> CleaningTaskPage:
    card = (await _cards(session, seen, who, frame, [task]))[task.id]
    manage = CLEANING_MANAGE in who.permissions
    store = next(one for one in frame.stores if one.id == task.store_id)
    rule = await rules.rule_of(session, store, seen.cloud.clocks)
    mine = card.mine and task.state in work.AT_IT
    doors = []
    if mine:
        found = await stores.doors_of(session, who, store.id)
        found = [door for door in found if task.room_id in door.rooms and door.lock_binding_id]
        found.sort(key=lambda door: door.kind == "room")  # the way in: the entrance, then the room
        last = await last_answers(session, seen, who, found, since=task.created_at)
        doors = [CleaningDoor(door.id, door.name, last.get(door.id)) for door in found]
    status = (await room_days.statuses(session, [store], seen.cloud.clocks))[store.id]
    staff = await people.names(session, who.merchant_id)
    waits = task.state in ("open", "taken", "rejected")
    return CleaningTaskPage(
        card=card,
        doors=tuple(doors),
        photos=tuple(
            CleaningPhoto(told.src, told.src)
            for told in map(MediaOut.of, await media.of_subject(session, f"cleaning:{task.id}"))
        ),
        photos_wanted=rule.photos,
        photo_mb=seen.cloud.settings.photo_mb,
        happened=tuple(_happened(seen, event, staff) for event in events),
        people=await _people(session, who, store.id) if manage else (),
        store_online=status.online,
        guests_in=mine
        and task.state != "cleaning"
        and await room_time.guests_in(session, task.room_id, seen.cloud.clocks.now),
        can_grab=task.state == "open",
        can_work=mine,
        can_assign=manage and (waits or task.state == "cleaning"),
        can_check=manage and task.state in ("to_check", "rejected"),
        can_call_off=manage and (waits or task.state == "cleaning"),
    )


def _happened(seen: Visit, event: CleaningEvent, staff: dict[str, str]) -> tuple[str, str, str]:
    kind, _sep, key = event.by.partition(":")
    by = staff.get(key, "") if kind == "staff" else _("系统")
    text = _(HAPPENED.get((event.was, event.now), STATES[event.now]))
    if event.now == "taken" and event.why:
        return (
            words.moment(seen.local(event.at), seen.now),
            _("派给{who}").format(who=event.why),
            by,
        )
    note = " · ".join(part for part in (by, _(event.why)) if part)
    return words.moment(seen.local(event.at), seen.now), text, note


HAPPENED = {
    ("", "open"): "要打扫",
    ("open", "taken"): "接了任务",
    ("taken", "taken"): "换人",
    ("taken", "open"): "不做了，等人接",
    ("cleaning", "open"): "没做完，等人接",
    ("cleaning", "taken"): "换人",
    ("taken", "cleaning"): "开始打扫",
    ("rejected", "cleaning"): "重新打扫",
    ("cleaning", "to_check"): "打扫好了，等验收",
    ("cleaning", "done"): "打扫好了",
    ("to_check", "done"): "验收通过",
    ("to_check", "rejected"): "没通过，要返工",
}


def _person(one: sheet.Person) -> PayPerson:
    return PayPerson(
        name=one.name or _("离职的员工"),
        count=len(one.tasks),
        minutes=one.minutes,
        pay_fen=one.pay_fen,
        lines=tuple(
            PayLine(
                task.at,
                task.store,
                task.room,
                task.minutes,
                task.pay_fen,
                task.sent_back,
                f"/console/cleaning/tasks/{task.id}",
            )
            for task in reversed(one.tasks)
        ),
    )


def _form(store: Store, rule: CleaningRule) -> CleaningRuleForm:
    if not rule.after_stay:
        said = _("用完不会自己派活，要打扫时你来派")
    else:
        said = _("客人一走就派一个任务")
        if rule.least_minutes:
            said = _("用满 {n} 分钟的场次，客人一走就派一个任务").format(n=rule.least_minutes)
    if rule.pay_fen:
        said += "，" + _("做完一个 {m}").format(m=yuan(rule.pay_fen))
    if rule.check_done:
        said += "，" + _("验收过才算")
    return CleaningRuleForm(
        store_name=store.name,
        action=f"/api/v1/console/stores/{store.id}/cleaning-rule",
        after_stay=rule.after_stay,
        least_minutes=rule.least_minutes,
        minutes=rule.minutes,
        keep=rule.keep,
        check_done=rule.check_done,
        photos=rule.photos,
        pay_fen=rule.pay_fen,
        seen=mark(rules.facts_of(rule)),
        sentence=said,
    )
