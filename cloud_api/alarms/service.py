"""Raising, passing on, acknowledging and resolving alarms. All instants here are wire time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.alarms.models import Alarm, AlarmEvent
from cloud_api.alarms.rules import FLAPPING_S, READERS, Rule, Step, rule_of
from cloud_api.alarms.transitions import move, note
from cloud_api.audit.service import record
from cloud_api.kit.actor import Actor, Staff, System, scoped
from cloud_api.kit.alarm_signals import LOOK, signal
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import AlarmSignal
from cloud_api.kit.notices import notify
from cloud_api.kit.paging import PAGE, page_of
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.staff.permissions import ALARM_HANDLE, ALARM_READ

ESCALATE: Final = "alarm.escalate"  # ref: "<alarm id>.<times>.<step>"
BY_SIGNAL: Final = "signal"
OPEN: Final = ("open", "acknowledged")


# ------------------------------------------------------------------------------- from the signals


async def look(session: AsyncSession, signal_id: str, version: int, clocks: Clocks) -> None:
    """A signal changed, or has lasted: raise, or resolve. What is older than ``version`` says nothing."""
    query = select(AlarmSignal).where(col(AlarmSignal.id) == signal_id).with_for_update()
    found = (await session.exec(query)).first()
    if found is None or found.version != version:
        return
    if not found.active:
        await _clear(session, found, clocks)
        return
    rule = await rule_of(session, found.merchant_id, found.kind)
    if not rule.enabled:
        return
    due = found.since + timedelta(seconds=rule.raise_after_s)
    if clocks.real < due:
        await schedule(
            session,
            merchant_id=found.merchant_id,
            kind=LOOK,
            ref=f"{found.id}.{found.version}",
            run_at=due,
            clock="wire",
        )
        return
    await _raise(session, found, rule, clocks)


async def _raise(
    session: AsyncSession, found: AlarmSignal, rule: Rule, clocks: Clocks
) -> Alarm | None:
    now = clocks.real
    last = await _last(session, found)
    if last is not None and last.state in OPEN:
        return None
    if last is not None and _came_back(last, now):
        if not await move(
            session,
            last,
            "open",
            kind="returned",
            by=BY_SIGNAL,
            now=now,
            times=last.times + 1,
            data=found.data,
            resolved_at=None,
            resolved_by=None,
            acknowledged_at=None,
            acknowledged_by=None,
        ):
            return None
        # Told already: only if it stays this time, whoever is next hears of it.
        await _plan(session, last, [step for step in rule.steps if step.after_min > 0], now, 1)
        return last
    alarm_id = new_id()
    fresh: dict[str, Any] = {
        "id": alarm_id,
        "merchant_id": found.merchant_id,
        "store_id": found.store_id,
        "kind": found.kind,
        "subject": found.subject,
        "severity": rule.severity,
        "state": "open",
        "data": found.data,
        "since": found.since,
        "raised_at": now,
        "level": 0,
        "times": 1,
        "version": 0,
    }
    if not await insert_or_ignore(session, Alarm, fresh):
        return None  # another worker raised it
    alarm = await session.get_one(Alarm, alarm_id)
    await note(session, alarm, "raised", by=BY_SIGNAL, now=now)
    now_steps = [step for step in rule.steps if step.after_min == 0]
    for step in now_steps:
        await _tell(session, alarm, rule, "alarm.raised", step, clocks)
    later = [step for step in rule.steps if step.after_min > 0]
    await _plan(session, alarm, later, now, 1)
    return alarm


def _came_back(last: Alarm, now: datetime) -> bool:
    """Whether it ended by itself so short a time ago that it is the same trouble."""
    if last.resolved_by != BY_SIGNAL or last.resolved_at is None:
        return False
    return last.resolved_at > now - timedelta(seconds=FLAPPING_S)


async def _clear(session: AsyncSession, found: AlarmSignal, clocks: Clocks) -> None:
    last = await _last(session, found)
    if last is None or last.state not in OPEN:
        return
    rule = await rule_of(session, last.merchant_id, last.kind)
    if await move(
        session,
        last,
        "resolved",
        kind="resolved",
        by=BY_SIGNAL,
        now=clocks.real,
        resolved_at=found.since,
        resolved_by=BY_SIGNAL,
    ):
        await _tell(session, last, rule, "alarm.resolved", Step(after_min=0, to=READERS), clocks)


async def _last(session: AsyncSession, found: AlarmSignal) -> Alarm | None:
    query = (
        scoped(System(), Alarm)
        .where(
            col(Alarm.merchant_id) == found.merchant_id,
            col(Alarm.kind) == found.kind,
            col(Alarm.subject) == found.subject,
        )
        .order_by(col(Alarm.raised_at).desc(), col(Alarm.id).desc())
        .limit(1)
    )
    return (await session.exec(query)).first()


async def _plan(
    session: AsyncSession, alarm: Alarm, steps: Sequence[Step], now: datetime, level: int
) -> None:
    """Schedule the next step of those that are left."""
    if not steps:
        return
    first = min(steps, key=lambda step: step.after_min)
    await schedule(
        session,
        merchant_id=alarm.merchant_id,
        kind=ESCALATE,
        ref=f"{alarm.id}.{alarm.times}.{level}",
        run_at=now + timedelta(minutes=first.after_min),
        clock="wire",
        body={"alarm": alarm.id, "times": alarm.times, "after_min": first.after_min},
    )


async def escalate(
    session: AsyncSession, alarm_id: str, times: int, after_min: int, clocks: Clocks
) -> None:
    """Nobody acknowledged for so long: the next in the rule hears of it. Void if somebody did."""
    alarm = await session.get(Alarm, alarm_id, with_for_update=True)
    if alarm is None or alarm.state != "open" or alarm.times != times:
        return
    rule = await rule_of(session, alarm.merchant_id, alarm.kind)
    alarm.level += 1
    alarm.version += 1
    session.add(alarm)
    await session.flush()
    await note(session, alarm, "escalated", by="system", now=clocks.real)
    for step in rule.steps:
        if step.after_min == after_min:
            await _tell(session, alarm, rule, "alarm.escalated", step, clocks)
    later = [step for step in rule.steps if step.after_min > after_min]
    if later:
        nearer = min(step.after_min for step in later)
        start = clocks.real - timedelta(minutes=after_min)
        await _plan(session, alarm, [s for s in later if s.after_min == nearer], start, nearer)


async def _tell(
    session: AsyncSession, alarm: Alarm, rule: Rule, event: str, step: Step, clocks: Clocks
) -> None:
    await notify(
        session,
        merchant_id=alarm.merchant_id,
        store_id=alarm.store_id,
        event=event,
        to=step.to,
        subject=f"alarm:{alarm.id}",
        data={
            **alarm.data,
            "alarm": rule.name,
            "severity": alarm.severity,
            "minutes": max(1, round((clocks.real - alarm.since).total_seconds() / 60)),
        },
        key=f"{alarm.id}.{alarm.times}.{step.after_min}",
        at=clocks.now,
        channels=step.channels,
    )


# --------------------------------------------------------------------------------- from the staff


async def find(
    session: AsyncSession,
    actor: Staff,
    *,
    solved: bool = False,
    store_id: str | None = None,
    severity: str | None = None,
    cursor: str | None = None,
    limit: int = PAGE,
) -> tuple[list[Alarm], str | None]:
    """Alarms that ``actor`` sees, the newest first, and the next page's cursor. Needs alarm.read."""
    actor.need(ALARM_READ)
    query = scoped(actor, Alarm).where(
        col(Alarm.state) == "resolved" if solved else col(Alarm.state).in_(OPEN)
    )
    if store_id:
        query = query.where(col(Alarm.store_id) == store_id)
    if severity:
        query = query.where(col(Alarm.severity) == severity)
    return await page_of(
        session, query, by=Alarm.raised_at, key=Alarm.id, cursor=cursor, limit=limit
    )


def waiting_for(actor: Staff) -> SelectOfScalar[Alarm]:
    """The alarms that nobody has taken up."""
    return scoped(actor, Alarm).where(col(Alarm.state) == "open")


async def count_open(session: AsyncSession, actor: Staff) -> int:
    """How many alarms nobody has taken up; 0 without alarm.read."""
    if ALARM_READ not in actor.permissions:
        return 0
    inner = waiting_for(actor).subquery()
    return int((await session.exec(select(func.count()).select_from(inner))).one())


async def get_alarm(session: AsyncSession, actor: Actor, alarm_id: str) -> Alarm:
    """One alarm. Raises NotFound ``alarm.not_found``; needs alarm.read."""
    if isinstance(actor, Staff):
        actor.need(ALARM_READ)
    found = (await session.exec(scoped(actor, Alarm).where(col(Alarm.id) == alarm_id))).first()
    if found is None:
        raise NotFound("alarm", "没有这条告警")
    return found


async def events_of(session: AsyncSession, alarm_id: str) -> Sequence[AlarmEvent]:
    """What happened to an alarm, oldest first."""
    query = scoped(System(), AlarmEvent).where(col(AlarmEvent.alarm_id) == alarm_id)
    return (await session.exec(query.order_by(col(AlarmEvent.seq)))).all()


async def acknowledge(session: AsyncSession, actor: Staff, alarm_id: str, clocks: Clocks) -> Alarm:
    """Say "I see to it": it is passed on to nobody else. Again by anybody changes nothing.

    Needs alarm.handle. Raises Conflict ``alarm.resolved``.
    """
    actor.need(ALARM_HANDLE)
    alarm = await get_alarm(session, actor, alarm_id)
    if alarm.state == "acknowledged":
        return alarm
    if not await move(
        session,
        alarm,
        "acknowledged",
        kind="acknowledged",
        by=actor.ref,
        now=clocks.real,
        acknowledged_at=clocks.real,
        acknowledged_by=actor.ref,
    ):
        raise Conflict("alarm.resolved", "这条告警已经解决了")
    await _record(session, actor, alarm, "alarm.acknowledge", "", clocks)
    return alarm


async def resolve(
    session: AsyncSession, actor: Staff, alarm_id: str, why: str, clocks: Clocks
) -> Alarm:
    """Close by hand what does not end by itself, with a word on what was done. Needs alarm.handle.

    The signal is taken back, so the same trouble raises a new alarm. Raises KaimenError
    ``why.missing``; one that is resolved already is given back as it is.
    """
    actor.need(ALARM_HANDLE)
    reason = why.strip()
    if len(reason) < 2:
        raise KaimenError("why.missing", "写一下怎么处理的，至少两个字", status=422, field="why")
    alarm = await get_alarm(session, actor, alarm_id)
    if alarm.state == "resolved":
        return alarm
    await signal(
        session,
        merchant_id=alarm.merchant_id,
        store_id=alarm.store_id,
        kind=alarm.kind,
        subject=alarm.subject,
        active=False,
        data=alarm.data,
        at=clocks.real,
    )
    if not await move(
        session,
        alarm,
        "resolved",
        kind="resolved",
        by=actor.ref,
        why=reason,
        now=clocks.real,
        resolved_at=clocks.real,
        resolved_by=actor.ref,
    ):
        raise Conflict("alarm.moved", "告警刚刚有变化，请刷新再试")
    await _record(session, actor, alarm, "alarm.resolve", reason, clocks)
    return alarm


async def _record(
    session: AsyncSession, actor: Staff, alarm: Alarm, action: str, why: str, clocks: Clocks
) -> None:
    await record(
        session,
        actor,
        action,
        merchant_id=alarm.merchant_id,
        store_id=alarm.store_id,
        subject=f"alarm:{alarm.id}",
        after={"kind": alarm.kind, "subject": alarm.subject, "state": alarm.state},
        why=why,
        clocks=clocks,
    )
