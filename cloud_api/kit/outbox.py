"""Writing to the outbox: what must happen outside after this transaction has committed.

The relay (store_channel/relay.py) drains a stream in order of ``seq``, one relay at a time: whoever has
the stream's lease. Somebody waits for a command at a door, so where this process could send it itself the
lease is taken at the end of the transaction that writes it, and it leaves right after the commit; else,
as with everything that may wait a moment, the relays of all processes are woken.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CTE, FromClause, bindparam, case, exists, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.columns import UTCDateTime
from cloud_api.kit.database import (
    Database,
    after_commit,
    announce_after_commit,
    before_commit,
    database_of,
)
from cloud_api.kit.models import OutboxLease, OutboxRow
from cloud_api.kit.statements import built, is_sqlite

OUTBOX = "outbox"
COMMAND = "command"
DESIRED = "desired"
_LEASED = "kaimen.leased"
LEASE = timedelta(seconds=4)  # what a door waits whose relay was killed, well within 10 s


async def put(
    session: AsyncSession,
    *,
    merchant_id: str,
    stream: str,
    topic: str,
    body: dict[str, Any],
    now: datetime,
    expires_at: datetime | None = None,
) -> None:
    """Add a row in the caller's transaction; it is sent after the commit.

    ``now`` and ``expires_at`` are wire time; a row past ``expires_at`` is dropped, never sent late.
    """
    row = OutboxRow(
        merchant_id=merchant_id,
        stream=stream,
        topic=topic,
        body=body,
        created_at=now,
        expires_at=expires_at,
    )
    session.add(row)
    send(session, row, now)


def send(session: AsyncSession, row: OutboxRow, now: datetime, found: Any = None) -> None:
    """Have ``row``, which is or will be written in this transaction, sent after the commit. Wire time.

    ``found``: all that has to be read to send it, as who sends would read it, where it is at hand.
    """
    if row.topic != COMMAND or not _goes_at_once(session, row, now, found):
        announce_after_commit(session, OUTBOX, row.stream)


def asks(session: AsyncSession) -> str | None:
    """Under which name this transaction takes the lease of a stream; None where it is to take none.

    For a transaction that takes the lease in the statement that writes the row, and takes no lock after
    it but those that all take last. What came of it is told to ``send_under``.
    """
    database = database_of(session)
    express = None if database is None else database.express
    if express is None or not express.ready or session.info.get(_LEASED):
        return None
    session.info[_LEASED] = True
    return express.holder


def send_under(
    session: AsyncSession, row: OutboxRow, now: datetime, taken: Lease | None, found: Any
) -> None:
    """Have ``row`` sent after the commit under the lease that was asked for with it. Wire time."""
    database = database_of(session)
    assert database is not None
    after_commit(session, lambda: sent_under(database, row.stream, now, taken, found))


def sent_under(
    database: Database, stream: str, now: datetime, taken: Lease | None, found: Any
) -> None:
    """What was just committed to ``stream`` is sent: under its lease, or by whoever has it. Wire time."""
    if taken is None or database.express is None:
        database.announce(OUTBOX, stream)
    else:
        database.express.begin(stream, now, None if taken.others else found)


def _goes_at_once(session: AsyncSession, row: OutboxRow, now: datetime, found: Any) -> bool:
    """Whether this process will try to send it itself.

    A lease that another has is locked by asking for it as well. So a transaction asks for one alone, at
    its very end: with two, or with locks taken after it, transactions could wait for each other in a circle.

    ``found`` is good where nothing else waits in the stream. Something that this transaction does not
    see yet is of one that goes on beside it: which of the two is sent first is nobody's claim.
    """
    holder = asks(session)
    if holder is None:
        return False

    async def ask() -> None:
        await session.flush()
        send_under(
            session, row, now, await lease(session, row.stream, holder, now, but=row.seq), found
        )

    before_commit(session, ask, first=True)
    return True


async def desired_changed(
    session: AsyncSession, *, merchant_id: str, store_id: str, now: datetime
) -> None:
    """Something that stands in a store's desired document changed: build and publish it again."""
    await put(session, merchant_id=merchant_id, stream=store_id, topic=DESIRED, body={}, now=now)


@dataclass(frozen=True, slots=True)
class Lease:
    """A stream's lease. ``others``: something else waits in the stream, as far as this can be seen."""

    others: bool


async def lease(
    session: AsyncSession,
    stream: str,
    holder: str,
    now: datetime,
    *,
    again: bool = False,
    but: int | None = None,
) -> Lease | None:
    """Take a stream's lease if nobody has it; with ``again`` keep one's own. Wire time.

    ``but``: the row beside which others are looked for.
    """
    values = asked(stream, holder, now) | {"but": but or 0}
    taken = (await session.execute(_lease(is_sqlite(session), again), values)).first()
    return None if taken is None else Lease(bool(taken.others))


def asked(stream: str, holder: str, now: datetime) -> dict[str, Any]:
    """What a statement with ``lease_if`` is sent with."""
    return {"stream": stream, "holder": holder, "until": now + LEASE, "now": now}


def lease_if(there: FromClause, stream: Any = None) -> Any:
    """Part of a statement for PostgreSQL: the lease of a stream, if ``there`` has a row and nobody has it.

    ``stream``: the column of ``there`` that names it, where it is no value of ``asked``.
    """
    values = _values()
    names = ["stream", *values]
    named = bindparam("stream") if stream is None else stream
    asking = select(named, *values.values()).select_from(there)
    return (
        postgresql.insert(OutboxLease.__table__)  # type: ignore[attr-defined]
        .from_select(names, asking)
        .on_conflict_do_update(index_elements=["stream"], set_=values, where=_over())
        .returning(col(OutboxLease.stream))
    )


def taken_with(lease: CTE, stream: Any) -> Any:
    """Part of a statement: whether others wait in ``stream``; null where ``lease`` was not taken.

    A row of the same statement is not seen. See ``taken``.
    """
    return case((lease.c.stream.is_not(None), _others(stream))).label("others")


def taken(found: Any) -> Lease | None:
    """What a row with ``taken_with`` says."""
    return None if found.others is None else Lease(found.others)


def _values() -> dict[str, Any]:
    return {"holder": bindparam("holder"), "until": bindparam("until", type_=UTCDateTime())}


def _over() -> Any:
    return col(OutboxLease.until) < bindparam("now")


def _others(stream: Any) -> Any:
    return exists().where(
        col(OutboxRow.stream) == stream,
        col(OutboxRow.sent_at).is_(None),
        col(OutboxRow.dropped).is_(None),
    )


@built
def _lease(sqlite_: bool, again: bool) -> Any:
    values, over = _values(), _over()
    others = _others(bindparam("stream")).where(col(OutboxRow.seq) != bindparam("but"))
    insert: Any = sqlite.insert if sqlite_ else postgresql.insert
    return (
        insert(OutboxLease.__table__)  # type: ignore[attr-defined]
        .values(stream=bindparam("stream"), **values)
        .on_conflict_do_update(
            index_elements=["stream"],
            set_=values,
            where=or_(over, col(OutboxLease.holder) == bindparam("holder")) if again else over,
        )
        .returning(others.label("others"))
    )
