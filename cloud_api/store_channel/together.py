"""Taking the batches of many stores in one commit: the same rules as ingest.py, one round for all.

After an outage thousands of stores send what happened meanwhile, nearly all of it to be kept and shown
and nothing more. A transaction for each batch then costs more than its events do. So batches that
nothing is special about are taken together: cursors are locked in one order and moved, events and lines
of the feed are copied in. Whatever is special (an effect beyond showing, a failure that stands, a gap,
a duplicate) is left to ``ingest.take``, batch by batch; and so is everything
where the common transaction fails, so that nobody's trouble is another store's.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog
from pydantic import ValidationError
from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import DBAPIError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.bulk import insert_many
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import announce_after_commit
from cloud_api.kit.feed import FEED
from cloud_api.kit.models import FeedEntry
from cloud_api.kit.upsert import insert_new
from cloud_api.store_channel import ingest
from cloud_api.store_channel.effects import only_shown
from cloud_api.store_channel.models import EventCursor, EventFailure, StoreEvent
from store_link.messages import Event, EventBatch

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Claimed:
    """A batch whose seal was checked, of a store of ``merchant_id``."""

    merchant_id: str
    batch: EventBatch


@dataclass(slots=True)
class _Journal:
    """A journal as its cursor says, and what of the batches follows it."""

    store_id: str
    merchant_id: str
    was: int
    fresh: list[tuple[Event, str, dict[str, Any]]] = field(default_factory=list)

    @property
    def upto(self) -> int:
        return self.fresh[-1][0].seq if self.fresh else self.was


async def take(cloud: Cloud, claimed: Sequence[Claimed]) -> list[ingest.Taken | None]:
    """What came of each batch, committed; None: nothing yet, give it to ``ingest.take``.

    A store whose one batch is special has its later ones left out as well: their order holds.
    """
    try:
        async with cloud.db.write() as session:
            return await _take(session, claimed, cloud.clocks.real)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        # An event id taken before under another number, a store deleted, a text nobody can keep.
        log.warning("events_not_together", batches=len(claimed), why=type(error.orig).__name__)
        return [None] * len(claimed)


async def _take(
    session: AsyncSession, claimed: Sequence[Claimed], now: datetime
) -> list[ingest.Taken | None]:
    wanted = {one.batch.journal: one for one in claimed}
    journals = await _lock(session, wanted)
    if unheard := sorted(wanted.keys() - journals.keys()):
        await _begin(session, [wanted[journal] for journal in unheard], now)
        journals = await _lock(session, wanted)
    special = await _failing(session, {one.batch.store for one in claimed})
    taken: list[ingest.Taken | None] = []
    for one in claimed:
        batch = one.batch
        journal = journals.get(batch.journal)
        fresh = 0
        if journal is not None and batch.store not in special:
            fresh = _follow(journal, one)
        if journal is None or not fresh:
            special.add(batch.store)
            taken.append(None)
        else:
            taken.append(ingest.Taken(journal.upto, fresh))
    moved = {key: journal for key, journal in journals.items() if journal.fresh}
    if moved:
        await _write(session, moved, now)
    return taken


def _follow(journal: _Journal, one: Claimed) -> int:
    """Add the events of a batch that come next: how many; 0 where the batch needs a closer look."""
    batch = one.batch
    if journal.store_id != batch.store or journal.merchant_id != one.merchant_id:
        return 0
    upto, added = journal.upto, []
    if batch.events[0].seq > upto + 1 or batch.events[-1].seq <= upto:
        return 0
    coming = {event.seq: event.id for event, _, _ in journal.fresh}
    for event in batch.events:
        if event.seq <= upto:  # taken before: whether it is the same is looked at alone
            if coming.get(event.seq) != event.id:
                return 0
            continue
        if event.seq != upto + 1:
            return 0
        try:
            shown = only_shown(event)
        except ValidationError:
            return 0
        if shown is None:
            return 0
        added.append((event, *shown))
        upto = event.seq
    journal.fresh += added
    return len(added)


async def _begin(session: AsyncSession, claimed: list[Claimed], now: datetime) -> None:
    """Cursors at 0 for journals never heard of, unless another worker was faster."""
    rows = [
        {
            "journal": one.batch.journal,
            "store_id": one.batch.store,
            "merchant_id": one.merchant_id,
            "upto": 0,
            "moved_at": now,
        }
        for one in claimed
    ]
    await insert_new(session, EventCursor, rows)


async def _lock(session: AsyncSession, names: Collection[str]) -> dict[str, _Journal]:
    """The cursors that exist, held until the commit; always taken in the same order."""
    query = (
        select(
            col(EventCursor.journal),
            col(EventCursor.store_id),
            col(EventCursor.merchant_id),
            col(EventCursor.upto),
        )
        .where(col(EventCursor.journal).in_(names))
        .order_by(col(EventCursor.journal))
        .with_for_update()
    )
    rows = await session.execute(query)
    return {row.journal: _Journal(row.store_id, row.merchant_id, row.upto) for row in rows}


async def _failing(session: AsyncSession, stores: set[str]) -> set[str]:
    """Stores with an event whose effect is still to come about."""
    query = scoped(System(), EventFailure).where(
        col(EventFailure.store_id).in_(stores),
        col(EventFailure.dead_at).is_(None),
        col(EventFailure.settled_at).is_(None),
    )
    return {failure.store_id for failure in await session.exec(query)}


async def _write(session: AsyncSession, moved: dict[str, _Journal], now: datetime) -> None:
    connection = await session.connection()
    await connection.execute(
        update(EventCursor)
        .where(
            col(EventCursor.journal) == bindparam("of"), col(EventCursor.upto) == bindparam("was")
        )
        .values(upto=bindparam("to"), moved_at=bindparam("now")),
        [
            {"of": key, "was": journal.was, "to": journal.upto, "now": now}
            for key, journal in moved.items()
        ],
    )
    events: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for key, journal in moved.items():
        whose = {"merchant_id": journal.merchant_id, "store_id": journal.store_id}
        for event, topic, body in journal.fresh:
            events.append(ingest.row_of(event, key, journal.merchant_id, journal.store_id, now))
            lines.append({**whose, "account_id": None, "topic": topic, "body": body, "at": now})
        announce_after_commit(session, FEED, journal.store_id)
    await insert_many(session, StoreEvent, events)
    await insert_many(session, FeedEntry, lines)
