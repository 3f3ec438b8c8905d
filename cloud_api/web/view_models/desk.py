"""Booking for who calls: what that page is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.web.view_models.changes import Nearby
from cloud_api.web.view_models.parts import Fees


@dataclass(frozen=True)
class BookForPage:
    """A form to choose from; ``fees`` and ``body`` once a time was chosen that can be had."""

    stores: tuple[tuple[str, str], ...]
    rooms: tuple[tuple[str, str], ...]
    days: tuple[tuple[str, str], ...]
    times: tuple[tuple[str, str], ...]
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
