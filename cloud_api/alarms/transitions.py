"""Every state an alarm may change to, in one table, and the one function that changes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.alarms.models import Alarm, AlarmEvent
from cloud_api.kit import feed

TABLE: Final[dict[str, frozenset[str]]] = {
    "open": frozenset({"acknowledged", "resolved"}),
    "acknowledged": frozenset({"resolved"}),
    "resolved": frozenset({"open"}),  # it came back at once: the same alarm
}


async def move(
    session: AsyncSession,
    alarm: Alarm,
    to: str,
    *,
    kind: str,
    by: str,
    now: datetime,
    why: str = "",
    **values: Any,
) -> bool:
    """Change ``alarm`` and write down who and why; False when the table has no such change or
    somebody changed it first. ``now`` is wire time.
    """
    if to not in TABLE[alarm.state]:
        return False
    changed = await session.exec(
        update(Alarm)
        .where(
            col(Alarm.id) == alarm.id,
            col(Alarm.state) == alarm.state,
            col(Alarm.version) == alarm.version,
        )
        .values(state=to, version=alarm.version + 1, **values)
        .returning(col(Alarm.id))
        .execution_options(synchronize_session=False)
    )
    if changed.first() is None:
        return False
    await session.refresh(alarm)
    await note(session, alarm, kind, by=by, now=now, why=why)
    return True


async def note(
    session: AsyncSession, alarm: Alarm, kind: str, *, by: str, now: datetime, why: str = ""
) -> None:
    """Write down something that happened to an alarm, and tell who looks."""
    session.add(
        AlarmEvent(
            merchant_id=alarm.merchant_id,
            store_id=alarm.store_id,
            alarm_id=alarm.id,
            kind=kind,
            by=by,
            why=why,
            at=now,
        )
    )
    await feed.tell(
        session,
        merchant_id=alarm.merchant_id,
        store_id=alarm.store_id,
        topic="alarm",
        body={
            "alarm_id": alarm.id,
            "event": kind,
            "kind": alarm.kind,
            "state": alarm.state,
            "severity": alarm.severity,
            "room_id": alarm.data.get("room_id"),
        },
        now=now,
    )
