"""Another room because a lock does not answer: what that page is given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class FreeRoom:
    """``seats`` in people."""

    id: str
    name: str
    seats: int


@dataclass(frozen=True)
class OtherRoomPage:
    """``why_not`` says why nothing may be chosen; empty ``rooms`` without it: all others are taken."""

    order_id: str
    number: str
    room_name: str
    begins: datetime
    ends: datetime
    rooms: tuple[FreeRoom, ...] = ()
    why_not: str = ""
    phone: str = ""
