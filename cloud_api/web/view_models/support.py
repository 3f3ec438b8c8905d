"""Reviews and tickets: what those pages are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Proof:
    """A photo that a guest sent: small, and as large as it is."""

    src: str
    href: str


@dataclass(frozen=True)
class TicketRow:
    href: str
    kind: str
    state: str
    """open, answered, closed"""
    state_word: str
    subject: str
    at: datetime
    store_name: str = ""
    id: str = ""
    assigned: str = ""


@dataclass(frozen=True)
class Said:
    text: str
    mine: bool
    at: datetime
    inside: bool = False
    photos: tuple[Proof, ...] = ()


@dataclass(frozen=True)
class TicketsPage:
    rows: tuple[TicketRow, ...]
    stores: tuple[tuple[str, str], ...] = ()
    people: tuple[tuple[str, str], ...] = ()
    """Who may answer: id and name."""


@dataclass(frozen=True)
class TicketPage:
    ticket: TicketRow
    id: str
    said: tuple[Said, ...]
    order_href: str = ""
    rows: tuple[TicketRow, ...] = ()
    store_id: str = ""


@dataclass(frozen=True)
class HelpPage:
    order_id: str
    number: str
    phone: str
    kinds: tuple[tuple[str, str], ...]
    kind: str


@dataclass(frozen=True)
class ReviewPage:
    order_id: str
    room_name: str
    starts_at: datetime
    ends_at: datetime
    stars: int = 0
    text: str = ""
    reply: str = ""
    photos: tuple[Proof, ...] = ()


@dataclass(frozen=True)
class ReviewRow:
    id: str
    stars: int
    text: str
    room_name: str
    store_name: str
    at: datetime
    reply: str
    hidden_why: str
    order_href: str
    photos: tuple[Proof, ...] = ()


@dataclass(frozen=True)
class ReviewsPage:
    rows: tuple[ReviewRow, ...]
    can_handle: bool
