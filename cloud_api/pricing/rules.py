"""The store's rules of booking: how long, how far ahead, on which grid, within which hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.pricing.lines import words
from cloud_api.stores.hours import in_words, opening_intervals
from cloud_api.stores.models import Room, Store

_MINUTE = timedelta(minutes=1)


class Limits(Protocol):
    """How long and how far ahead: a store's own, or what a room has instead."""

    @property
    def min_minutes(self) -> int: ...
    @property
    def step_minutes(self) -> int: ...
    @property
    def max_minutes(self) -> int: ...
    @property
    def advance_days(self) -> int: ...


def check(
    store: Store,
    room: Room,
    starts_at: datetime,
    ends_at: datetime,
    now: datetime,
    limits: Limits | None = None,
    *,
    fixed: bool = False,
) -> None:
    """Raise KaimenError with a ``booking.*`` or ``room.*`` code if this time cannot be booked.

    ``limits`` stand for the store's own where a room has others.
    ``fixed``: the length is a product's (slot, package), so limits of length and step do not apply.
    Whether it is free is not asked here: only the insert of the claim can answer that.
    """
    told: Limits = limits or store
    minutes = (ends_at - starts_at) / _MINUTE
    if room.mode == "maintenance":
        raise KaimenError("room.maintenance", "这个包间正在维护，请选别的包间", status=409)
    if minutes <= 0:
        raise _refuse("booking.order", "结束时间要晚于开始时间", "ends_at")
    if room.selling == "off" or room.retired_at is not None:
        raise KaimenError("room.not_sold", "这个包间现在不对外，请选别的包间", status=409)
    if room.selling == "walk_up" and starts_at > now + timedelta(minutes=told.step_minutes):
        raise KaimenError(
            "room.walk_up_only", "这个包间只接到店的客人，不能提前订", status=409, field="starts_at"
        )
    if minutes < told.min_minutes and not fixed:
        raise _refuse(
            "booking.too_short",
            _("最少订 {time}").format(time=words(told.min_minutes)),
            "ends_at",
            told.min_minutes,
        )
    if minutes > told.max_minutes and not fixed:
        raise _refuse(
            "booking.too_long",
            _("最多订 {time}").format(time=words(told.max_minutes)),
            "ends_at",
            told.max_minutes,
        )
    if not fixed:
        _check_grid(store, told.step_minutes, starts_at, minutes, now)
    if starts_at < _floor(now):
        raise _refuse("booking.past", "开始时间已经过了，请选之后的时间", "starts_at")
    zone = ZoneInfo(store.tz)
    last_day = now.astimezone(zone).date() + timedelta(days=told.advance_days)
    if starts_at.astimezone(zone).date() > last_day:
        raise _refuse(
            "booking.too_far",
            _("最多提前 {advance_days} 天预订").format(advance_days=told.advance_days),
            "starts_at",
        )
    if not is_open(store, starts_at, ends_at):
        raise _refuse(
            "booking.closed",
            _("这段时间门店不营业，营业时间 {hours}").format(hours=hours_text(store)),
            "starts_at",
        )


def is_open(store: Store, starts_at: datetime, ends_at: datetime) -> bool:
    """Whether the store is open without a break from ``starts_at`` to ``ends_at``."""
    here = starts_at
    for opens, closes in open_spans(store, starts_at, ends_at):
        if opens > here:
            return False
        here = max(here, closes)
    return here >= ends_at


def open_spans(
    store: Store, starts_at: datetime, ends_at: datetime
) -> list[tuple[datetime, datetime]]:
    """The opening intervals (UTC) that touch ``starts_at``..``ends_at``, in order."""
    zone = ZoneInfo(store.tz)
    day = starts_at.astimezone(zone).date() - timedelta(days=1)  # a night may run on from yesterday
    last = ends_at.astimezone(zone).date()
    spans = []
    while day <= last:
        for opens, closes in opening_intervals(store, day):
            if closes > starts_at and opens < ends_at:
                spans.append((opens.astimezone(UTC), closes.astimezone(UTC)))
        day += timedelta(days=1)
    return sorted(spans)


def hours_text(store: Store) -> str:
    """The opening hours for people."""
    return in_words(store)


def _check_grid(
    store: Store, step: int, starts_at: datetime, minutes: float, now: datetime
) -> None:
    if minutes % step:
        raise _refuse(
            "booking.step", _("时长要是 {time} 的整数倍").format(time=words(step)), "ends_at", step
        )
    local = starts_at.astimezone(ZoneInfo(store.tz))
    if local.second or local.microsecond:
        raise _refuse("booking.step", "开始时间要是整分钟", "starts_at", step)
    walks_in = starts_at <= now + timedelta(minutes=step)
    if (local.hour * 60 + local.minute) % step and not walks_in:
        raise _refuse(
            "booking.step",
            _("开始时间要在每 {time} 的整点上，或从现在开始").format(time=words(step)),
            "starts_at",
            step,
        )


def _floor(now: datetime) -> datetime:
    return now.replace(second=0, microsecond=0)


def _refuse(code: str, message: str, field: str, limit_minutes: int | None = None) -> KaimenError:
    extra = {} if limit_minutes is None else {"limit_minutes": limit_minutes}
    return KaimenError(code, message, status=422, field=field, extra=extra)
