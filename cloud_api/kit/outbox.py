"""Writing to the outbox: what must happen outside after this transaction has committed.

The relay (store_channel/relay.py) drains a stream in order of ``seq``, one relay at a time: whoever has
the stream's lease. Somebody waits for a command at a door, so where this process could send it itself the
lease is taken at the end of the transaction that writes it, and it leaves right after the commit; else,
as with everything that may wait a moment, the relays of all processes are woken.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.database import (
    after_commit,
    announce_after_commit,
    before_commit,
    database_of,
)
from cloud_api.kit.models import OutboxLease, OutboxRow

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
    session.add(
        OutboxRow(
            merchant_id=merchant_id,
            stream=stream,
            topic=topic,
            body=body,
            created_at=now,
            expires_at=expires_at,
        )
    )
    if topic != COMMAND or not _goes_at_once(session, stream, now):
        announce_after_commit(session, OUTBOX, stream)


def _goes_at_once(session: AsyncSession, stream: str, now: datetime) -> bool:
    """Whether this process will try to send it itself.

    A lease that another has is locked by asking for it as well. So a transaction asks for one alone, at
    its very end: with two, or with locks taken after it, transactions could wait for each other in a circle.
    """
    database = database_of(session)
    express = None if database is None else database.express
    if express is None or not express.ready or session.info.get(_LEASED):
        return False
    session.info[_LEASED] = True

    async def ask() -> None:
        await session.flush()
        if await lease(session, stream, express.holder, now):
            after_commit(session, lambda: express.begin(stream, now))
        else:
            announce_after_commit(session, OUTBOX, stream)

    before_commit(session, ask, first=True)
    return True


async def desired_changed(
    session: AsyncSession, *, merchant_id: str, store_id: str, now: datetime
) -> None:
    """Something that stands in a store's desired document changed: build and publish it again."""
    await put(session, merchant_id=merchant_id, stream=store_id, topic=DESIRED, body={}, now=now)


async def lease(
    session: AsyncSession, stream: str, holder: str, now: datetime, *, again: bool = False
) -> bool:
    """Take a stream's lease if nobody has it; with ``again`` keep one's own. Wire time."""
    insert: Any = (
        sqlite.insert if session.get_bind().dialect.name == "sqlite" else postgresql.insert
    )
    values = {"holder": holder, "until": now + LEASE}
    over = col(OutboxLease.until) < now
    taken = await session.exec(
        insert(OutboxLease)
        .values(stream=stream, **values)
        .on_conflict_do_update(
            index_elements=["stream"],
            set_=values,
            where=or_(over, col(OutboxLease.holder) == holder) if again else over,
        )
        .returning(OutboxLease.stream)
    )
    return taken.first() is not None
