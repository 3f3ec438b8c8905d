"""What the house does with a task: gives it to somebody, looks at it, sends it back, calls it off."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.cleaning import service
from cloud_api.cleaning.models import CleaningTask
from cloud_api.cleaning.transitions import lock_task, move
from cloud_api.devices.control import reason
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.staff.models import StaffMember
from cloud_api.staff.permissions import CLEANING_MANAGE


async def assign(
    session: AsyncSession, staff: Staff, task_id: str, staff_id: str, clocks: Clocks
) -> CleaningTask:
    """Give a task to a cleaner, also one that another has. Needs cleaning.manage."""
    task = await _task(session, staff, task_id)
    await service.give_to(session, staff, task, staff_id, clocks)
    return task


async def approve(
    session: AsyncSession, staff: Staff, task_id: str, clocks: Clocks
) -> CleaningTask:
    """It is clean: the task is done and pays. Again changes nothing. Needs cleaning.manage."""
    task = await _task(session, staff, task_id)
    if task.state == "done":
        return task
    await move(
        session, task, "done", by=staff.ref, clocks=clocks,
        checked_at=clocks.now, checked_by=staff.ref, finished_at=task.finished_at or clocks.now,
    )  # fmt: skip
    await service.clean_again(session, staff, task, clocks)
    await _record(session, staff, task, "cleaning.approve", "", clocks)
    return task


async def reject(
    session: AsyncSession, staff: Staff, task_id: str, why: str, clocks: Clocks
) -> CleaningTask:
    """It is not clean: back to who cleaned it, with the reason. Needs cleaning.manage."""
    task = await _task(session, staff, task_id)
    told = reason(why)
    await move(
        session, task, "rejected", by=staff.ref, clocks=clocks, why=told,
        checked_at=clocks.now, checked_by=staff.ref,
    )  # fmt: skip
    task.why = told
    session.add(task)
    member = await session.get_one(StaffMember, task.staff_id)
    to = f"account:{member.account_id}"
    await service.tell(session, task, "cleaning.rejected", to, clocks, reason=told)
    await _record(session, staff, task, "cleaning.reject", told, clocks)
    return task


async def call_off(
    session: AsyncSession, staff: Staff, task_id: str, why: str, clocks: Clocks
) -> CleaningTask:
    """Nobody needs to clean after all; nothing is paid. Needs cleaning.manage and a reason."""
    task = await _task(session, staff, task_id)
    told = reason(why)
    begun = task.state == "cleaning"
    await move(session, task, "cancelled", by=staff.ref, clocks=clocks, why=told)
    task.why = told
    session.add(task)
    if begun or task.order_id is not None:
        await service.clean_again(session, staff, task, clocks)
    await _record(session, staff, task, "cleaning.call_off", told, clocks)
    return task


async def _task(session: AsyncSession, staff: Staff, task_id: str) -> CleaningTask:
    staff.need(CLEANING_MANAGE)
    return await lock_task(session, staff, task_id)


async def _record(
    session: AsyncSession, staff: Staff, task: CleaningTask, action: str, why: str, clocks: Clocks
) -> None:
    await audit.record(
        session,
        staff,
        action,
        merchant_id=task.merchant_id,
        store_id=task.store_id,
        subject=f"cleaning:{task.id}",
        after={"room": task.room_id, "state": task.state},
        why=why,
        clocks=clocks,
    )
