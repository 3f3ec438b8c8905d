"""What a store does by itself, staff's keys, and its controllers, as pages show them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from cloud_api.web.view_models.prices import Pick

Option = tuple[str, str, str]  # value, text, note


@dataclass(frozen=True)
class ScheduleRow:
    id: str
    name: str
    href: str
    store_name: str
    when: str
    devices: str
    active: bool


@dataclass(frozen=True)
class SchedulesPage:
    rows: tuple[ScheduleRow, ...]
    ways: tuple[tuple[str, str], ...]  # text and href of a new one, by store


@dataclass(frozen=True)
class ScheduleForm:
    """``id`` is empty for a new one."""

    id: str
    store_name: str
    action: str
    name: str
    devices: tuple[Option, ...]
    chosen: tuple[str, ...]
    days: tuple[str, ...]
    begins: str
    ends: str
    active: bool
    seen: str = ""


@dataclass(frozen=True)
class DeviceTimes:
    name: str
    action: str
    lead_s: int | None
    linger_s: int | None
    seen: str = ""


@dataclass(frozen=True)
class StoreHabits:
    """What a store does by itself, beyond scenes; local times."""

    action: str
    overtime_power: str
    say_welcome: bool
    say_ended: bool
    quiet_from: str
    quiet_until: str
    entry_again_s: int
    entry_most: int


@dataclass(frozen=True)
class AirForm:
    """``parts``: (key, words, hint, mode, °C, fan, first and last day ``MM-DD`` or empty)."""

    action: str
    own: bool
    parts: tuple[tuple[str, str, str, str, int | None, str, str, str], ...]
    limits: tuple[int, int]
    seen: str = ""


@dataclass(frozen=True)
class ScenesPage:
    """Of one store, or of one of its rooms. ``phases``: (key, words, hint, chosen roles)."""

    store_name: str
    name: str
    places: tuple[tuple[str, str, bool], ...]  # text, href, whether it is this one
    action: str
    of_room: bool
    own: bool
    phases: tuple[tuple[str, str, str, tuple[str, ...]], ...]
    after_s: int
    habits: StoreHabits | None
    air: AirForm | None  # where there is an air conditioner that takes any of it
    devices: tuple[DeviceTimes, ...]
    seen: str = ""


@dataclass(frozen=True)
class KeyRow:
    id: str
    href: str
    staff: str
    kind: str
    masked: str
    doors: str
    when: str
    until: datetime | None


@dataclass(frozen=True)
class KeysPage:
    rows: tuple[KeyRow, ...]
    may_edit: bool


@dataclass(frozen=True)
class KeyForm:
    staff: tuple[tuple[str, str], ...]
    doors: tuple[Option, ...]


@dataclass(frozen=True)
class KeyShown:
    id: str
    staff: str
    kind: str
    number: str
    doors: str
    when: str


@dataclass(frozen=True)
class BundleRow:
    href: str
    why: str
    at: datetime
    here: bool


@dataclass(frozen=True)
class ControllerCard:
    """A store's controller. ``tone`` is a state's class."""

    id: str
    store_name: str
    state: str
    tone: str
    version: str
    behind: bool
    clock: str
    waiting: int
    document: str
    boards: str
    heard_at: datetime | None
    cert_ends: datetime | None
    cert_soon: bool
    bundles: tuple[BundleRow, ...]


@dataclass(frozen=True)
class ControllersPage:
    cards: tuple[ControllerCard, ...]
    newest: str
    may_ask: bool


@dataclass(frozen=True)
class DoorPart:
    """What may hang on a door: one choice of the store's devices."""

    name: str
    title: str
    hint: str
    choices: tuple[tuple[str, str], ...]
    value: str


@dataclass(frozen=True)
class DoorForm:
    id: str
    name: str
    action: str
    pulse_ms: int
    parts: tuple[DoorPart, ...]
    seen: str = ""


@dataclass(frozen=True)
class DoorsPage:
    stores: tuple[Pick, ...]
    doors: tuple[DoorForm, ...]
