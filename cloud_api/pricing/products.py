"""Slots and packages: which are sold in a room on a day, and from when to when they run there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.pricing.calendar import Calendar, calendar_of, matches
from cloud_api.pricing.models import Package, Slot
from cloud_api.pricing.rules import is_open
from cloud_api.stores.models import Room, Store

_MINUTE: Final = timedelta(minutes=1)


class _InRooms(Protocol):
    rooms: list[Any]
    room_kinds: list[Any]


@dataclass(frozen=True, slots=True)
class SlotOnDay:
    """A slot of a day as it is sold now: from its start, or from now where it has begun."""

    slot: Slot
    starts_at: datetime
    ends_at: datetime


def sold_in(thing: _InRooms, room: Room) -> bool:
    """Whether a product is sold in ``room``: all rooms where it names neither rooms nor kinds."""
    if not thing.rooms and not thing.room_kinds:
        return True
    return room.id in thing.rooms or (bool(room.kind) and room.kind in thing.room_kinds)


def slot_times(slot: Slot, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """A slot of local ``day`` in instants: its hours are those of the wall."""
    end_day = day if slot.until_minute > slot.from_minute else day + timedelta(days=1)
    return _wall(day, slot.from_minute, zone), _wall(end_day, slot.until_minute, zone)


def slot_on(
    store: Store, room: Room, slot: Slot, day: date, now: datetime, calendar: Calendar | None = None
) -> SlotOnDay:
    """A slot as sold in ``room`` on local ``day``. One that has begun is sold for what is left of it.

    Raises KaimenError ``slot.*`` where it is not sold then.
    """
    if not slot.active or not sold_in(slot, room):
        raise KaimenError("slot.not_here", "这个场次不在这间卖，请换一间或换个场次", status=409)
    if not matches(slot, (calendar or calendar_of(store))(day)):
        raise KaimenError(
            "slot.not_that_day", "这一天没有这个场次，请换一天", status=409, field="starts_at"
        )
    starts_at, ends_at = slot_times(slot, day, ZoneInfo(store.tz))
    begins = max(starts_at, now.replace(second=0, microsecond=0))
    if ends_at - begins < timedelta(minutes=store.min_minutes):
        raise KaimenError("slot.over", "这一场已经过了，请选下一场", status=409, field="starts_at")
    if not is_open(store, begins, ends_at):
        raise KaimenError("booking.closed", "这一场里门店不营业，请换一场", status=422)
    return SlotOnDay(slot, begins, ends_at)


def package_ends(
    store: Store,
    room: Room,
    package: Package,
    starts_at: datetime,
    calendar: Calendar | None = None,
) -> datetime:
    """When a package begun at ``starts_at`` ends. Raises KaimenError ``package.*`` if it may not begin."""
    if not package.active or not sold_in(package, room):
        raise KaimenError("package.not_here", "这个套餐不在这间卖，请换一间或换个套餐", status=409)
    local = starts_at.astimezone(ZoneInfo(store.tz))
    day = local.date()
    if (package.valid_from and day < package.valid_from) or (
        package.valid_until and day > package.valid_until
    ):
        raise KaimenError(
            "package.not_valid",
            _("套餐{valid}有效").format(valid=_valid(package)),
            status=409,
            field="starts_at",
        )
    if not matches(package, (calendar or calendar_of(store))(day)):
        raise KaimenError(
            "package.not_that_day", "这一天不卖这个套餐，请换一天", status=409, field="starts_at"
        )
    minute = local.hour * 60 + local.minute
    if not package.from_minute <= minute < package.until_minute:
        window = f"{clock(package.from_minute)}–{clock(package.until_minute)}"
        raise KaimenError(
            "package.not_that_time",
            _("这个套餐在 {window} 之间开始").format(window=window),
            status=409,
            field="starts_at",
        )
    return starts_at + timedelta(minutes=package.minutes)


def clock(minute: int) -> str:
    """Minutes since local midnight as ``HH:MM``; 1440 is ``24:00``."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _valid(package: Package) -> str:
    begin = (
        _(" {valid_from:%m月%d日}起").format(valid_from=package.valid_from)
        if package.valid_from
        else ""
    )
    end = (
        _("到 {valid_until:%m月%d日}").format(valid_until=package.valid_until)
        if package.valid_until
        else ""
    )
    return f"{begin}{end}"


def _wall(day: date, minute: int, zone: ZoneInfo) -> datetime:
    if minute == 24 * 60:
        day, minute = day + timedelta(days=1), 0
    hour, rest = divmod(minute, 60)
    return datetime(day.year, day.month, day.day, hour, rest, tzinfo=zone).astimezone(UTC)
