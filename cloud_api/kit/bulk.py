"""Many rows at once, for tables that grow by the thousand: COPY on PostgreSQL, one INSERT on SQLite.

A row for COPY is a line of text, as PostgreSQL reads it: cells with tabs between them. Whoever has thousands
of them writes each in one go, which costs a fraction of handing over values one by one.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

import asyncpg
from pydantic_core import to_json
from sqlalchemy import insert
from sqlalchemy.exc import DBAPIError
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

_SPECIAL: Final = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


async def copy_rows(
    session: AsyncSession, model: type[SQLModel], names: Sequence[str], rows: Sequence[str]
) -> None:
    """PostgreSQL: insert ``rows``, each the ``cell``s of the columns ``names`` with tabs between them.

    In the transaction of ``session``. Values are checked by the database alone; defaults made by Python
    are not filled in. Raises DBAPIError where the database takes one of them not: then none of them
    is there, and the transaction is over.
    """
    if not rows:
        return
    connection = await session.connection()
    raw = (await connection.get_raw_connection()).driver_connection
    assert raw is not None
    text = "\n".join((*rows, "")).encode()
    try:
        # asyncpg would take bytes for the name of a file.
        await raw.copy_to_table(table_of(model), source=memoryview(text), columns=names)
    except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise DBAPIError("COPY", None, error) from error


async def insert_rows(
    session: AsyncSession, model: type[SQLModel], rows: Sequence[dict[str, Any]]
) -> None:
    """Any database, SQLite above all: the same for values by the names of their columns."""
    if rows:
        await session.execute(insert(model), rows)


def table_of(model: type[SQLModel]) -> str:
    """The name of a model's table."""
    return str(model.__tablename__)


def cell(text: str) -> str:
    """A text as COPY reads it."""
    return text if text.isprintable() and "\\" not in text else text.translate(_SPECIAL)


def instant_cell(ms: int) -> str:
    """An instant in milliseconds since 1970 as COPY reads it into ``timestamptz``."""
    seconds, rest = divmod(ms, 1000)
    return f"{_second(seconds)}.{rest:03d}+00"


@lru_cache(maxsize=4096)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ")[:19]


def json_of(value: Any) -> str:
    """As json.dumps, a fifth of its time. What JSON has not is written so that the database refuses it."""
    return to_json(value, inf_nan_mode="constants").decode()
