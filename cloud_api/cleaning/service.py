"""Tasks: made at the end of a stay or by hand, listed, and called off."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.claims import cleaning as room_time
from cloud_api.claims import modes
from cloud_api.cleaning import people
from cloud_api.cleaning.models import CleaningEvent, CleaningRule, CleaningTask
from cloud_api.cleaning.rules import rule_of
from cloud_api.cleaning.transitions import LIVE, WAITING, happened, lock_task, move
from cloud_api.kit.actor import Actor, Staff, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.i18n import later
from cloud_api.kit.notices import notify
from cloud_api.orders.models import Order
from cloud_api.orders.transitions import WAITLIST
from cloud_api.staff.models import StaffMember
from cloud_api.staff.permissions import CLEANING_DO, CLEANING_MANAGE
from cloud_api.stores.models import Room, Store

LATE: Final = "cleaning.late"  # the job that looks whether a room is clean before the next guests
WARN_BEFORE: Final = timedelta(minutes=15)
KEEP_AT_MOST: Final = timedelta(hours=12)
_SYSTEM: Final = System()
_LISTED: Final = 200


async def after_stay(session: AsyncSession, order_id: str, clocks: Clocks) -> CleaningTask | None:
    """A stay is over: make its task where the store's rule wants one. Again makes none."""
    order = await session.get(Order, order_id)
    if order is None or order.status != "completed":
        return None
    known = select(col(CleaningTask.id)).where(col(CleaningTask.order_id) == order_id)
    store = await session.get_one(Store, order.store_id)
    rule = await rule_of(session, store, clocks)
    used = timedelta(seconds=order.used_s or 0) or order.ends_at - order.starts_at
    short = used < timedelta(minutes=rule.least_minutes)
    if not rule.after_stay or short or (await session.exec(known)).first() is not None:
        return None
    room = await session.get_one(Room, order.room_id)
    return await _make(session, _SYSTEM, room, rule, clocks, order_id=order.id)


async def by_hand(
    session: AsyncSession,
    staff: Staff,
    room_id: str,
    note: str,
    staff_id: str | None,
    clocks: Clocks,
) -> CleaningTask:
    """Have a room cleaned now, by somebody or by whoever takes it. Needs cleaning.manage.

    Raises NotFound, Conflict ``cleaning.there`` where the room has a task already.
    """
    staff.need(CLEANING_MANAGE)
    query = scoped(staff, Room).where(col(Room.id) == room_id, col(Room.retired_at).is_(None))
    room = (await session.exec(query)).one_or_none()
    if room is None:
        raise NotFound("room")
    if await _of_room(session, room.id, LIVE):
        raise Conflict("cleaning.there", "这间已经有没做完的保洁任务")
    rule = await rule_of(session, await session.get_one(Store, room.store_id), clocks)
    task = await _make(session, staff, room, rule, clocks, note=note, announce=staff_id is None)
    if staff_id is not None:
        await give_to(session, staff, task, staff_id, clocks)
    return task


async def give_to(
    session: AsyncSession, staff: Staff, task: CleaningTask, staff_id: str, clocks: Clocks
) -> None:
    """Let a cleaner of the store have a task, who is told. Raises ``cleaning.not_a_cleaner``."""
    member = await people.cleaner_for(session, task.merchant_id, task.store_id, staff_id)
    if task.state == "taken" and task.staff_id == member.id:
        return
    if task.state == "cleaning":
        await modes.cleaned_by(session, staff, task.room_id, None, clocks)
    await move(
        session,
        task,
        "taken",
        by=staff.ref,
        clocks=clocks,
        why=member.name,
        staff_id=member.id,
        taken_at=clocks.now,
        started_at=None,
    )
    if member.id != staff.staff_id:
        await tell(session, task, "cleaning.assigned", f"account:{member.account_id}", clocks)


async def superseded(session: AsyncSession, order_id: str, clocks: Clocks) -> None:
    """Guests are in: what nobody has begun to clean before them is not to be cleaned for them any more."""
    order = await session.get(Order, order_id)
    if order is None:
        return
    for task in await _of_room(session, order.room_id, WAITING):
        if task.created_at >= (order.entered_at or order.starts_at):
            continue
        why = later("下一位客人已经进去了")
        locked = await lock_task(session, _SYSTEM, task.id)
        if locked.state in WAITING:
            await move(session, locked, "cancelled", by="system", clocks=clocks, why=why)
            locked.why = why
            session.add(locked)


async def booked(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """Somebody comes to a room that is to be cleaned: it is looked at again before they do."""
    for task in await _of_room(session, order.room_id, WAITING | {"cleaning"}):
        await _look_before(session, task, order.starts_at, clocks)


async def warn(session: AsyncSession, task_id: str, clocks: Clocks) -> None:
    """The job's: guests come soon, and the room is not clean. Says so once per arrival."""
    task = await session.get(CleaningTask, task_id)
    if task is None or task.state not in WAITING | {"cleaning"}:
        return
    arrival = (await room_time.next_arrivals(session, [task.room_id], clocks.now)).get(task.room_id)
    if arrival is None or arrival > clocks.now + WARN_BEFORE + timedelta(minutes=1):
        return
    await tell(
        session, task, "cleaning.late", f"staff:{CLEANING_MANAGE}", clocks,
        key=f"{task.id}.{arrival.isoformat()}", starts_at=arrival.isoformat(),
    )  # fmt: skip


async def clean_again(
    session: AsyncSession, actor: Actor, task: CleaningTask, clocks: Clocks
) -> None:
    """What the room was kept for is over: its light and its time go back."""
    await modes.cleaned_by(session, actor, task.room_id, None, clocks)
    if await room_time.give_back(session, task.room_id, clocks):
        await schedule(
            session,
            merchant_id=task.merchant_id,
            kind=WAITLIST,
            ref=task.store_id,
            run_at=clocks.now,
        )


async def tell(
    session: AsyncSession,
    task: CleaningTask,
    event: str,
    to: str,
    clocks: Clocks,
    *,
    key: str = "",
    **data: str,
) -> None:
    """Tell somebody of a task."""
    await notify(
        session,
        merchant_id=task.merchant_id,
        store_id=task.store_id,
        event=event,
        to=to,
        subject=f"cleaning:{task.id}",
        data={"room_id": task.room_id, **data},
        key=key or f"{task.id}.{task.version}",
        at=clocks.now,
    )


async def live(session: AsyncSession, actor: Staff) -> list[CleaningTask]:
    """What is to be done, is being done, or waits to be looked at; the oldest first."""
    actor.need(CLEANING_DO)
    query = scoped(actor, CleaningTask).where(col(CleaningTask.state).in_(LIVE))
    if CLEANING_MANAGE not in actor.permissions:
        query = query.where(
            or_(col(CleaningTask.state) == "open", col(CleaningTask.staff_id) == actor.staff_id)
        )
    query = query.order_by(col(CleaningTask.created_at), col(CleaningTask.id)).limit(_LISTED)
    return list((await session.exec(query)).all())


async def ended(session: AsyncSession, actor: Staff, *, limit: int = 30) -> list[CleaningTask]:
    """What was done or called off, the latest first; a cleaner sees their own."""
    actor.need(CLEANING_DO)
    query = scoped(actor, CleaningTask).where(col(CleaningTask.state).in_(["done", "cancelled"]))
    if CLEANING_MANAGE not in actor.permissions:
        query = query.where(col(CleaningTask.staff_id) == actor.staff_id)
    query = query.order_by(col(CleaningTask.id).desc()).limit(limit)
    return list((await session.exec(query)).all())


def waiting_for(actor: Staff) -> SelectOfScalar[CleaningTask]:
    """The tasks that wait for ``actor``: one's own and those nobody has; for a manager all, and checks."""
    query = scoped(actor, CleaningTask)
    if CLEANING_MANAGE in actor.permissions:
        query = query.where(col(CleaningTask.state).in_(["open", "to_check"]))
    else:
        mine = col(CleaningTask.staff_id) == actor.staff_id
        query = query.where(
            or_(
                col(CleaningTask.state) == "open",
                mine & col(CleaningTask.state).in_(["taken", "rejected"]),
            )
        )
    return query


async def count_waiting(session: AsyncSession, actor: Staff) -> int:
    """How many these are."""
    inner = waiting_for(actor).subquery()
    return int((await session.exec(select(func.count()).select_from(inner))).one())


async def read(
    session: AsyncSession, actor: Staff, task_id: str
) -> tuple[CleaningTask, list[CleaningEvent]]:
    """A task and what happened to it. Raises NotFound, also for another cleaner's."""
    actor.need(CLEANING_DO)
    query = scoped(actor, CleaningTask).where(col(CleaningTask.id) == task_id)
    task = (await session.exec(query)).first()
    mine = task is not None and (task.state == "open" or task.staff_id == actor.staff_id)
    if task is None or not (mine or CLEANING_MANAGE in actor.permissions):
        raise NotFound("cleaning", "没有这个保洁任务，或不归你管")
    events = scoped(actor, CleaningEvent).where(col(CleaningEvent.task_id) == task.id)
    return task, list((await session.exec(events.order_by(col(CleaningEvent.id)))).all())


async def by_room(session: AsyncSession, actor: Staff) -> dict[str, tuple[str, str]]:
    """By room the state of its task that waits or is worked on, and who has it. One query.

    Whoever sees rooms sees that somebody cleans them.
    """
    tasks = scoped(actor, CleaningTask).where(col(CleaningTask.state).in_(WAITING | {"cleaning"}))
    named = tasks.outerjoin(StaffMember, col(StaffMember.id) == col(CleaningTask.staff_id))
    query = named.add_columns(col(StaffMember.name)).order_by(col(CleaningTask.id))
    return {task.room_id: (task.state, name or "") for task, name in await session.execute(query)}


async def _make(
    session: AsyncSession,
    actor: Actor,
    room: Room,
    rule: CleaningRule,
    clocks: Clocks,
    *,
    order_id: str | None = None,
    note: str = "",
    announce: bool = True,
) -> CleaningTask:
    task = CleaningTask(
        merchant_id=room.merchant_id,
        store_id=room.store_id,
        room_id=room.id,
        order_id=order_id,
        note=note,
        pay_fen=rule.pay_fen,
        created_at=clocks.now,
    )
    session.add(task)
    await session.flush()
    await happened(session, task, "", by=actor.ref, why=note, clocks=clocks)
    if rule.keep:
        await room_time.keep(session, room, clocks.now + KEEP_AT_MOST, clocks)
    if announce:
        await tell(session, task, "cleaning.wanted", f"staff:{CLEANING_DO}", clocks)
    await _watch(session, task, clocks)
    return task


async def _watch(session: AsyncSession, task: CleaningTask, clocks: Clocks) -> None:
    arrival = (await room_time.next_arrivals(session, [task.room_id], clocks.now)).get(task.room_id)
    if arrival is not None:
        await _look_before(session, task, arrival, clocks)


async def _look_before(
    session: AsyncSession, task: CleaningTask, arrival: datetime, clocks: Clocks
) -> None:
    await schedule(
        session,
        merchant_id=task.merchant_id,
        kind=LATE,
        ref=task.id,
        run_at=max(clocks.now, arrival - WARN_BEFORE),
    )


async def _of_room(
    session: AsyncSession, room_id: str, states: frozenset[str]
) -> list[CleaningTask]:
    query = scoped(_SYSTEM, CleaningTask).where(
        col(CleaningTask.room_id) == room_id, col(CleaningTask.state).in_(states)
    )
    return list((await session.exec(query)).all())
