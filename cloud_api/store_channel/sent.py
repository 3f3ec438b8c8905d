"""What a relay writes down of what it sent, and gives back: as few statements as the engine lets it.

Where the relay marks, somebody at a door waits for the answer to what it sent, on the same processor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, delete, func, select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.models import OutboxLease, OutboxRow
from cloud_api.kit.statements import built, is_sqlite


@dataclass(frozen=True, slots=True)
class Sent:
    """A command that was handed to the broker: its row, its id, and when (wire time)."""

    seq: int
    command_id: str
    at: datetime


async def mark(
    session: AsyncSession, rows: Sequence[int], commands: Sequence[Sent], at: datetime
) -> None:
    """Write that these rows and those of ``commands`` were sent."""
    seqs = [*rows, *(one.seq for one in commands)]
    if seqs:
        await session.execute(_settled(), {"rows": seqs, "marked_at": at})
    for one in commands:
        await session.execute(_sent(), {"command": one.command_id, "published_at": one.at})


async def give_back(session: AsyncSession, stream: str, holder: str) -> None:
    """End the lease of a stream.

    Whoever asked for it in vain has committed when this returns, so their row is seen after it; who asks
    later waits for the commit of this, and gets it.
    """
    await session.execute(_given_back(), {"its_stream": stream, "its_holder": holder})


async def mark_one(
    session: AsyncSession, stream: str, holder: str, one: Sent, at: datetime
) -> None:
    """``mark`` and ``give_back`` for a single command: one statement on PostgreSQL."""
    if is_sqlite(session):
        await mark(session, [], [one], at)
        await give_back(session, stream, holder)
        return
    lease = {"its_stream": stream, "its_holder": holder}
    values = {"row": one.seq, "marked_at": at, "command": one.command_id, "published_at": one.at}
    await session.execute(_all_of_one(), lease | values)


async def more(session: AsyncSession, stream: str) -> bool:
    """Whether something waits in the stream."""
    return (await session.execute(_more(), {"stream": stream})).first() is not None


def pending() -> tuple[ColumnElement[bool], ...]:
    """Rows that are neither sent nor dropped."""
    return (col(OutboxRow.sent_at).is_(None), col(OutboxRow.dropped).is_(None))


@built
def _settled() -> Any:
    rows = OutboxRow.__table__  # type: ignore[attr-defined]
    these = rows.c.seq.in_(bindparam("rows", expanding=True))
    return update(rows).where(these).values(sent_at=bindparam("marked_at"))


@built
def _sent() -> Any:
    commands = DeviceCommand.__table__  # type: ignore[attr-defined]
    state = commands.c.state
    return (
        update(commands)
        .where(commands.c.id == bindparam("command"))
        .values(
            sent_at=bindparam("published_at"), state=case((state == "created", "sent"), else_=state)
        )
    )


@built
def _given_back() -> Any:
    leases = OutboxLease.__table__  # type: ignore[attr-defined]
    return delete(leases).where(
        leases.c.stream == bindparam("its_stream"), leases.c.holder == bindparam("its_holder")
    )


@built
def _all_of_one() -> Any:
    """The rows are locked before the lease, as ``mark`` and ``give_back`` do it: it has to ask for them."""
    rows, commands = OutboxRow.__table__, DeviceCommand.__table__  # type: ignore[attr-defined]
    row = update(rows).where(rows.c.seq == bindparam("row"))
    marked = row.values(sent_at=bindparam("marked_at")).returning(rows.c.seq).cte("marked")
    told = _sent().returning(commands.c.id).cte("told")
    first = [select(func.count()).select_from(one).scalar_subquery() for one in (marked, told)]
    leases = OutboxLease.__table__  # type: ignore[attr-defined]
    given = _given_back().where(*(one.is_not(None) for one in first)).returning(leases.c.stream)
    return select(func.count()).select_from(given.cte("given"))


@built
def _more() -> Any:
    ours = col(OutboxRow.stream) == bindparam("stream")
    return select(col(OutboxRow.seq)).where(ours, *pending()).limit(1)
