"""Waiting for a time: what those pages are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class WaitRow:
    """``until`` is set while it is offered; ``before`` counts who came earlier; ``missed``: an offer was let go by."""

    id: str
    store_name: str
    room_name: str
    starts_at: datetime
    ends_at: datetime
    before: int
    until: datetime | None = None
    missed: bool = False


@dataclass(frozen=True)
class WaitingPage:
    rows: tuple[WaitRow, ...]


@dataclass(frozen=True)
class WaitForm:
    room_id: str
    room_name: str
    store_id: str
    days: tuple[tuple[str, str], ...]
    times: tuple[tuple[str, str], ...]
    lengths: tuple[tuple[int, str], ...]
    day: str
    time: str
    minutes: int
    begins: datetime | None = None
    ends: datetime | None = None
    body_one: str = ""
    body_any: str = ""
