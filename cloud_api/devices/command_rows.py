"""A command's two rows, its own and that of the outbox, written only if the store is there.

PostgreSQL does it in one statement: a person waits at a door for each round trip.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Insert, bindparam, insert, select, true
from sqlmodel import SQLModel, col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.models import OutboxRow
from cloud_api.kit.statements import built, is_sqlite


async def write(session: AsyncSession, command: DeviceCommand, row: OutboxRow) -> str | None:
    """The nonce of the store's present connection; None, and nothing written, where there is none.

    Fills in ``row.seq``. Neither becomes part of the session.
    """
    await session.flush()
    values = _values("c", command) | _values("o", row) | {"store": command.store_id}
    if not is_sqlite(session):
        found = (await session.execute(_both(), values)).one_or_none()
        if found is None:
            return None
        row.seq, nonce = found
        return str(nonce)
    there = (await session.execute(_there(), {"store": command.store_id})).scalar_one_or_none()
    if there is None:
        return None
    await session.execute(_insert(DeviceCommand), _values("", command))
    made = await session.execute(_insert(OutboxRow).returning(col(OutboxRow.seq)), _values("", row))
    row.seq = made.scalar_one()
    return str(there)


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


@built
def _there() -> Any:
    """Not the row: the store's last report stands in it, which is long."""
    return (
        scoped(System(), StoreStatus)
        .with_only_columns(col(StoreStatus.nonce))
        .where(
            col(StoreStatus.store_id) == bindparam("store"),
            col(StoreStatus.online),
            col(StoreStatus.nonce).is_not(None),
        )
    )


@built
def _both() -> Any:
    there = _there().cte("there")

    def of(prefix: str, model: type[SQLModel]) -> Insert:
        """The row of these values, if the store is there."""
        names, types = _names(model), _columns(model)
        values = [bindparam(f"{prefix}{name}", type_=types[name].type) for name in names]
        return _insert(model).from_select(names, select(*values).select_from(there))

    made = of("c", DeviceCommand).returning(col(DeviceCommand.id)).cte("made")
    sent = of("o", OutboxRow).returning(col(OutboxRow.seq)).cte("sent")
    return select(sent.c.seq, there.c.nonce).select_from(sent.join(there, true())).add_cte(made)
