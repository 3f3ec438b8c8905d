"""What a cleaner does with a task: takes it, opens the door, cleans, shows it, is done."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import service as access
from cloud_api.claims import cleaning as room_time
from cloud_api.claims import modes
from cloud_api.cleaning import service
from cloud_api.cleaning.models import CleaningTask
from cloud_api.cleaning.rules import rule_of
from cloud_api.cleaning.transitions import lock_task, move
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.staff.permissions import CLEANING_DO, CLEANING_MANAGE
from cloud_api.stores.models import Room, Store

AT_IT: Final = frozenset({"taken", "cleaning", "rejected"})
MOST_PHOTOS: Final = 9
WHY: Final = "保洁任务"


async def grab(session: AsyncSession, staff: Staff, task_id: str, clocks: Clocks) -> CleaningTask:
    """Take a task that nobody has. Needs cleaning.do. Raises Conflict ``cleaning.taken``."""
    staff.need(CLEANING_DO)
    task = await lock_task(session, staff, task_id)
    if task.staff_id == staff.staff_id and task.state in AT_IT:
        return task
    if task.state != "open":
        raise Conflict("cleaning.taken", "这个任务已经有人接了，看看别的")
    await move(
        session, task, "taken", by=staff.ref, clocks=clocks,
        staff_id=staff.staff_id, taken_at=clocks.now,
    )  # fmt: skip
    return task


async def give_up(
    session: AsyncSession, staff: Staff, task_id: str, clocks: Clocks
) -> CleaningTask:
    """Not me after all: whoever wants may take it. The room's light and mode go back."""
    task = await _mine(session, staff, task_id)
    if task.state == "cleaning":
        await modes.cleaned_by(session, staff, task.room_id, None, clocks)
    await move(
        session, task, "open", by=staff.ref, clocks=clocks,
        staff_id=None, taken_at=None, started_at=None,
    )  # fmt: skip
    await service.tell(session, task, "cleaning.wanted", f"staff:{CLEANING_DO}", clocks)
    return task


async def start(session: AsyncSession, staff: Staff, task_id: str, clocks: Clocks) -> CleaningTask:
    """Begin: the room is being cleaned, its light goes on, nobody books the minutes it takes.

    Raises Conflict ``cleaning.guests_in`` while guests are in the room.
    """
    task = await _mine(session, staff, task_id)
    await _begin(session, staff, task, clocks)
    return task


async def unlock(
    session: AsyncSession,
    staff: Staff,
    task_id: str,
    door_id: str,
    clocks: Clocks,
    instance: str,
    command_id: str | None = None,
) -> DeviceCommand:
    """Open a door to the room of one's task; the first time begins it.

    Raises NotFound ``door.not_found``, Conflict ``cleaning.guests_in``, and StoreOffline.
    """
    task = await _mine(session, staff, task_id)
    if task.state not in AT_IT:
        raise Conflict("cleaning.not_now", "任务做完了，门不再给你开")
    await _begin(session, staff, task, clocks)
    return await access.unlock_for_task(
        session, staff, door_id, task.room_id, WHY, clocks, instance, command_id
    )


async def finish(session: AsyncSession, staff: Staff, task_id: str, clocks: Clocks) -> CleaningTask:
    """Done: the room is free again. Somebody looks at it first where the store's rule says so.

    Raises KaimenError ``cleaning.photos`` (422) with fewer photos than the rule wants.
    """
    task = await _mine(session, staff, task_id)
    if task.state in {"to_check", "done"}:
        return task
    rule = await rule_of(session, await session.get_one(Store, task.store_id), clocks)
    if len(task.photos) < rule.photos:
        raise KaimenError(
            "cleaning.photos",
            _("还差 {n} 张照片，拍好再交").format(n=rule.photos - len(task.photos)),
            status=422,
            field="photos",
            extra={"wanted": rule.photos, "there": len(task.photos)},
        )
    if task.state != "cleaning":
        await move(session, task, "cleaning", by=staff.ref, clocks=clocks, started_at=clocks.now)
    to = "to_check" if rule.check_done else "done"
    await move(session, task, to, by=staff.ref, clocks=clocks, finished_at=clocks.now)
    await service.clean_again(session, staff, task, clocks)
    if to == "to_check":
        await service.tell(session, task, "cleaning.to_check", f"staff:{CLEANING_MANAGE}", clocks)
    return task


async def may_show(session: AsyncSession, staff: Staff, task_id: str) -> CleaningTask:
    """The task, if this cleaner may add a photo to it now. Raises Conflict ``cleaning.photos_many``."""
    task = await _mine(session, staff, task_id)
    if task.state not in AT_IT:
        raise Conflict("cleaning.not_now", "任务交了以后不能再加照片")
    if len(task.photos) >= MOST_PHOTOS:
        raise Conflict("cleaning.photos_many", _("一个任务最多 {n} 张照片").format(n=MOST_PHOTOS))
    return task


async def _begin(session: AsyncSession, staff: Staff, task: CleaningTask, clocks: Clocks) -> None:
    if task.state == "cleaning":
        return
    if await room_time.guests_in(session, task.room_id, clocks.now):
        raise Conflict("cleaning.guests_in", "里面还有客人，等他们走了再开始")
    await move(session, task, "cleaning", by=staff.ref, clocks=clocks, started_at=clocks.now)
    rule = await rule_of(session, await session.get_one(Store, task.store_id), clocks)
    until = clocks.now + timedelta(minutes=rule.minutes)
    room = await session.get_one(Room, task.room_id)
    await room_time.keep(session, room, until, clocks)
    arrival = (await room_time.next_arrivals(session, [room.id], clocks.now)).get(room.id)
    if arrival is not None and arrival < until:  # those who come are not kept waiting by a mode
        until = max(arrival, clocks.now + timedelta(minutes=1))
    await modes.cleaned_by(session, staff, room.id, until, clocks)


async def _mine(session: AsyncSession, staff: Staff, task_id: str) -> CleaningTask:
    staff.need(CLEANING_DO)
    task = await lock_task(session, staff, task_id)
    if task.staff_id != staff.staff_id:
        raise NotFound("cleaning", "这不是你的任务，先接下它")
    return task
