"""The page of booking rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.claims.booking_rules import Rules


@dataclass(frozen=True)
class PlaceTab:
    text: str
    href: str
    on: bool
    note: str = ""
    """How many rules differ from the store's."""


@dataclass(frozen=True)
class BlockedRow:
    """Somebody who may not book; ``until`` None: until somebody lifts it."""

    id: str
    who: str
    why: str
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True)
class BookingRulesPage:
    """``own``: what is set here; for a room everything else follows the store."""

    store_name: str
    room_name: str
    action: str
    rules: Rules
    own: frozenset[str]
    stores: tuple[PlaceTab, ...]
    rooms: tuple[PlaceTab, ...]
    sentence: str
    can_edit: bool
    blocked: tuple[BlockedRow, ...] = ()
    can_lift: bool = False
    """Whether this member of staff sees the black list and may take somebody off it."""
