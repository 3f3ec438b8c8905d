"""What the owner's console is given."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar

from cloud_api.claims.room_days import RoomState
from cloud_api.web.view_models.parts import Device, StayPhase, StepState


@dataclass(frozen=True)
class Kpi:
    text: str
    value: str
    unit: str = ""
    note: str = ""
    tone: str = ""
    """``good``, ``warn``, ``bad`` or empty."""


@dataclass(frozen=True)
class Alarm:
    id: str
    icon: str
    headline: str
    line: str = ""
    room_href: str = ""


@dataclass(frozen=True)
class Tile:
    """At most three lines: name and state; one number; who and until, money or a warning.

    ``until`` makes the number count down (or up after it, for overtime); else ``number`` stands.
    ``progress`` is 0 to 100 of the stay.
    """

    room_id: str
    href: str
    name: str
    state: RoomState
    number: str
    number_note: str = ""
    foot: str = ""
    money_fen: int | None = None
    warn: str = ""
    warn_icon: str = ""
    warn_bad: bool = False
    progress: float | None = None
    until: datetime | None = None
    current: bool = False


@dataclass(frozen=True)
class StoreBlock:
    store_id: str
    name: str
    online: bool
    link_note: str
    in_use: int
    rooms: int
    income_fen: int | None
    tiles: tuple[Tile, ...]
    bulk: bool = False
    """Whether this member of staff may switch the whole store now."""
    stale_at: datetime | None = None


@dataclass(frozen=True)
class Arrival:
    at: datetime
    room_name: str
    store_name: str
    who: str
    note: str
    good: bool


@dataclass(frozen=True)
class AnswerStep:
    text: str
    state: StepState
    seconds: float | None = None


@dataclass(frozen=True)
class StoreAnswer:
    """What the store answered to the last command, and who asked, when and why."""

    steps: tuple[AnswerStep, ...]
    by: str = ""


@dataclass(frozen=True)
class ConsoleDoor:
    id: str
    name: str
    word: str
    last: StoreAnswer | None = None


@dataclass(frozen=True)
class ModeChoice:
    """One of a room's modes."""

    key: str
    text: str
    current: bool = False


@dataclass(frozen=True)
class RoomModes:
    """What a room is set to. ``line`` says until when and why; ``obeyed`` whether the store does so."""

    url: str
    choices: tuple[ModeChoice, ...]
    line: str = ""
    obeyed: bool = True
    may_set: bool = True


@dataclass(frozen=True)
class ConsoleStay:
    order_number: str
    order_href: str
    who: str
    starts_at: datetime
    ends_at: datetime
    progress: float
    total_fen: int
    phase: StayPhase = StayPhase.RUNNING
    warning: str = ""


@dataclass(frozen=True)
class Inspector:
    room_id: str
    name: str
    art: str
    state: RoomState
    meta: str
    doors: tuple[ConsoleDoor, ...]
    devices: tuple[Device, ...]
    stay: ConsoleStay | None = None
    next_line: str = ""
    store_online: bool = True
    stale_at: datetime | None = None
    close_href: str = "/console"
    href: str = ""
    store_id: str = ""
    can_command: bool = True
    can_clean: bool = False
    """Whether this member of staff may open its doors because it is being cleaned."""
    modes: RoomModes | None = None
    photo_url: str = ""


@dataclass(frozen=True)
class NavItem:
    """A page one may go to; ``badge`` counts what waits there, ``group`` names its row among many."""

    key: str
    text: str
    href: str
    badge: int = 0
    group: str = ""


@dataclass(frozen=True)
class NavSection:
    """A place on the rail with its pages; it leads to the first of them."""

    key: str
    icon: str
    text: str
    items: tuple[NavItem, ...]

    @property
    def href(self) -> str:
        """Where the rail leads."""
        return self.items[0].href

    @property
    def badge(self) -> int:
        """What waits in all of its pages."""
        return sum(item.badge for item in self.items)

    def holds(self, key: str) -> bool:
        """Whether the page ``key`` is one of its own."""
        return any(item.key == key for item in self.items)


@dataclass(frozen=True)
class ConsoleShell:
    """The console's frame: what this member of staff may reach, and where they are."""

    sections: tuple[NavSection, ...]
    here: str
    alarms: int = 0
    store_word: str = ""
    merchant: str = ""

    TABS: ClassVar[int] = 4

    @property
    def tabs(self) -> tuple[NavSection, ...]:
        """What a phone's tab bar holds; the rest is in the sheet behind 更多."""
        return self.sections[: self.TABS]

    @property
    def behind_more(self) -> bool:
        """Whether where one is stands in that sheet alone."""
        return not any(section.holds(self.here) for section in self.tabs)

    @property
    def finds(self) -> bool:
        """Whether orders may be searched from here."""
        return any(item.key == "orders" for section in self.sections for item in section.items)

    @property
    def siblings(self) -> tuple[NavItem, ...]:
        """The pages of the section one is in, of its group where it has some; nothing when it is one."""
        mine = self._own
        group = next((item.group for item in mine if item.key == self.here), "")
        mine = tuple(item for item in mine if item.group == group)
        return mine if len(mine) > 1 else ()

    @property
    def groups(self) -> tuple[NavItem, ...]:
        """The groups of the section one is in: each leads to the first of its pages; ``key`` is where one is."""
        found: dict[str, NavItem] = {}
        for item in self._own:
            first = found.setdefault(item.group, item)
            if item.key == self.here:
                found[item.group] = replace(item, href=first.href)
        return tuple(found.values()) if len(found) > 1 else ()

    @property
    def _own(self) -> tuple[NavItem, ...]:
        return next((s.items for s in self.sections if s.holds(self.here)), ())


@dataclass(frozen=True)
class LivePage:
    kpis: tuple[Kpi, ...]
    stores: tuple[StoreBlock, ...]
    alarms: tuple[Alarm, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    inspector: Inspector | None = None
    may_force: bool = False
    mode_sheets: tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...] = ()
    """Of each mode: its key, the question, the consequence, the lengths it may have."""
    board_href: str = ""
    """GET gives ``console/_board.html`` alone, for live refresh."""


@dataclass(frozen=True)
class Sticker:
    """A door's sticker for print. ``qr_svg_url`` draws ``url``."""

    store_name: str
    door_name: str
    url: str
    qr_svg_url: str
    keypad: bool = False
    """Whether the door takes the booking's six digits; a sticker promises nothing else."""
    logo: str = ""


@dataclass(frozen=True)
class StickerSheet:
    """A store's stickers as a PDF: ``doors`` (id, name) to choose from."""

    store_name: str
    pdf_href: str
    doors: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class StickersPage:
    stickers: tuple[Sticker, ...]
    sheets: tuple[StickerSheet, ...] = ()
    back_href: str = "/console"
