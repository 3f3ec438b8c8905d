"""Counts the SQL statements that a block of a test sends, whichever session sends them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import event

from cloud_api.kit.database import Database


@contextmanager
def statements(db: Database) -> Iterator[list[str]]:
    """The statements that ``db`` sends meanwhile, in order; BEGIN and COMMIT are the driver's."""
    engines = [db._write_engine.sync_engine]
    if db.is_sqlite:  # PostgreSQL's reading engine is a view of the other, and tells it
        engines.append(db._read_engine.sync_engine)
    told: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        told.append(statement)

    for engine in engines:
        event.listen(engine, "before_cursor_execute", note)
    try:
        yield told
    finally:
        for engine in engines:
            event.remove(engine, "before_cursor_execute", note)
