"""/console/cleaning: tasks for who cleans and who has others clean, rules, a month's pay."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access.schemas import UnlockOut
from cloud_api.access.tap import tap
from cloud_api.cleaning import office, rules, service, sheet, work
from cloud_api.cleaning.models import CleaningTask
from cloud_api.cleaning.schemas import (
    AssignIn,
    PersonOut,
    RuleIn,
    RuleOut,
    SheetOut,
    TaskIn,
    TaskOut,
    TasksOut,
    WhyIn,
)
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.kit.seen import Saw, marked
from cloud_api.kit.throttle import hit
from cloud_api.media import service as media
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import CLEANING_DO, CLEANING_MANAGE
from cloud_api.stores.service import get_store, list_stores

router = APIRouter(prefix="/console", tags=["console: cleaning"])
Who = Annotated[Staff, Depends(staff_actor)]
Month = Annotated[str, Query(max_length=10)]
Turn = Callable[[AsyncSession, Staff, str, Clocks], Awaitable[CleaningTask]]

_UPLOADS: Final = (120, 3600)  # of one member of staff in an hour
_NO_STORE: Final = "Asia/Shanghai"


@router.get("/cleaning/tasks")
async def tasks(request: Request, who: Who) -> TasksOut:
    """What is to be cleaned, is being cleaned or waits to be looked at; a cleaner's own and free ones."""
    async with cloud_of(request).db.read() as session:
        return TasksOut(items=[TaskOut.of(one) for one in await service.live(session, who)])


@router.post("/cleaning/tasks", response_model=TaskOut)
async def make(body: TaskIn, request: Request, who: Who) -> Response:
    """Have a room cleaned now. Needs cleaning.manage."""
    cloud = cloud_of(request)

    async def act() -> TaskOut:
        async with cloud.db.write() as session:
            made = await service.by_hand(
                session, who, body.room_id, body.note, body.staff_id, cloud.clocks
            )
            return TaskOut.of(made)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/cleaning/tasks/{task_id}")
async def one_task(task_id: str, request: Request, who: Who) -> TaskOut:
    """One task."""
    async with cloud_of(request).db.read() as session:
        return TaskOut.of((await service.read(session, who, task_id))[0])


@router.post("/cleaning/tasks/{task_id}/grab", response_model=TaskOut)
async def grab(task_id: str, request: Request, who: Who) -> Response:
    """Take a task that nobody has. Needs cleaning.do."""
    return await _turn(request, who, task_id, work.grab)


@router.post("/cleaning/tasks/{task_id}/give-up", response_model=TaskOut)
async def give_up(task_id: str, request: Request, who: Who) -> Response:
    """Give one's task back. Needs cleaning.do."""
    return await _turn(request, who, task_id, work.give_up)


@router.post("/cleaning/tasks/{task_id}/start", response_model=TaskOut)
async def start(task_id: str, request: Request, who: Who) -> Response:
    """Begin one's task. Needs cleaning.do."""
    return await _turn(request, who, task_id, work.start)


@router.post("/cleaning/tasks/{task_id}/finish", response_model=TaskOut)
async def finish(task_id: str, request: Request, who: Who) -> Response:
    """One's task is done. Needs cleaning.do."""
    return await _turn(request, who, task_id, work.finish)


@router.post("/cleaning/tasks/{task_id}/doors/{door_id}/unlock", response_model=UnlockOut)
async def unlock(task_id: str, door_id: str, request: Request, who: Who) -> Response:
    """Open a door to the room of one's task; the first time begins it. Needs cleaning.do."""
    who.need(CLEANING_DO)
    cloud = cloud_of(request)

    async def begin(session: AsyncSession, ref: str) -> tuple[DeviceCommand, bool]:
        instance = cloud.waiters.instance
        return await work.unlock(session, who, task_id, door_id, cloud.clocks, instance, ref), False

    return await tap(request, who.ref, begin)


@router.post("/cleaning/tasks/{task_id}/photos", status_code=201)
async def photo(task_id: str, request: Request, who: Who) -> TaskOut:
    """Add a photo to one's task: the file as the body (JPEG, PNG, WebP). Needs cleaning.do."""
    who.need(CLEANING_DO)
    cloud = cloud_of(request)
    stated = request.headers.get("content-length", "")
    limit = media.limit_bytes(cloud.settings, media.PHOTO)
    if stated.isdigit() and int(stated) > limit:
        raise media.too_large(limit)
    async with cloud.db.write() as session:
        task = await work.may_show(session, who, task_id)
        place = (task.merchant_id, task.store_id)
        await hit(session, f"upload:{who.staff_id}", *_UPLOADS, cloud.clocks.real)
    async with media.arriving(request.stream(), cloud.settings, media.PHOTO) as path:
        prepared = await asyncio.to_thread(media.prepare, path, media.PHOTO, cloud.settings)
    async with cloud.db.write() as session:
        task = await work.may_show(session, who, task_id)
        made = await media.add(
            session,
            prepared,
            merchant_id=place[0],
            store_id=place[1],
            room_id=task.room_id,
            alt="",
            now=cloud.clocks.real,
            subject=f"cleaning:{task.id}",
        )
        task.photos = [*task.photos, made.id]
        session.add(task)
        return TaskOut.of(task)


@router.post("/cleaning/tasks/{task_id}/assign", response_model=TaskOut)
async def assign(task_id: str, body: AssignIn, request: Request, who: Who) -> Response:
    """Give a task to a cleaner. Needs cleaning.manage."""

    async def turn(session: AsyncSession, staff: Staff, task: str, clocks: Clocks) -> CleaningTask:
        return await office.assign(session, staff, task, body.staff_id, clocks)

    return await _turn(request, who, task_id, turn)


@router.post("/cleaning/tasks/{task_id}/approve", response_model=TaskOut)
async def approve(task_id: str, request: Request, who: Who) -> Response:
    """It is clean. Needs cleaning.manage."""
    return await _turn(request, who, task_id, office.approve)


@router.post("/cleaning/tasks/{task_id}/reject", response_model=TaskOut)
async def reject(task_id: str, body: WhyIn, request: Request, who: Who) -> Response:
    """It is not clean: back to who cleaned it. Needs cleaning.manage."""

    async def turn(session: AsyncSession, staff: Staff, task: str, clocks: Clocks) -> CleaningTask:
        return await office.reject(session, staff, task, body.why, clocks)

    return await _turn(request, who, task_id, turn)


@router.post("/cleaning/tasks/{task_id}/call-off", response_model=TaskOut)
async def call_off(task_id: str, body: WhyIn, request: Request, who: Who) -> Response:
    """Nobody needs to clean. Needs cleaning.manage."""

    async def turn(session: AsyncSession, staff: Staff, task: str, clocks: Clocks) -> CleaningTask:
        return await office.call_off(session, staff, task, body.why, clocks)

    return await _turn(request, who, task_id, turn)


@router.get("/stores/{store_id}/cleaning-rule")
async def rule(store_id: str, request: Request, who: Who) -> RuleOut:
    """When rooms of a store are cleaned. Needs cleaning.manage."""
    who.need(CLEANING_MANAGE)
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store = await get_store(session, who, store_id)
        return RuleOut.of(await rules.rule_of(session, store, cloud.clocks))


@router.put("/stores/{store_id}/cleaning-rule")
async def set_rule(
    store_id: str, body: RuleIn, request: Request, response: Response, who: Who, saw: Saw = None
) -> RuleOut:
    """Set when rooms of a store are cleaned, and what it pays. Needs cleaning.manage."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        rule = await rules.set_rule(session, who, store_id, body, cloud.clocks, saw)
        marked(response, rules.facts_of(rule))
        return RuleOut.of(rule)


@router.get("/cleaning/sheet")
async def pay_sheet(month: Month, request: Request, who: Who) -> SheetOut:
    """A month's pay (``2026-11``), per person; a cleaner gets their own."""
    who.need(CLEANING_DO)
    return SheetOut(
        month=month,
        people=[
            PersonOut(
                staff_id=one.staff_id,
                name=one.name,
                tasks=len(one.tasks),
                minutes=one.minutes,
                pay_fen=one.pay_fen,
            )
            for one in await _month(request, who, month)
        ],
    )


@router.get("/cleaning/sheet.csv")
async def pay_file(month: Month, request: Request, who: Who) -> Response:
    """A month's tasks as a sheet."""
    who.need(CLEANING_DO)
    content = sheet.as_csv(await _month(request, who, month))
    headers = {
        "Content-Disposition": f'attachment; filename="cleaning-{month}.csv"',
        "Cache-Control": "no-store",
    }
    return Response(content, media_type="text/csv; charset=utf-8", headers=headers)


async def _month(request: Request, who: Staff, month: str) -> list[sheet.Person]:
    async with cloud_of(request).db.read() as session:
        stores = await list_stores(session, who)
        return await sheet.month(session, who, month, stores[0].tz if stores else _NO_STORE)


async def _turn(request: Request, who: Staff, task_id: str, turn: Turn) -> Response:
    cloud = cloud_of(request)

    async def act() -> TaskOut:
        async with cloud.db.write() as session:
            return TaskOut.of(await turn(session, who, task_id, cloud.clocks))

    return await once(cloud, who.ref, request, await request.body(), act)
