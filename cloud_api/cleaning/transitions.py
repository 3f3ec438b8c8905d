"""Every state a task may change to, in one table, and the one function that changes it.

A change is a conditional UPDATE (state and version), an event row and a line for the live feed, in the
caller's transaction.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.cleaning.models import CleaningEvent, CleaningTask
from cloud_api.kit import feed
from cloud_api.kit.actor import Actor, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, NotFound

TABLE: Final[dict[str, frozenset[str]]] = {
    "open": frozenset({"taken", "cancelled"}),
    "taken": frozenset({"open", "taken", "cleaning", "cancelled"}),  # taken again: given to another
    "cleaning": frozenset({"open", "taken", "to_check", "done", "cancelled"}),
    "to_check": frozenset({"rejected", "done"}),
    "rejected": frozenset({"open", "taken", "cleaning", "done", "cancelled"}),
    "done": frozenset(),
    "cancelled": frozenset(),
}
WAITING: Final = frozenset({"open", "taken", "rejected"})  # nobody is at it
LIVE: Final = frozenset({"open", "taken", "cleaning", "to_check", "rejected"})


async def lock_task(session: AsyncSession, actor: Actor, task_id: str) -> CleaningTask:
    """The task, read again and held until the transaction ends. Raises NotFound."""
    query = scoped(actor, CleaningTask).where(col(CleaningTask.id) == task_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound("cleaning", "没有这个保洁任务，或不归你管")
    return found


async def move(
    session: AsyncSession,
    task: CleaningTask,
    to: str,
    *,
    by: str,
    clocks: Clocks,
    why: str = "",
    **values: Any,
) -> None:
    """Change ``task`` to state ``to``; write down who and why.

    Raises Conflict ``cleaning.wrong_state`` if the table has no such change, ``cleaning.moved`` if
    somebody else changed the task since it was read.
    """
    was = task.state
    if to not in TABLE[was]:
        raise Conflict("cleaning.wrong_state", "这个任务的状态已经变了，刷新再看", state_now=was)
    changed = await session.exec(
        update(CleaningTask)
        .where(
            col(CleaningTask.id) == task.id,
            col(CleaningTask.state) == was,
            col(CleaningTask.version) == task.version,
        )
        .values(state=to, version=task.version + 1, **values)
        .returning(col(CleaningTask.id))
        .execution_options(synchronize_session=False)
    )
    if changed.first() is None:
        raise Conflict("cleaning.moved", "这个任务刚刚有变化，刷新再试")
    await session.refresh(task)
    await happened(session, task, was, by=by, why=why, clocks=clocks)


async def happened(
    session: AsyncSession, task: CleaningTask, was: str, *, by: str, why: str, clocks: Clocks
) -> None:
    """Write an event of ``task`` as it is now, and tell whoever looks."""
    session.add(
        CleaningEvent(
            merchant_id=task.merchant_id,
            store_id=task.store_id,
            task_id=task.id,
            was=was,
            now=task.state,
            by=by,
            why=why,
            at=clocks.now,
        )
    )
    await feed.tell(
        session,
        merchant_id=task.merchant_id,
        store_id=task.store_id,
        topic="cleaning",
        body={"task_id": task.id, "room_id": task.room_id, "state": task.state},
        now=clocks.real,
    )
