"""Counts the SQL statements that a block of a test sends, whichever session sends them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from cloud_api.kit.database import Database
from cloud_api.kit.straight import straight as compiled


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """The statements that ``db`` sends meanwhile, in order; BEGIN and COMMIT are the driver's."""
    engines = [db._write_engine.sync_engine]
    if db.is_sqlite:  # PostgreSQL's reading engine is a view of the other, and tells it
        engines.append(db._read_engine.sync_engine)
    told: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        told.append(statement)

    straight = db.straight

    async def noted(statement: Any, values: dict[str, Any]) -> list[Any]:
        """These go past the engine's events."""
        known = compiled(statement, db._read_engine.dialect)
        if known is not None:
            told.append(known.text)
        return await straight(statement, values)

    db.straight = noted  # type: ignore[method-assign]
    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield told
    finally:
        db.straight = straight  # type: ignore[method-assign]
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
