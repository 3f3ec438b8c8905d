"""Cleaning: the board, one task, a month's pay, the rules."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.web.view_models.console import StoreAnswer


@dataclass(frozen=True)
class CleaningCard:
    """A task on the board. ``due`` says until when, ``hot`` that it is too late or nearly so."""

    id: str
    href: str
    room: str
    store: str
    art: str
    photo_url: str
    state: str
    word: str
    who: str
    since: datetime
    due: str = ""
    hot: bool = False
    note: str = ""
    why: str = ""
    pay_fen: int = 0
    mine: bool = False


@dataclass(frozen=True)
class CleaningColumn:
    """A column of the board; ``empty`` is what it says when nothing stands in it."""

    key: str
    text: str
    cards: tuple[CleaningCard, ...]
    empty: str


@dataclass(frozen=True)
class CleaningBoard:
    """``columns`` for who has others clean; ``mine`` and ``free`` for who cleans."""

    columns: tuple[CleaningColumn, ...] = ()
    mine: tuple[CleaningCard, ...] = ()
    free: tuple[CleaningCard, ...] = ()
    done_today: int = 0
    earned_fen: int = 0
    rooms: tuple[tuple[str, str], ...] = ()
    people: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class CleaningDoor:
    id: str
    name: str
    last: StoreAnswer | None = None


@dataclass(frozen=True)
class CleaningPhoto:
    src: str
    href: str


@dataclass(frozen=True)
class CleaningTaskPage:
    """One task. The flags say what this person may do with it now."""

    card: CleaningCard
    doors: tuple[CleaningDoor, ...] = ()
    photos: tuple[CleaningPhoto, ...] = ()
    photos_wanted: int = 0
    photo_mb: int = 0
    happened: tuple[tuple[str, str, str], ...] = ()
    people: tuple[tuple[str, str], ...] = ()
    store_online: bool = True
    guests_in: bool = False
    can_grab: bool = False
    can_work: bool = False
    can_assign: bool = False
    can_check: bool = False
    can_call_off: bool = False
    back_href: str = "/console/cleaning"

    @property
    def base(self) -> str:
        """Where its acts are."""
        return f"/api/v1/console/cleaning/tasks/{self.card.id}"


@dataclass(frozen=True)
class PayLine:
    at: datetime
    store: str
    room: str
    minutes: int
    pay_fen: int
    sent_back: bool
    href: str


@dataclass(frozen=True)
class PayPerson:
    name: str
    count: int
    minutes: int
    pay_fen: int
    lines: tuple[PayLine, ...]


@dataclass(frozen=True)
class CleaningSheet:
    """A month; ``month`` as ``2026-11``, ``text`` in words."""

    month: str
    text: str
    before_href: str
    after_href: str
    people: tuple[PayPerson, ...]
    csv_href: str

    @property
    def pay_fen(self) -> int:
        """All of it."""
        return sum(one.pay_fen for one in self.people)


@dataclass(frozen=True)
class CleaningRuleForm:
    """A store's rule and what it means in a sentence."""

    store_name: str
    action: str
    after_stay: bool
    least_minutes: int
    minutes: int
    keep: bool
    check_done: bool
    photos: int
    pay_fen: int
    sentence: str
    seen: str = ""


@dataclass(frozen=True)
class CleaningRules:
    forms: tuple[CleaningRuleForm, ...]
