"""What the pages of the log, of backups and of one's own data show."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from cloud_api.web.view_models.listing import Listing


@dataclass(frozen=True)
class ActRow:
    """An act in the list."""

    id: str
    href: str
    what: str
    who: str
    store: str
    why: str
    at: datetime


@dataclass(frozen=True)
class Act:
    """An act, whole: who, from where, what it was before and after, in words."""

    id: str
    what: str
    who: str
    close_href: str
    why: str
    at: datetime
    facts: tuple[tuple[str, str], ...] = ()
    before: tuple[tuple[str, str], ...] = ()
    after: tuple[tuple[str, str], ...] = ()
    mark: str = ""
    """The beginning of its hash, to be compared with an export."""


@dataclass(frozen=True)
class AuditPage:
    """The list, with an act open beside it."""

    list: Listing[ActRow]
    act: Act | None = None
    export_href: str = ""


@dataclass(frozen=True)
class BackupRow:
    """One run. ``state``: asked, running, good, failed."""

    id: str
    state: str
    word: str
    name: str
    size: str
    note: str
    at: datetime
    checked_at: datetime | None = None


@dataclass(frozen=True)
class BackupsPage:
    """``facts``: where to, when, how long kept. ``trouble`` says what is missing."""

    list: Listing[BackupRow]
    facts: tuple[tuple[str, str], ...] = ()
    trouble: str = ""
    can_run: bool = False
    running: bool = False


@dataclass(frozen=True)
class Copy:
    """A copy of one's data. ``href`` where it can be fetched."""

    word: str
    at: datetime
    href: str = ""
    until: datetime | None = None


@dataclass(frozen=True)
class PrivacyPage:
    """One's own data: copies, and the way to have all of it deleted."""

    phone: str
    copies: tuple[Copy, ...] = ()
    waiting: bool = False
    error: str = ""
    reasons: tuple[str, ...] = field(default=())
