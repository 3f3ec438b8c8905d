"""INSERT … ON CONFLICT DO NOTHING on both engines: "make it, unless somebody has"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import CursorResult
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession


async def insert_or_ignore(
    session: AsyncSession, model: type[SQLModel], values: dict[str, Any]
) -> bool:
    """Insert a row unless one of its unique keys is taken; True where it is new.

    ``values`` name columns; defaults made by Python are not filled in.
    """
    dialect = session.get_bind().dialect.name
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    result = await session.execute(insert(model).values(**values).on_conflict_do_nothing())
    assert isinstance(result, CursorResult)
    return bool(result.rowcount == 1)


async def insert_new(
    session: AsyncSession, model: type[SQLModel], rows: Sequence[dict[str, Any]]
) -> None:
    """Insert those of ``rows`` (all with the same columns) of which no unique key is taken."""
    dialect = session.get_bind().dialect.name
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    await session.execute(insert(model).values(list(rows)).on_conflict_do_nothing())
