"""Sharing an order: what those pages are given."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class FriendsPage:
    """``url`` is empty while there is no link; ``friends`` are (id, masked phone). ``over``: nobody joins any more."""

    order_id: str
    number: str
    room_name: str
    starts_at: datetime
    ends_at: datetime
    url: str
    qr_href: str
    most: int
    friends: tuple[tuple[str, str], ...]
    over: bool = False


@dataclass(frozen=True)
class JoinPage:
    token: str
    store_name: str
    address: str
    room_name: str
    art: str
    starts_at: datetime
    ends_at: datetime
    joined: bool
    door_href: str
    over_href: str = ""  # where to go on, once it is over
