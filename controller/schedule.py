"""What is on by the time of day: signs, corridors, ventilation, the entrance. Pure; local time of the store.

The document carries the spans and the coming days off, so a schedule goes on for months without a cloud.
While the clock cannot be trusted nobody knows the time of day: what is on stays on, what is off stays off.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from controller.timekeeper import Now
from store_link.clock import from_ms
from store_link.messages import ClockQuality, Desired
from store_link.rules import Day, Schedule, ScheduleSpan

WEEK: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def levels(desired: Desired, now: Now) -> dict[str, tuple[bool, str]]:
    """By binding, whether a schedule wants it on now, and which. Empty while the clock is doubtful.

    A binding of several schedules is on while one of them says so.
    """
    if now.quality is ClockQuality.UNTRUSTED or not desired.schedules:
        return {}
    local = from_ms(now.ms).astimezone(zone(desired.tz))
    days = {one.date: one.kind for one in desired.days}
    wanted: dict[str, tuple[bool, str]] = {}
    for schedule in desired.schedules:
        on = is_on(schedule, local, days)
        for binding in schedule.bindings:
            if binding not in wanted or on:
                wanted[binding] = (on, schedule.id)
    return wanted


def is_on(schedule: Schedule, local: datetime, days: Mapping[str, str]) -> bool:
    """Whether one of its spans holds at ``local``, which carries the store's zone."""
    named = any("holiday" in span.days for span in schedule.spans)
    today = local.date()
    yesterday = today - timedelta(days=1)
    clock = local.strftime("%H:%M")
    return any(
        _holds(span, clock, kind_of(today, days, named), kind_of(yesterday, days, named))
        for span in schedule.spans
    )


def kind_of(day: date, days: Mapping[str, str], names_holidays: bool) -> Day:
    """What a date counts as. A weekend that is worked counts as a Monday."""
    kind = days.get(day.isoformat())
    if kind == "holiday" and names_holidays:
        return "holiday"
    if kind == "workday" and day.weekday() >= 5:
        return "mon"
    return WEEK[day.weekday()]


def within(clock: str, begins: str, ends: str) -> bool:
    """Whether a local ``HH:MM`` lies in a span that may cross midnight; equal ends are the whole day."""
    if begins == ends:
        return True
    if begins < ends:
        return begins <= clock < ends
    return clock >= begins or clock < ends


def local_clock(desired: Desired, now: Now) -> str:
    """The store's local time as ``HH:MM``."""
    return from_ms(now.ms).astimezone(zone(desired.tz)).strftime("%H:%M")


@lru_cache(maxsize=4)
def zone(tz: str) -> ZoneInfo:
    """The store's zone; China's where the name is none, as nearly all stores are there."""
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError):
        return ZoneInfo("Asia/Shanghai")


def _holds(span: ScheduleSpan, clock: str, today: Day, yesterday: Day) -> bool:
    if span.begins == span.ends:
        return today in span.days
    if span.begins < span.ends:
        return today in span.days and span.begins <= clock < span.ends
    return (today in span.days and clock >= span.begins) or (
        yesterday in span.days and clock < span.ends
    )


def bound(schedules: Iterable[Schedule]) -> frozenset[str]:
    """Bindings that some schedule rules."""
    return frozenset(binding for schedule in schedules for binding in schedule.bindings)
