"""What stores do by themselves: schedules, scenes, devices' own times, words, rules of entry."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices import air_defaults, schedules
from cloud_api.devices.models import Binding, Schedule
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.errors import NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.seen import mark
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import STORE_EDIT
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room, Store
from cloud_api.web.console.frame import NoStore, console_page, frame_of
from cloud_api.web.pages import Visit, visit
from cloud_api.web.view_models.running import (
    AirForm,
    DeviceTimes,
    ScenesPage,
    ScheduleForm,
    ScheduleRow,
    SchedulesPage,
    StoreHabits,
)
from store_link.rules import Scenes

router = APIRouter(prefix="/console", include_in_schema=False)
Seen = Annotated[Visit, Depends(visit)]
Who = Annotated[Staff, Depends(staff_actor)]
Word = Annotated[str, Query(max_length=64)]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun", "holiday")
_SHORT = ("一", "二", "三", "四", "五", "六", "日", "节假日")
_PHASES = (
    ("arrival", "到店前", "门能开了、人还没进来：客人走进亮着的房间"),
    ("in_use", "使用中", ""),
    ("grace", "宽限", "时间到了，收拾东西的几分钟"),
    ("after", "结束后", "人走了以后，比如留灯等保洁；桌子总是断电"),
    ("cleaning", "保洁", ""),
)


@router.get("/schedules")
async def all_schedules(seen: Seen, who: Who) -> Response:
    """What goes by the time of day. Needs store.edit."""
    who.need(STORE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        found = await schedules.of_stores(session, who, [store.id for store in frame.stores])
        names = await _names(session, who, frame.stores)
    stores_by_id = {store.id: store for store in frame.stores}
    rows = tuple(
        ScheduleRow(
            id=row.id,
            name=row.name,
            href=f"/console/schedules/{row.id}",
            store_name=stores_by_id[row.store_id].name,
            when=_when(row),
            devices=_("、").join(names[key] for key in row.bindings if key in names) or "—",
            active=row.active,
        )
        for row in found
        if row.store_id in stores_by_id
    )
    ways = tuple(
        (
            _("加一个定时")
            if len(frame.stores) == 1
            else _("给{store}加").format(store=store.name),
            f"/console/schedules/new?store={store.id}",
        )
        for store in frame.stores
    )
    here = seen.at(frame.tz)
    model = SchedulesPage(rows, ways)
    return console_page(here, who, frame, "console/schedules.html", model, here="schedules")


@router.get("/schedules/new")
async def new_schedule(seen: Seen, who: Who, store: Word = "") -> Response:
    """A new one."""
    return await _form(seen, who, None, store)


@router.get("/schedules/{schedule_id}")
async def one_schedule(seen: Seen, who: Who, schedule_id: str) -> Response:
    """One to change."""
    return await _form(seen, who, schedule_id, "")


async def _form(seen: Visit, who: Staff, schedule_id: str | None, store_id: str) -> Response:
    who.need(STORE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        row = None if schedule_id is None else await schedules.get(session, who, schedule_id)
        wanted = store_id if row is None else row.store_id
        store = next((one for one in frame.stores if one.id == wanted), None)
        if store is None:
            raise NotFound("store")
        names = await _names(session, who, [store])
    action = f"/api/v1/console/stores/{store.id}/schedules"
    model = ScheduleForm(
        id="" if row is None else row.id,
        store_name=store.name,
        action=action if row is None else f"{action}/{row.id}",
        name="" if row is None else row.name,
        devices=tuple((key, text, "") for key, text in names.items()),
        chosen=() if row is None else tuple(row.bindings),
        days=DAYS if row is None else tuple(row.days),
        begins="17:30" if row is None else row.begins,
        ends="02:00" if row is None else row.ends,
        active=row is None or row.active,
        seen="" if row is None else mark(schedules.facts_of(row)),
    )
    here = seen.at(store.tz)
    return console_page(here, who, frame, "console/schedule_form.html", model, here="schedules")


def _when(row: Schedule) -> str:
    if set(row.days) >= set(DAYS[:7]):
        days = _("每天")
    else:
        short = dict(zip(DAYS, _SHORT, strict=True))
        week = "".join(_(short[day]) for day in DAYS[:7] if day in row.days)
        parts = [_("周{days}").format(days=week)] if week else []
        days = _("、").join([*parts, *([_("节假日")] if "holiday" in row.days else [])])
    if row.begins == row.ends:
        return _("{days} 整天").format(days=days)
    over = _("次日 ") if row.ends < row.begins else ""
    return f"{days} {row.begins}–{over}{row.ends}"


async def _names(session: AsyncSession, who: Staff, found: Sequence[Store]) -> dict[str, str]:
    """The switches of some stores by id, as people call them."""
    ids = [store.id for store in found]
    rooms = {room.id: room.name for room in await _rooms(session, who, ids)}
    query = scoped(who, Binding).where(
        col(Binding.store_id).in_(ids),
        col(Binding.capability) == "switch.set",
        col(Binding.role) != "lock",
    )
    rows = (await session.exec(query.order_by(col(Binding.id)))).all()
    return {row.id: _called(row, rooms) for row in rows}


def _called(row: Binding, rooms: dict[str, str]) -> str:
    places = _("、").join(rooms[key] for key in row.rooms if key in rooms)
    return f"{places or _('公共')} {row.name}"


async def _rooms(session: AsyncSession, who: Staff, ids: Sequence[str]) -> list[Room]:
    query = scoped(who, Room).where(col(Room.store_id).in_(ids)).order_by(col(Room.sort))
    return list((await session.exec(query.order_by(col(Room.index)))).all())


# ------------------------------------------------------------------------------------------- scenes


@router.get("/scenes")
async def scenes(seen: Seen, who: Who, store: Word = "", room: Word = "") -> Response:
    """The scenes of a store or of a room, and what else it does by itself. Needs store.edit."""
    who.need(STORE_EDIT)
    async with seen.cloud.db.read() as session:
        frame = await frame_of(session, who)
        if not frame.stores:
            raise NoStore
        shown = next((one for one in frame.stores if not store or one.id == store), None)
        if shown is None:
            raise NotFound("store")
        rooms = await stores.rooms_of(session, who, shown.id)
        current = next((one for one in rooms if one.id == room), None)
        if room and current is None:
            raise NotFound("room")
        query = scoped(who, Binding).where(
            col(Binding.store_id) == shown.id,
            col(Binding.capability).in_(("switch.set", "climate.set")),
        )
        bindings = (await session.exec(query.order_by(col(Binding.id)))).all()
    here = seen.at(shown.tz)
    model = _scenes(frame.stores, shown, rooms, current, bindings)
    return console_page(here, who, frame, "console/scenes.html", model, here="scenes")


def _scenes(
    all_stores: Sequence[Store],
    store: Store,
    rooms: Sequence[Room],
    room: Room | None,
    bindings: Sequence[Binding],
) -> ScenesPage:
    kept = schedules.scenes_of(store.scenes if room is None else room.scenes)
    now = kept or schedules.scenes_of(store.scenes) or schedules.DEFAULT
    places = [
        (one.name, f"/console/scenes?store={one.id}", room is None and one.id == store.id)
        for one in all_stores
        if len(all_stores) > 1 or one.id == store.id
    ]
    places += [
        (one.name, f"/console/scenes?store={store.id}&room={one.id}", one is room) for one in rooms
    ]
    names = {one.id: one.name for one in rooms}
    kind, key = ("stores", store.id) if room is None else ("rooms", room.id)
    own_times = [
        one
        for one in bindings
        if one.capability == "switch.set"
        and one.role not in ("lock", "table", "main")
        and (room is None or room.id in one.rooms)
    ]
    cools = any(
        one.capability == "climate.set" and (room is None or room.id in one.rooms)
        for one in bindings
    )
    return ScenesPage(
        store_name=store.name,
        name=store.name if room is None else room.name,
        places=tuple(places),
        action=f"/api/v1/console/{kind}/{key}/scenes",
        of_room=room is not None,
        own=kept is not None,
        phases=tuple((key, _(word), _(hint), _roles(now, key)) for key, word, hint in _PHASES),
        after_s=now.after_s,
        habits=_habits(store) if room is None else None,
        air=_air(store, room, f"/api/v1/console/{kind}/{key}/air") if cools else None,
        devices=tuple(
            DeviceTimes(
                _called(one, names),
                f"/api/v1/console/bindings/{one.id}/times",
                one.lead_s,
                one.linger_s,
                mark(schedules.facts_of_times(one)),
            )
            for one in own_times
        ),
        seen=mark(schedules.facts_of_scenes(store if room is None else room)),
    )


def _roles(now: Scenes, phase: str) -> tuple[str, ...]:
    steps = getattr(now, phase)
    if steps is None:  # of cleaning: the light alone
        return ("light",)
    return tuple(step.role for step in steps if step.on)


_AIR = (
    ("summer", "夏季", "一般制冷"),
    ("winter", "冬季", "一般制热"),
    ("rest", "其他时候", "不在上面两段里的日子"),
    ("cleaning", "保洁时", "切换到保洁时，比如送风换气"),
)


def _air(store: Store, room: Room | None, action: str) -> AirForm:
    place = store if room is None else room
    kept = air_defaults.of(place.air)
    now = kept or air_defaults.of(store.air) or air_defaults.AirDefaults()
    parts = []
    for key, word, hint in _AIR:
        one = getattr(now, key)
        begins, ends = (one.begins, one.ends) if isinstance(one, air_defaults.Season) else ("", "")
        said = (one.mode or "", one.setpoint, one.fan or "", begins, ends)
        parts.append((key, _(word), _(hint), *said))
    limits = (air_defaults.LOW, air_defaults.HIGH)
    seen = mark(air_defaults.facts_of(place))
    return AirForm(action, kept is not None, tuple(parts), limits, seen)


def _habits(store: Store) -> StoreHabits:
    return StoreHabits(
        action=f"/api/v1/console/stores/{store.id}",
        overtime_power=store.overtime_power,
        say_welcome=store.say_welcome,
        say_ended=store.say_ended,
        quiet_from=store.quiet_from or "",
        quiet_until=store.quiet_until or "",
        entry_again_s=store.entry_again_s,
        entry_most=store.entry_most,
    )
