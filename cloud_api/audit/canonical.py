"""One spelling for a value, so that its hash is the same on both databases and in every year.

Stored as that very text: PostgreSQL's JSONB would spell numbers its own way.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from enum import Enum
from typing import Any

from sqlalchemy import Dialect, Text
from sqlalchemy.types import TypeDecorator


def canonical(value: Any) -> str:
    """JSON with sorted keys and no spaces. Raises TypeError or ValueError for what is no data."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def plain(value: Any) -> Any:
    """``value`` in JSON's types: instants as UTC text, enums by value, sets sorted, texts storable."""
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, str):
        return value.replace("\x00", "").encode("utf-8", "replace").decode()
    if isinstance(value, datetime):
        return instant(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(plain(key)): plain(inner) for key, inner in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((plain(inner) for inner in value), key=str)
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def instant(at: datetime) -> str:
    """UTC with microseconds: ``2026-11-23T04:00:00.000000Z``. Raises ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError("a naive datetime has no instant")
    utc = at.astimezone(UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond:06d}Z"


class CanonicalJson(TypeDecorator[dict[str, Any]]):
    """A mapping, stored as its canonical text."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: dict[str, Any] | None, dialect: Dialect) -> str | None:
        """Spell."""
        return None if value is None else canonical(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> dict[str, Any] | None:
        """Read."""
        if value is None:
            return None
        read = json.loads(value)
        assert isinstance(read, dict)
        return read
