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
    columns = [_column(model, name, rows, connection.dialect) for name in names]
    records = list(zip(*columns, strict=True))
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    try:
        await raw.copy_records_to_table(table_of(model), records=records, columns=names)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DBAPIError("COPY", None, error) from error


def table_of(model: type[SQLModel]) -> str:
    """The name of a model's table."""
    return str(model.__tablename__)


def _column(
    model: type[SQLModel], name: str, rows: Sequence[Mapping[str, Any]], dialect: Dialect
) -> list[Any]:
    """The values of a column as the driver takes them."""
    values = [row[name] for row in rows]
    processor = model.__table__.c[name].type.bind_processor(dialect)  # type: ignore[attr-defined]
    return values if processor is None else [processor(value) for value in values]
