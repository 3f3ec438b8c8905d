"""A store's set-up: its facts, hours, rooms and photos, as forms."""

from __future__ import annotations

from dataclasses import dataclass

from cloud_api.web.view_models.prices import Pick


@dataclass(frozen=True)
class Shot:
    """A photo or film in the list that orders them."""

    id: str
    src: str
    alt: str
    kind: str
    seconds: int | None


@dataclass(frozen=True)
class Weekday:
    name: str
    closed: bool
    spans: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class SpecialDayRow:
    date: str
    text: str


@dataclass(frozen=True)
class RoomRow:
    id: str
    name: str
    href: str
    facts: str
    picture: str
    art: str
    selling: str


@dataclass(frozen=True)
class HousePage:
    """A store's facts, hours, pictures and rooms, as a form shows them."""

    store_id: str
    stores: tuple[Pick, ...]
    facts: dict[str, str]
    hours: tuple[Weekday, ...]
    special: tuple[SpecialDayRow, ...]
    shots: tuple[Shot, ...]
    rooms: tuple[RoomRow, ...]
    retired: tuple[tuple[str, str], ...]
    can_edit: bool
    video_mb: int
    photo_mb: int


@dataclass(frozen=True)
class RoomFormPage:
    """One room; a new one without ``id``."""

    id: str
    store_id: str
    store_name: str
    action: str
    values: dict[str, str]
    equipment: tuple[tuple[str, str, str], ...]
    kinds: tuple[tuple[str, str], ...]
    arts: tuple[tuple[str, str], ...]
    shots: tuple[Shot, ...]
    retired: bool
    can_edit: bool
    video_mb: int
    photo_mb: int
