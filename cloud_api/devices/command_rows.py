"""A command's two rows, its own and that of the outbox, written only if the store is there.

PostgreSQL does it in one statement, with the lease of the store's stream where that is asked for: a person
waits at a door for each round trip.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import CTE, FromClause, Insert, and_, bindparam, insert, select, true
from sqlmodel import SQLModel, col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.models import DeviceCommand, StoreCredential, StoreStatus
from cloud_api.kit import outbox
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.models import OutboxRow
from cloud_api.kit.statements import built, is_sqlite
from cloud_api.kit.writing import made


@dataclass(frozen=True, slots=True)
class There:
    """A store that is there: its present connection, and what it seals its answers with."""

    nonce: str
    at: datetime  # wire time; it was read then or later
    mac_kid: str | None = None  # None: it has no live credential
    mac_key: str | None = field(default=None, repr=False)


async def write(
    session: AsyncSession, command: DeviceCommand, row: OutboxRow, *, last: bool = False
) -> There | None:
    """Write both; None, and nothing written, where the store is not there. It is sent after the commit.

    Fills in ``row.seq``. Neither becomes part of the session. ``last``: see ``create_command``.
    """
    await session.flush()
    now, store = row.created_at, {"store": command.store_id}
    if is_sqlite(session):
        found = (await session.execute(_there(), store)).one_or_none()
        if found is None:
            return None
        await session.execute(_insert(DeviceCommand), _values("", command))
        made = await session.execute(
            _insert(OutboxRow).returning(col(OutboxRow.seq)), _values("", row)
        )
        row.seq = made.scalar_one()
        there = There(found.nonce, now, found.mac_kid, found.mac_key)
        outbox.send(session, row, now, (row, command, there))
        return there
    values = _values("c", command) | _values("o", row) | store
    holder = outbox.asks(session) if last else None
    if holder is not None:
        values |= outbox.asked(row.stream, holder, now)
    found = (await session.execute(_both(holder is not None), values)).one_or_none()
    if found is None:
        return None
    row.seq = found.seq
    there = There(found.nonce, now, found.mac_kid, found.mac_key)
    if holder is None:
        outbox.send(session, row, now, (row, command, there))
    else:
        outbox.send_under(session, row, now, outbox.taken(found), (row, command, there))
    return there


def outbox_row(command: DeviceCommand) -> OutboxRow:
    """What has a new command sent."""
    return made(
        OutboxRow,
        merchant_id=command.merchant_id,
        stream=command.store_id,
        topic=outbox.COMMAND,
        body={"command_id": command.id},
        created_at=command.created_at,
        expires_at=command.expires_at,
    )


def writing(command: DeviceCommand, row: OutboxRow, holder: str) -> dict[str, Any]:
    """What a statement with ``write_if`` is sent with; whose they are is left to the statement."""
    values = _values("c", command) | _values("o", row)
    lease = outbox.asked(row.stream, holder, row.created_at)
    return {name: one for name, one in (values | lease).items() if name not in _OWN}


_OWN = frozenset({"cmerchant_id", "cstore_id", "omerchant_id", "ostream", "stream"})


def write_if(there: FromClause) -> tuple[CTE, CTE, CTE]:
    """Parts of a statement for PostgreSQL: command, outbox row and lease, if ``there`` has a row.

    ``there`` gives a ``store_id`` and a ``merchant_id``. The second part has the row's ``seq``; the last has
    no row where another has the lease.
    """
    whose = {"merchant_id": there.c.merchant_id}
    store = there.c.store_id
    made = _row_if(there, "c", DeviceCommand, store_id=store, **whose)
    sent = _row_if(there, "o", OutboxRow, stream=store, **whose)
    return (
        made.returning(col(DeviceCommand.id)).cte("made"),
        sent.returning(col(OutboxRow.seq)).cte("sent"),
        outbox.lease_if(there, store).cte("lease"),
    )


def _values(prefix: str, row: SQLModel) -> dict[str, Any]:
    return {f"{prefix}{name}": getattr(row, name) for name in _names(type(row))}


@built
def _names(model: type[SQLModel]) -> tuple[str, ...]:
    """The columns that are written: what the database counts itself is none of them."""
    return tuple(one.name for one in _columns(model) if one.name != "seq")


def _columns(model: type[SQLModel]) -> Any:
    return model.__table__.c  # type: ignore[attr-defined]  # every table here has one


def _insert(model: type[SQLModel]) -> Insert:
    return insert(model.__table__)  # type: ignore[attr-defined]


def _row_if(there: FromClause, prefix: str, model: type[SQLModel], **own: Any) -> Insert:
    """The row of these values, if ``there`` has one; ``own``: what its columns give."""
    names, types = _names(model), _columns(model)
    values = [
        own[name] if name in own else bindparam(f"{prefix}{name}", type_=types[name].type)
        for name in names
    ]
    return _insert(model).from_select(names, select(*values).select_from(there))


def present() -> Any:
    """Stores that are there: connection and key. For statements.

    Not their rows: a store's last report stands in it, which is long. A store has one live credential.
    """
    live = and_(
        col(StoreCredential.store_id) == col(StoreStatus.store_id),
        col(StoreCredential.revoked_at).is_(None),
    )
    return (
        scoped(System(), StoreStatus)
        .outerjoin(StoreCredential, live)
        .with_only_columns(
            col(StoreStatus.nonce), col(StoreCredential.mac_kid), col(StoreCredential.mac_key)
        )
        .where(col(StoreStatus.online), col(StoreStatus.nonce).is_not(None))
    )


@built
def _there() -> Any:
    return present().where(col(StoreStatus.store_id) == bindparam("store"))


@built
def _both(leased: bool) -> Any:
    there = _there().cte("there")
    made = _row_if(there, "c", DeviceCommand).returning(col(DeviceCommand.id)).cte("made")
    sent = _row_if(there, "o", OutboxRow).returning(col(OutboxRow.seq)).cte("sent")
    found, rows = [sent.c.seq, *there.c], sent.join(there, true())
    if leased:
        lease = outbox.lease_if(there).cte("lease")
        others = outbox.taken_with(lease, bindparam("stream"))
        found, rows = [*found, others], rows.outerjoin(lease, true())
    return select(*found).select_from(rows).add_cte(made)
