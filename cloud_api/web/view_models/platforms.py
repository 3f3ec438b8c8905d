"""Platform vouchers in the console and on the phone: accesses and deals, uses, a code and what it opens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.platform_vouchers.schemas import (
    ConsoleUseOut,
    DealOut,
    DifferenceOut,
    UseOut,
    WayOut,
)


@dataclass(frozen=True)
class PlatformField:
    """A field of an access's form; ``kept``: it is stored and shown to nobody."""

    name: str
    title: str
    secret: bool
    value: str
    required: bool
    kept: bool


@dataclass(frozen=True)
class PlatformRow:
    """An access in the list."""

    id: str
    name: str
    kind: str
    stores: str
    state: str
    tone: str
    why: str
    deals: int
    href: str
    by_hand: bool = False


@dataclass(frozen=True)
class PlatformKind:
    """A kind that can be added."""

    name: str
    guide: str
    href: str


@dataclass(frozen=True)
class PlatformsPage:
    """The accesses, and what can be added."""

    rows: tuple[PlatformRow, ...]
    kinds: tuple[PlatformKind, ...]


@dataclass(frozen=True)
class DealRow:
    """What a deal opens, in words."""

    one: DealOut
    length: str
    when: str
    where: str
    sheet: str


@dataclass(frozen=True)
class PlatformPage:
    """One access: its form and its deals. ``place`` is what a store is called there, empty for none."""

    id: str
    kind: str
    kind_name: str
    guide: str
    name: str
    enabled: bool
    fields: tuple[PlatformField, ...]
    place: str
    one_store: bool
    stores: tuple[tuple[str, str, str], ...]
    store_id: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    checked: str = ""
    good: bool = False
    checked_at: datetime | None = None
    by_hand: bool = False
    deals: tuple[DealRow, ...] = ()
    rooms: tuple[tuple[str, str, str], ...] = ()
    froms: tuple[tuple[int, str], ...] = ()
    untils: tuple[tuple[int, str], ...] = ()

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """The stores as choices."""
        return tuple((key, name) for key, name, _place in self.stores)


@dataclass(frozen=True)
class PlatformUseRow:
    """A use with what may be done to it."""

    one: ConsoleUseOut
    way: str
    tone: str
    order_href: str


@dataclass(frozen=True)
class PlatformUsesPage:
    """Uses by state, and where records differ. ``show``: waiting, all, differences."""

    show: str
    rows: tuple[PlatformUseRow, ...] = ()
    differences: tuple[DifferenceOut, ...] = ()
    next_href: str = ""
    open_differences: int = 0


@dataclass(frozen=True)
class PlatformCodePage:
    """Where a guest enters a platform's code. ``room_id``: the room of the door they stand at."""

    store_id: str
    store_name: str
    ways: tuple[WayOut, ...]
    back_href: str
    offset: str
    first_day: str
    last_day: str
    room_id: str = ""
    room_name: str = ""
    door_href: str = ""
    cancel_words: str = ""  # what cancelling makes of the voucher, by the house's rules


@dataclass(frozen=True)
class PlatformUsePage:
    """How a guest's use stands."""

    one: UseOut
    line: str
    tone: str
    icon: str
    order_href: str = ""
    back_href: str = ""
    may_withdraw: bool = False
