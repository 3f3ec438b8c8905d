"""INSERT … ON CONFLICT DO NOTHING on both engines: "make it, unless somebody has"."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.statements import is_sqlite


async def insert_or_ignore(
    session: AsyncSession, model: type[SQLModel], values: dict[str, Any]
) -> bool:
    """Insert a row unless one of its unique keys is taken; True where it is new.

    ``values`` name columns; defaults made by Python are not filled in.
    """
    result = await session.execute(_insert(model, is_sqlite(session)), values)
    assert isinstance(result, CursorResult)
    return bool(result.rowcount == 1)


async def insert_new(
    session: AsyncSession, model: type[SQLModel], rows: Sequence[dict[str, Any]]
) -> None:
    """Insert those of ``rows`` (all with the same columns) of which no unique key is taken."""
    insert: Any = sqlite.insert if is_sqlite(session) else postgresql.insert
    await session.execute(insert(model).values(list(rows)).on_conflict_do_nothing())


@cache
def _insert(model: type[SQLModel], sqlite_: bool) -> Any:
    """Of the table and not of the model: the columns come with the values."""
    insert: Any = sqlite.insert if sqlite_ else postgresql.insert
    return insert(model.__table__).on_conflict_do_nothing()  # type: ignore[attr-defined]
