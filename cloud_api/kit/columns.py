"""Column types: instants that keep their zone, texts that are encrypted, JSON that is portable."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, String, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

from cloud_api.kit.crypto import vault


class UTCDateTime(TypeDecorator[datetime]):
    """An aware instant, stored in UTC. SQLite forgets zones, so it gets text that sorts by time."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """``timestamptz`` on PostgreSQL, fixed-width ISO text on SQLite."""
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(27))
        return dialect.type_descriptor(DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        """Refuse a naive value: it has no instant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime reached the database; use an aware one")
        instant = value if value.tzinfo is UTC else value.astimezone(UTC)
        if dialect.name == "sqlite":
            return f"{instant:%Y-%m-%dT%H:%M:%S}.{instant.microsecond:06d}Z"
        return instant

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Aware, in UTC."""
        if value is None:
            return None
        if isinstance(value, str):
            return datetime.fromisoformat(value.replace("Z", "+00:00"))
        assert isinstance(value, datetime)
        return value.astimezone(UTC)


class Encrypted(TypeDecorator[str]):
    """A text encrypted at rest, bound to ``context`` (``table.column``); see kit.crypto."""

    impl = Text
    cache_ok = True

    def __init__(self, context: str) -> None:
        super().__init__()
        self.context = context

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Seal."""
        return None if value is None else vault().seal(value, self.context)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        """Open."""
        return None if value is None else vault().open(value, self.context)


Json = JSON().with_variant(JSONB(), "postgresql")
