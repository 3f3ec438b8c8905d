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
from typing import Any, Final

import structlog
from pydantic import ValidationError
from pydantic_core import from_json
from sqlalchemy import (
    ARRAY,
    Integer,
    Select,
    String,
    Update,
    bindparam,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import DBAPIError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.bulk import cell, copy_rows, insert_rows, instant_cell, json_of
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.columns import UTCDateTime
from cloud_api.kit.database import announce_after_commit
from cloud_api.kit.feed import FEED
from cloud_api.kit.models import FeedEntry
from cloud_api.kit.statements import among, built, is_sqlite
from cloud_api.kit.upsert import insert_new
from cloud_api.store_channel import ingest
from cloud_api.store_channel.effects import only_shown, shown_alone
from cloud_api.store_channel.models import EventCursor, EventFailure, StoreEvent
from store_link.messages import Event, EventBatch

log = structlog.get_logger(__name__)

_EVENT: Final = (
    "id", "merchant_id", "store_id", "journal", "seq", "at", "clock", "kind", "historical",
    "received_at", "body",
)  # fmt: skip
_LINE: Final = ("merchant_id", "store_id", "topic", "at", "body")


class _Moved(Exception):
    """A cursor is not where it was read, though it was held."""


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
    fresh: list[tuple[Event, str, str]] = field(default_factory=list)  # topic and body of its line

    @property
    def upto(self) -> int:
        return self.fresh[-1][0].seq if self.fresh else self.was


async def take(cloud: Cloud, claimed: Sequence[Claimed]) -> list[ingest.Taken | None]:
    """What came of each batch, committed; None: nothing yet, give it to ``ingest.take``.

    A store whose one batch is special has its later ones left out as well: their order holds.
    """
    if not any(shown_alone(event) for one in claimed for event in one.batch.events[:1]):
        return [None] * len(claimed)
    try:
        async with cloud.db.write() as session:
            return await _take(session, claimed, cloud.clocks.real)
    except DBAPIError as error:
        if error.connection_invalidated:
            raise
        # An event id taken before under another number, a store deleted, a text nobody can keep.
        log.warning("events_not_together", batches=len(claimed), why=type(error.orig).__name__)
    except _Moved:
        log.error("events_not_together", batches=len(claimed), why="a cursor moved")
    return [None] * len(claimed)


async def _take(
    session: AsyncSession, claimed: Sequence[Claimed], now: datetime
) -> list[ingest.Taken | None]:
    wanted: dict[str, Claimed] = {}
    for one in claimed:
        wanted.setdefault(one.batch.journal, one)  # whose it is, the first says who names it
    journals = await _lock(session, wanted)
    if unheard := sorted(wanted.keys() - journals.keys()):
        await _begin(session, [wanted[journal] for journal in unheard], now)
        journals |= await _lock(session, unheard)
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
            taken.append(ingest.Taken(journal.upto, fresh, last=journal.fresh[-1][0].id))
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
    coming: dict[int, str] = {}
    if batch.events[0].seq <= upto:
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
    rows = [(one.batch.journal, one.batch.store, one.merchant_id) for one in claimed]
    if is_sqlite(session):
        names = ("journal", "store_id", "merchant_id", "upto", "moved_at")
        await insert_new(
            session, EventCursor, [dict(zip(names, (*row, 0, now), strict=True)) for row in rows]
        )
        return
    journals, stores, merchants = zip(*rows, strict=True)
    told = {"journals": journals, "stores": stores, "merchants": merchants, "now": now}
    await session.execute(_beginning(), told)


@built
def _beginning() -> Any:
    new = _arrays(journals=String, stores=String, merchants=String)
    rows = select(
        new.journals, new.stores, new.merchants, literal(0), bindparam("now", type_=UTCDateTime)
    )
    names = ["journal", "store_id", "merchant_id", "upto", "moved_at"]
    table = EventCursor.__table__  # type: ignore[attr-defined]
    return postgresql.insert(table).from_select(names, rows).on_conflict_do_nothing()


async def _lock(session: AsyncSession, names: Collection[str]) -> dict[str, _Journal]:
    """The cursors that exist, held until the commit; always taken in the same order."""
    rows = await session.execute(_cursors(is_sqlite(session)), {"journals": list(names)})
    return {row.journal: _Journal(row.store_id, row.merchant_id, row.upto) for row in rows}


@built
def _cursors(sqlite: bool) -> Select[str, str, str, int]:
    return (
        select(
            col(EventCursor.journal),
            col(EventCursor.store_id),
            col(EventCursor.merchant_id),
            col(EventCursor.upto),
        )
        .where(among(col(EventCursor.journal), "journals", sqlite=sqlite))
        .order_by(col(EventCursor.journal))
        .with_for_update()
    )


async def _failing(session: AsyncSession, stores: set[str]) -> set[str]:
    """Stores with an event whose effect is still to come about."""
    rows = await session.execute(_failures(is_sqlite(session)), {"stores": list(stores)})
    return set(rows.scalars())


@built
def _failures(sqlite: bool) -> Select[str]:
    return (
        scoped(System(), EventFailure)
        .where(
            among(col(EventFailure.store_id), "stores", sqlite=sqlite),
            col(EventFailure.dead_at).is_(None),
            col(EventFailure.settled_at).is_(None),
        )
        .with_only_columns(col(EventFailure.store_id))
    )


async def _write(session: AsyncSession, moved: dict[str, _Journal], now: datetime) -> None:
    await _move(session, moved, now)
    for journal in moved.values():
        announce_after_commit(session, FEED, journal.store_id)
    if is_sqlite(session):
        events, lines = _rows(moved, now)
        await insert_rows(session, StoreEvent, events)
        await insert_rows(session, FeedEntry, lines)
    else:
        copied, shown = _cells(moved, now)
        await copy_rows(session, StoreEvent, _EVENT, copied)
        await copy_rows(session, FeedEntry, _LINE, shown)


def _cells(moved: dict[str, _Journal], now: datetime) -> tuple[list[str], list[str]]:
    """Events and lines of the feed, as COPY reads them. What matches the pattern of an id is a cell."""
    events: list[str] = []
    lines: list[str] = []
    came = now.isoformat()
    for key, journal in moved.items():
        whose = f"{cell(journal.merchant_id)}\t{cell(journal.store_id)}"
        for event, topic, shown in journal.fresh:
            events.append(
                f"{event.id}\t{whose}\t{key}\t{event.seq}\t{instant_cell(event.at)}\t{event.clock}"
                f"\t{event.kind}\t{event.historical}\t{came}\t{cell(json_of(event.body))}"
            )
            lines.append(f"{whose}\t{topic}\t{came}\t{cell(shown)}")
    return events, lines


def _rows(
    moved: dict[str, _Journal], now: datetime
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The same as values."""
    events: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for key, journal in moved.items():
        merchant_id, store_id = journal.merchant_id, journal.store_id
        for event, topic, shown in journal.fresh:
            events.append(ingest.row_of(event, key, merchant_id, store_id, now))
            line = (merchant_id, store_id, topic, now, from_json(shown))
            lines.append(dict(zip(_LINE, line, strict=True)))
    return events, lines


async def _move(session: AsyncSession, moved: dict[str, _Journal], now: datetime) -> None:
    """Compare-and-set of all cursors. Raises _Moved where one of them is not where it was."""
    connection = await session.connection()
    rows = [(key, journal.was, journal.upto) for key, journal in moved.items()]
    told: Any = [{"of": of, "was": was, "to": to, "now": now} for of, was, to in rows]
    if not (sqlite := is_sqlite(session)):
        of, was, to = zip(*rows, strict=True)
        told = {"of": of, "was": was, "to": to, "now": now}
    result = await connection.execute(_moving(sqlite), told)
    assert isinstance(result, CursorResult)
    if result.rowcount != len(rows):
        raise _Moved


@built
def _moving(sqlite: bool) -> Update:
    """For SQLite a row at a time; PostgreSQL takes all of them as arrays, in one statement."""
    arrays = None if sqlite else _arrays(of=String, was=Integer, to=Integer)
    of, was, to = (
        (bindparam("of"), bindparam("was"), bindparam("to"))
        if arrays is None
        else (arrays.of, arrays.was, arrays.to)
    )
    return (
        update(EventCursor)
        .where(col(EventCursor.journal) == of, col(EventCursor.upto) == was)
        .values(upto=to, moved_at=bindparam("now"))
    )


def _arrays(**kinds: Any) -> Any:
    """The columns of rows that travel as one array for each column, bound under its name."""
    arrays = [bindparam(name, type_=ARRAY(kind)) for name, kind in kinds.items()]
    return func.unnest(*arrays).table_valued(*kinds).render_derived(name="told").c
