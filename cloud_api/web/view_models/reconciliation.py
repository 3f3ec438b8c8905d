"""What the pages of reconciliation show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.web.view_models.listing import Listing


@dataclass(frozen=True)
class BillLineRow:
    """A day of an account."""

    id: str
    href: str
    day: str
    name: str
    word: str
    tone: str
    note: str
    paid_fen: int
    refunded_fen: int
    fee_fen: int


@dataclass(frozen=True)
class BillsPage:
    """The days."""

    list: Listing[BillLineRow]


@dataclass(frozen=True)
class GapRow:
    """Where the bill and our books differ. ``href`` leads to the order, where there is one."""

    id: str
    number: str
    kind: str
    why: str
    theirs: str
    ours: str
    word: str
    note: str
    open: bool
    href: str
    at: datetime


@dataclass(frozen=True)
class BillPage:
    """A day's report. ``sums``: name, the bill's, ours, and whether they are the same."""

    id: str
    title: str
    word: str
    tone: str
    line: str
    sums: tuple[tuple[str, str, str, bool], ...]
    facts: tuple[tuple[str, str], ...]
    read_at: datetime | None
    can_act: bool
    gaps: Listing[GapRow]
