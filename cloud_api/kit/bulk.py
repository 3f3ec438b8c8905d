"""Many rows at once, for tables that grow by the thousand: COPY on PostgreSQL, one INSERT on SQLite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import asyncpg
from sqlalchemy import Dialect, insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession


async def insert_many(
    session: AsyncSession, model: type[SQLModel], rows: Sequence[Mapping[str, Any]]
) -> None:
    """Insert ``rows`` in the transaction of ``session``; all have the same columns.

    Values are checked by the database alone; defaults made by Python are not filled in. Raises
    DBAPIError where the database takes one of them not: then none of them is there, and on
    PostgreSQL the transaction is over.
    """
    if not rows:
        return
    connection = await session.connection()
    if connection.dialect.name != "postgresql":
        await session.execute(insert(model), [dict(row) for row in rows])
        return
    names = list(rows[0])
    binds = [_bind(model, name, connection.dialect) for name in names]
    records = [
        tuple(bind(row[name]) for name, bind in zip(names, binds, strict=True)) for row in rows
    ]
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    try:
        await raw.copy_records_to_table(table_of(model), records=records, columns=names)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DBAPIError("COPY", None, error) from error


def table_of(model: type[SQLModel]) -> str:
    """The name of a model's table."""
    return str(model.__tablename__)


def _bind(model: type[SQLModel], name: str, dialect: Dialect) -> Any:
    """What turns a Python value of a column into what the driver takes."""
    processor = model.__table__.c[name].type.bind_processor(dialect)  # type: ignore[attr-defined]
    return processor or _same


def _same(value: Any) -> Any:
    return value
