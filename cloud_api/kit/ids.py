"""Identifiers: sortable ULIDs for rows, readable numbers for people, secrets for links."""

from __future__ import annotations

import secrets
from datetime import datetime
from zoneinfo import ZoneInfo

from ulid import ULID


def new_id() -> str:
    """A new ULID: 26 characters, sorts by time of making."""
    return str(ULID())


def new_number(now: datetime, tz: str) -> str:
    """An order number for people: local date and time, then six random digits (unguessable enough
    to be no oracle, and UNIQUE in the table).
    """
    local = now.astimezone(ZoneInfo(tz))
    return f"{local:%y%m%d%H%M}{secrets.randbelow(1_000_000):06d}"


def new_token(bits: int = 256) -> str:
    """An unguessable URL-safe token."""
    return secrets.token_urlsafe(bits // 8)


def new_digits(count: int) -> str:
    """``count`` random decimal digits from the system's CSPRNG."""
    return f"{secrets.randbelow(10**count):0{count}d}"
