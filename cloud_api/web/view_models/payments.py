"""Payment accounts in the console: the list in the order of the page, and one account's form."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class AccountFact:
    """A certificate or key; ``left`` in words, ``tone`` a chip's class where it matters."""

    title: str
    text: str
    until: datetime | None = None
    left: str = ""
    tone: str = ""


@dataclass(frozen=True)
class AccountRow:
    """An account; ``state`` and ``tone`` say whether payers see it, ``why`` why not."""

    id: str
    name: str
    kind: str
    icon: str
    store_name: str
    state: str
    tone: str
    why: str
    limits: str
    href: str
    up: str = ""
    """The order as JSON with this one moved up; empty for the first."""


@dataclass(frozen=True)
class AccountKind:
    """A kind that can be added."""

    name: str
    label: str
    icon: str
    href: str


@dataclass(frozen=True)
class AccountsPage:
    """The merchant's accounts."""

    rows: tuple[AccountRow, ...]
    kinds: tuple[AccountKind, ...]


@dataclass(frozen=True)
class AccountField:
    """A field of the form. ``kind``: text, long, password, file; ``kept``: it is stored already."""

    name: str
    title: str
    kind: str
    value: str
    required: bool
    kept: bool


@dataclass(frozen=True)
class AccountPage:
    """One account's form; ``id`` is empty for a new one."""

    id: str
    provider: str
    kind_name: str
    guide: str
    name: str
    enabled: bool
    fields: tuple[AccountField, ...]
    channels: tuple[tuple[str, str, bool], ...]
    min_fen: int | None
    max_fen: int | None
    stores: tuple[tuple[str, str], ...]
    all_stores: bool
    facts: tuple[AccountFact, ...] = ()
    notify_url: str = ""
    store_name: str = ""
    checked: str = ""
    checked_at: datetime | None = None
    good: bool = False
