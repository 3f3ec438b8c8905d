"""Statements that go straight to PostgreSQL's driver: compiled once, their values and rows turned as ever.

To execute a statement costs SQLAlchemy five times what the driver takes (0.3 ms for the smallest), and a
person at a door waits for it. Types turn values and rows here as they do there; what is left out is the
session, its events and its cursors. For the few statements that somebody stands and waits for; all others
go the ordinary way.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import Dialect
from sqlalchemy.sql.compiler import SQLCompiler

_Turn = Callable[[Any], Any] | None


class Straight:
    """A SELECT for asyncpg, with what turns its values and its rows.

    ``bindparam`` names what differs, as in ``built``. A row is a tuple that knows the names of what was
    selected; a table's class in it is a row of that class that belongs to no session, or None where an
    outer join found none.
    """

    def __init__(self, statement: Any, compiled: SQLCompiler) -> None:
        dialect = compiled.dialect
        self.text = str(compiled)
        self._binds = [_bind(compiled, name) for name in compiled.positiontup or ()]
        self._made: Any = namedtuple(  # type: ignore[misc]
            "Found", [one["name"] for one in statement.column_descriptions], rename=True
        )
        columns = iter(compiled._result_columns)
        self._parts: list[tuple[type[Any] | None, list[tuple[str, _Turn]]]] = []
        for one in statement.column_descriptions:
            whole = one["expr"] is one.get("entity") is not None
            mapper = sa.inspect(one["entity"]) if whole else None
            own = list(islice(columns, 1 if mapper is None else len(mapper.columns)))
            self._parts.append((one["entity"] if whole else None, _turns(own, mapper, dialect)))
        self._plain = all(entity is None for entity, _ in self._parts)
        self._turned = [
            (at, turn)
            for at, (_, ((_, turn), *_rest)) in enumerate(self._parts)
            if turn is not None
        ]

    def args(self, values: Mapping[str, Any]) -> list[Any]:
        """What the driver takes, in the order of the text. Raises KeyError for a value that is missing."""
        return [
            constant if fixed and key not in values else _turned(values[key], turn)
            for key, turn, fixed, constant in self._binds
        ]

    def rows(self, records: Iterable[Any]) -> list[Any]:
        """What the driver found."""
        if self._plain:
            return [self._row(tuple(record)) for record in records]
        return [self._made._make(self._whole(iter(record.values()))) for record in records]

    def _row(self, found: tuple[Any, ...]) -> Any:
        if self._turned:
            changed = list(found)
            for at, turn in self._turned:
                changed[at] = _turned(changed[at], turn)
            return self._made._make(changed)
        return self._made._make(found)

    def _whole(self, values: Any) -> Iterable[Any]:
        for entity, turns in self._parts:
            own = {
                key: _turned(value, turn) for (key, turn), value in zip(turns, values, strict=False)
            }
            if entity is None:
                yield from own.values()
            elif all(value is None for value in own.values()):
                yield None
            else:
                row = sa.inspect(entity).class_manager.new_instance()
                row.__dict__.update(own)
                yield row


def straight(statement: Any, dialect: Dialect) -> Straight | None:
    """``statement`` compiled; None for one that only SQLAlchemy can send: its text depends on its values
    (``IN`` with a list), or Python fills in values that nobody named.
    """
    compiled = statement.compile(dialect=dialect)
    filled = compiled.insert_prefetch or compiled.update_prefetch
    return None if compiled.post_compile_params or filled else Straight(statement, compiled)


def _turned(value: Any, turn: _Turn) -> Any:
    return value if turn is None else turn(value)


def _bind(compiled: SQLCompiler, name: str) -> tuple[str, _Turn, bool, Any]:
    """Key, what turns a value, whether it has one of its own, and that one as the driver takes it."""
    bind = compiled.binds[name]
    turn: Any = compiled._bind_processors.get(name)
    fixed = not bind.required
    return bind.key, turn, fixed, _turned(bind.effective_value, turn) if fixed else None


def _turns(columns: list[Any], mapper: Any, dialect: Dialect) -> list[tuple[str, _Turn]]:
    found = []
    for entry in columns:
        turn: Any = entry.type.dialect_impl(dialect).result_processor(dialect, None)
        key = entry.keyname
        if mapper is not None:
            column = next(one for one in entry.objects if isinstance(one, sa.Column))
            key = mapper.get_property_by_column(column).key
        found.append((key, turn))
    return found
