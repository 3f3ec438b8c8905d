"""INSERT … ON CONFLICT DO NOTHING on both engines: "make it, unless somebody has"."""

from __future__ import annotations

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
