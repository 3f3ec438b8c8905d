"""The page of booking rules."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_api.claims.booking_rules import Rules


@dataclass(frozen=True)
class PlaceTab:
    text: str
    href: str
    on: bool
    note: str = ""
    """How many rules differ from the store's."""


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
