"""Taking stores' journals into the database: each event exactly once, in order, with its effect (I6).

One transaction holds the move of the journal's cursor (compare-and-set), the events and what they do.
So it does not matter how often a batch comes, in which order, to how many workers, or where one dies:
what was committed is skipped silently the next time, what was not comes again, because a store keeps
sending until it has the cloud's acknowledgement, which is published after the commit.

An event whose effect fails is tried again, with back-off, before anything after it is taken. After
``MAX_TRIES`` it is kept without its effect, and an EventFailure row with ``dead_at`` says so: one bad
event must not hold up a store's journal for ever. ``settle_failure`` tries such an effect again.

A store forgets events a week after they were acknowledged. A cloud that lost its memory of them (a new
database, a backup older than that) can never have them: where a store says that its oldest event lies
beyond the next one, that gap is taken, never in silence: a dead EventFailure of kind ``gap`` and an
alarm stand for it until somebody settles them.

Two computers with one store's files (a card that was copied) write one journal each under one name. The
cloud takes the events of whichever is first under a number; a batch that brings other events under a
number that was taken is refused whole, and an alarm says so (``ForkedJournal``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.store_channel.effects import EFFECTS, Effect, Scene
from cloud_api.store_channel.models import EventCursor, EventFailure, StoreEvent
from cloud_api.stores.models import Store
from store_link.clock import from_ms
from store_link.messages import ClockQuality, Event, EventBatch, EventKind

log = structlog.get_logger(__name__)

MAX_TRIES = 5
FORK = "journal_fork"  # why of the alarm; its subject names the journal
GAP = "gap"  # kind of an EventFailure that stands for events which no longer exist anywhere
_RACES = 8  # how often a batch is begun anew because another worker moved the cursor


class ForkedJournal(Exception):
    """A store sends other events under numbers that were taken.

    Its journal went back in time, or two computers write it.
    """


class _Raced(Exception):
    """Another worker moved the cursor; nothing of ours was written."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of a batch. ``upto`` is committed. ``retry_at``: an effect failed; not before then.

    ``last``: the id of event ``upto``, where it is still there.
    """

    upto: int
    fresh: int
    gap: bool = False
    retry_at: datetime | None = None
    last: str | None = None


Effects = Mapping[EventKind, Effect]


async def take(cloud: Cloud, store_id: str, batch: EventBatch, effects: Effects = EFFECTS) -> Taken:
    """Commit what is new and contiguous of a batch (already verified to be of ``store_id``).

    Raises ForkedJournal, and ValueError for a journal that is another store's.
    """
    for _ in range(_RACES):
        try:
            async with cloud.db.write() as session:
                store = await session.get(Store, store_id)
                if store is None:
                    raise ValueError("no such store")
                return await _take(Scene(cloud, session, store), batch, effects)
        except _Raced:
            continue
        except ForkedJournal:
            await _tell_of_fork(cloud, store_id, batch.journal)
            raise
    raise TimeoutError("other workers keep moving this journal's cursor")


async def _take(scene: Scene, batch: EventBatch, effects: Effects) -> Taken:
    session, now = scene.session, scene.cloud.clocks.real
    before = await _cursor(scene, batch.journal, now)
    await _refuse_fork(session, batch, before)
    lost = _lost(batch, before)
    fresh = _contiguous(batch.events, before + lost)
    if not fresh:
        gap = batch.events[0].seq > before + 1
        return Taken(before, 0, gap, last=await _id_at(session, batch.journal, before))
    if not await _move(session, batch.journal, before, fresh[-1].seq, now):
        raise _Raced
    if lost:
        await _take_gap(scene, batch.journal, before + 1, before + lost)
    failing = await _failures(session, fresh)
    events = [storable(event) for event in fresh]
    new = await _keep(scene, batch.journal, events)
    for event in events:
        act = effects.get(event.kind) if event.id in new else None
        retry_at = await _apply(scene, batch.journal, event, act, failing.get(event.id))
        if retry_at is not None:  # this one and those after it stay with the store
            await _move(session, batch.journal, fresh[-1].seq, event.seq - 1, now)
            late = [one.id for one in events if one.seq >= event.seq and one.id in new]
            await session.execute(delete(StoreEvent).where(col(StoreEvent.id).in_(late)))
            upto = event.seq - 1
            last = await _id_at(session, batch.journal, upto)
            return Taken(upto, upto - before - lost, retry_at=retry_at, last=last)
    gap = batch.events[-1].seq > fresh[-1].seq
    return Taken(fresh[-1].seq, len(fresh), gap, last=fresh[-1].id)


async def _apply(
    scene: Scene, journal: str, event: Event, act: Effect | None, failure: EventFailure | None
) -> datetime | None:
    """Let an event that was kept act; when its effect failed, the instant of the next try."""
    session, now = scene.session, scene.cloud.clocks.real
    if failure is not None and failure.dead_at is None and failure.not_before > now:
        return failure.not_before
    try:
        if act is not None:
            async with session.begin_nested():
                await act(scene, event)
                await session.flush()
    except Exception as error:
        if isinstance(error, DBAPIError) and error.connection_invalidated:
            raise
        return await _failed(scene, journal, event, failure, error)
    if failure is not None:
        failure.settled_at = now
        session.add(failure)
    return None


async def _failed(
    scene: Scene, journal: str, event: Event, failure: EventFailure | None, error: Exception
) -> datetime | None:
    session, now = scene.session, scene.cloud.clocks.real
    if failure is None:
        failure = EventFailure(
            event_id=event.id,
            merchant_id=scene.store.merchant_id,
            store_id=scene.store.id,
            journal=journal,
            seq=event.seq,
            kind=event.kind.value,
            first_at=now,
            not_before=now,
        )
    failure.attempts += 1
    failure.last_error = f"{type(error).__name__}: {error}"[:500]
    failure.not_before = now + timedelta(seconds=2 ** (failure.attempts - 1))
    dead = failure.attempts >= MAX_TRIES
    if dead:
        failure.dead_at = now
        await _poison(scene, failure, active=True)
    session.add(failure)
    await session.flush()
    (log.error if dead else log.warning)(
        "event_dead" if dead else "event_failed",
        store=scene.store.id,
        journal=journal,
        seq=event.seq,
        kind=event.kind.value,
        attempts=failure.attempts,
        exc_info=error,
    )
    return None if dead else failure.not_before


def _lost(batch: EventBatch, before: int) -> int:
    """How many events after ``before`` the store can never send again; 0 while it can send the next.

    Only a batch that begins with the store's oldest event proves that: any other may have overtaken one.
    """
    if batch.oldest is None or batch.events[0].seq != batch.oldest:
        return 0
    return max(0, batch.oldest - 1 - before)


async def _take_gap(scene: Scene, journal: str, first: int, last: int) -> None:
    """Say that events ``first`` to ``last`` exist nowhere any more, in the transaction that skips them."""
    now = scene.cloud.clocks.real
    failure = EventFailure(
        event_id=f"{journal}.{first}-{last}",
        merchant_id=scene.store.merchant_id,
        store_id=scene.store.id,
        journal=journal,
        seq=first,
        kind=GAP,
        last_error=f"events {first} to {last} were acknowledged before and are forgotten by both sides",
        first_at=now,
        not_before=now,
        dead_at=now,
    )
    scene.session.add(failure)
    await _poison(scene, failure, active=True)
    log.error("events_gap_taken", store=scene.store.id, journal=journal, first=first, last=last)


async def taken_upto(cloud: Cloud, store_id: str, journal: str) -> tuple[int, str | None]:
    """How far a store's journal was taken, and the id of that event; 0 for one never heard of, or of
    another store.
    """
    query = select(col(EventCursor.upto)).where(
        col(EventCursor.journal) == journal, col(EventCursor.store_id) == store_id
    )
    async with cloud.db.read() as session:
        upto = int((await session.execute(query)).scalar() or 0)
        return upto, await _id_at(session, journal, upto)


async def settle_failure(cloud: Cloud, event_id: str, effects: Effects = EFFECTS) -> bool:
    """Try a dead event's effect once more; False where there is no such dead event.

    What the effect raises comes through, and nothing changes then.
    """
    async with cloud.db.write() as session:
        query = scoped(System(), EventFailure).where(
            col(EventFailure.event_id) == event_id,
            col(EventFailure.dead_at).is_not(None),
            col(EventFailure.settled_at).is_(None),
        )
        failure = (await session.exec(query.with_for_update())).first()
        row = await session.get(StoreEvent, event_id)
        store = None if row is None else await session.get(Store, row.store_id)
        if failure is not None and failure.kind == GAP:  # somebody has seen it: nothing to do again
            store = await session.get(Store, failure.store_id)
            assert store is not None
            failure.settled_at = cloud.clocks.real
            session.add(failure)
            await _poison(Scene(cloud, session, store), failure, active=False)
            return True
        if failure is None or row is None or store is None:
            return False
        event = Event(
            seq=row.seq,
            id=row.id,
            at=round(row.at.timestamp() * 1000),
            clock=ClockQuality(row.clock),
            kind=EventKind(row.kind),
            body=row.body,
            historical=row.historical,
        )
        if event.kind in effects:
            await effects[event.kind](Scene(cloud, session, store), event)
        failure.settled_at = cloud.clocks.real
        session.add(failure)
        await _poison(Scene(cloud, session, store), failure, active=False)
    return True


async def _poison(scene: Scene, failure: EventFailure, *, active: bool) -> None:
    await signal(
        scene.session,
        merchant_id=failure.merchant_id,
        store_id=failure.store_id,
        kind="event.poison",
        subject=f"event:{failure.event_id}",
        active=active,
        data={"detail": failure.kind},
        at=scene.cloud.clocks.real,
    )


# ------------------------------------------------------------------------------------- the tables


async def _cursor(scene: Scene, journal: str, now: datetime) -> int:
    """How far the journal was taken; a journal never heard of starts at 0."""
    query = select(col(EventCursor.store_id), col(EventCursor.upto)).where(
        col(EventCursor.journal) == journal
    )
    row = (await scene.session.execute(query)).first()
    if row is None:
        values = {
            "journal": journal,
            "store_id": scene.store.id,
            "merchant_id": scene.store.merchant_id,
            "upto": 0,
            "moved_at": now,
        }
        await insert_or_ignore(scene.session, EventCursor, values)
        row = (await scene.session.execute(query)).one()
    if row.store_id != scene.store.id:
        raise ValueError("this journal is another store's")
    return int(row.upto)


async def _move(session: AsyncSession, journal: str, was: int, upto: int, now: datetime) -> bool:
    """Compare-and-set of the cursor: what makes an event count once, whoever races whom."""
    result = await session.execute(
        update(EventCursor)
        .where(col(EventCursor.journal) == journal, col(EventCursor.upto) == was)
        .values(upto=upto, moved_at=now)
    )
    assert isinstance(result, CursorResult)
    return bool(result.rowcount == 1)


async def _keep(scene: Scene, journal: str, events: Sequence[Event]) -> set[str]:
    """Write events down; the ids of those that are new: not taken before, under another number."""
    session = scene.session
    insert: Any = (
        sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    )
    store, now = scene.store, scene.cloud.clocks.real
    rows = [row_of(event, journal, store.merchant_id, store.id, now) for event in events]
    kept = await session.execute(
        insert(StoreEvent).values(rows).on_conflict_do_nothing().returning(col(StoreEvent.id))
    )
    new = set(kept.scalars())
    for event in events:
        if event.id not in new:
            log.error("event_id_twice", store=scene.store.id, journal=journal, seq=event.seq)
    return new


def row_of(
    event: Event, journal: str, merchant_id: str, store_id: str, now: datetime
) -> dict[str, Any]:
    """The columns of the StoreEvent that keeps an event received at ``now`` (wire time)."""
    return {
        "id": event.id,
        "merchant_id": merchant_id,
        "store_id": store_id,
        "journal": journal,
        "seq": event.seq,
        "at": from_ms(event.at),
        "clock": event.clock.value,
        "kind": event.kind.value,
        "body": event.body,
        "historical": event.historical,
        "received_at": now,
    }


async def _failures(session: AsyncSession, events: Sequence[Event]) -> dict[str, EventFailure]:
    query = scoped(System(), EventFailure).where(
        col(EventFailure.event_id).in_([event.id for event in events])
    )
    return {failure.event_id: failure for failure in await session.exec(query)}


async def _refuse_fork(session: AsyncSession, batch: EventBatch, before: int) -> None:
    """What was taken must be the same event; else this is another journal under the same name."""
    last = next((event for event in reversed(batch.events) if event.seq <= before), None)
    if last is None:
        return
    known = await _id_at(session, batch.journal, last.seq)
    if known is not None and known != last.id:
        raise ForkedJournal(f"journal {batch.journal} has other events from {last.seq} or before")


async def _id_at(session: AsyncSession, journal: str, seq: int) -> str | None:
    """The id of the event that was taken under a number; None where there is none (any more)."""
    query = select(col(StoreEvent.id)).where(
        col(StoreEvent.journal) == journal, col(StoreEvent.seq) == seq
    )
    return (await session.execute(query)).scalar()


async def _tell_of_fork(cloud: Cloud, store_id: str, journal: str) -> None:
    """An alarm that stands until somebody says what was done: the cloud cannot know which one is right."""
    async with cloud.db.write() as session:
        store = await session.get_one(Store, store_id)
        await signal(
            session,
            merchant_id=store.merchant_id,
            store_id=store.id,
            kind="event.poison",
            subject=f"journal:{journal}",
            active=True,
            data={"detail": FORK, "why": FORK},
            at=cloud.clocks.real,
        )


def storable(event: Event) -> Event:
    """The event as the database can keep it."""
    return event.model_copy(update={"body": _storable(event.body)})


def _storable(told: Any) -> Any:
    """What a store said, without NUL: PostgreSQL keeps that in no text."""
    if isinstance(told, str):
        return told.replace("\0", "\ufffd")
    if isinstance(told, dict):
        return {_storable(key): _storable(value) for key, value in told.items()}
    return [_storable(one) for one in told] if isinstance(told, list) else told


def _contiguous(events: Sequence[Event], upto: int) -> list[Event]:
    """The events that follow ``upto`` without a gap."""
    fresh: list[Event] = []
    for event in events:
        if event.seq == upto + 1:
            fresh.append(event)
            upto += 1
        elif event.seq > upto + 1:
            break
    return fresh
