"""The owner's prices and coupons, as pages."""

from __future__ import annotations

from dataclasses import dataclass, field

from cloud_api.web.view_models.parts import Segment


@dataclass(frozen=True)
class Pick:
    """Something to choose by a link."""

    text: str
    href: str
    on: bool = False


@dataclass(frozen=True)
class PriceCell:
    """So many hours under one price; ``step`` 0 (cheapest) to 4 picks the colour."""

    span: int
    step: int
    text: str
    title: str


@dataclass(frozen=True)
class PriceDay:
    """A row of the grid: a coming day. ``note`` names a holiday or a make-up workday."""

    name: str
    date: str
    note: str
    href: str
    on: bool
    cells: tuple[PriceCell, ...]


@dataclass(frozen=True)
class PriceForm:
    """A tariff, slot, package or extra with the values of its form. ``action`` "" : a new one."""

    id: str
    action: str
    name: str
    says: str
    when: str
    price_fen: int
    active: bool = True
    weekdays: tuple[str, ...] = ()
    holidays: str = "any"
    begin: str = "00:00"
    end: str = "00:00"
    minutes: int = 240
    about: str = ""
    room_id: str = ""
    room_kind: str = ""
    rooms: tuple[str, ...] = ()
    priority: int = 0
    unit: str = "份"
    most: int = 10
    valid_from: str = ""
    valid_until: str = ""
    step: int = 0


@dataclass(frozen=True)
class PriceLine:
    """A stretch of the day that is looked at, as a line beside its bar."""

    text: str
    hourly_fen: int
    key: int


@dataclass(frozen=True)
class PricesPage:
    """A store's prices: the coming week painted for one room, and everything that is set."""

    store_id: str
    store_name: str
    stores: tuple[Pick, ...]
    rooms: tuple[Pick, ...]
    days: tuple[PriceDay, ...]
    legend: tuple[tuple[int, str], ...]
    seen_day: str
    bar: tuple[Segment, ...]
    lines: tuple[PriceLine, ...]
    products: tuple[tuple[str, str, int], ...]
    tariffs: tuple[PriceForm, ...]
    slots: tuple[PriceForm, ...]
    packages: tuple[PriceForm, ...]
    extras: tuple[PriceForm, ...]
    room_choices: tuple[tuple[str, str, str], ...]
    kinds: tuple[str, ...]
    room_id: str
    room_options: tuple[tuple[str, str], ...]
    kind_options: tuple[tuple[str, str], ...]
    rule: dict[str, int | bool]
    levels: tuple[tuple[str, str, int, int], ...] = ()
    can_edit: bool = True
    api: str = ""


@dataclass(frozen=True)
class CouponCard:
    """A kind of coupon as the list shows it."""

    id: str
    name: str
    text: str
    when: str
    out: str
    used: int
    code: str
    stopped: bool


@dataclass(frozen=True)
class CouponsPage:
    coupons: tuple[CouponCard, ...]
    next_href: str = ""
    levels: tuple[tuple[str, str], ...] = ()
    stores: tuple[tuple[str, str, str], ...] = field(default_factory=tuple)
