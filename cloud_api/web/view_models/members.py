"""Members: the list, and one with money, coupons, orders and what staff know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.web.view_models.listing import Listing
from cloud_api.web.view_models.visit import OrderWord


@dataclass(frozen=True)
class MemberRow:
    account_id: str
    href: str
    who: str
    tags: tuple[str, ...]
    level: str
    blocked: bool
    visits: int
    orders: int
    spent_fen: int
    last_at: datetime


@dataclass(frozen=True)
class MembersPage:
    """``levels`` and ``coupons`` are what many may be given, as choices; empty where this person may not."""

    list: Listing[MemberRow]
    may_edit: bool = False
    levels: tuple[tuple[str, str], ...] = ()
    coupons: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class MemberOrder:
    href: str
    number: str
    word: OrderWord
    room: str
    store: str
    starts_at: datetime
    ends_at: datetime
    total_fen: int


@dataclass(frozen=True)
class MemberCoupon:
    name: str
    state: str
    until: datetime | None


@dataclass(frozen=True)
class MemberPage:
    """``others`` are the members one may merge this one into, found by what was searched for."""

    account_id: str
    who: str
    name: str
    note: str
    tags: tuple[str, ...]
    all_tags: tuple[str, ...]
    level_id: str
    levels: tuple[tuple[str, str], ...]
    figures: tuple[tuple[str, str], ...]
    balance_fen: int
    balance_href: str
    coupons: tuple[MemberCoupon, ...]
    give: tuple[tuple[str, str], ...]
    orders: tuple[MemberOrder, ...]
    orders_href: str
    blocked_id: str = ""
    blocked_why: str = ""
    blocked_until: datetime | None = None
    merged_from: tuple[str, ...] = ()
    can_edit: bool = False
    can_block: bool = False
    can_merge: bool = False
    find: str = ""
    others: tuple[tuple[str, str], ...] = ()
    into: str = ""
    into_who: str = ""
    hindrances: tuple[str, ...] = ()
    moves: tuple[str, ...] = ()

    @property
    def base(self) -> str:
        """Where its acts are."""
        return f"/api/v1/console/members/{self.account_id}"
