"""Booking for who calls: what that page is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.web.view_models.changes import Nearby
from cloud_api.web.view_models.parts import Fees


@dataclass(frozen=True)
class WeekRow:
    """One time of a weekly booking: its price, or why it cannot be had."""

    begins: datetime
    ends: datetime
    total_fen: int | None = None
    why: str = ""


@dataclass(frozen=True)
class BookForPage:
    """A form to choose from; ``fees`` and ``body`` once a time was chosen that can be had.

    ``weeks`` instead of ``fees`` for the same time every week; without ``body`` none of them can be had.
    """

    stores: tuple[tuple[str, str], ...]
    rooms: tuple[tuple[str, str], ...]
    days: tuple[tuple[str, str], ...]
    hours: tuple[tuple[str, str], ...]
    lengths: tuple[tuple[int, str], ...]
    store_id: str
    room_id: str
    day: str
    time: str
    minutes: int
    hold_minutes: int
    why_not: str = ""
    nearby: tuple[Nearby, ...] = ()
    room_name: str = ""
    begins: datetime | None = None
    ends: datetime | None = None
    fees: Fees | None = None
    body: str = ""
    times: int = 1
    repeats: tuple[tuple[int, str], ...] = ()
    weeks: tuple[WeekRow, ...] = ()

    @property
    def weeks_free(self) -> int:
        """How many of the weeks can be had."""
        return sum(week.total_fen is not None for week in self.weeks)

    @property
    def weeks_fen(self) -> int:
        """What those cost together."""
        return sum(week.total_fen or 0 for week in self.weeks)
