"""When a store is open: the hours of its week, and the days that differ (holidays, special hours).

Wall time in the store's zone. A span that ends at or before its start ends on the next day;
``["00:00", "00:00"]`` is a whole day, of 23 or 25 hours where clocks change.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.stores.models import Store

Interval = tuple[datetime, datetime]
WallSpan = tuple[str, str]  # local "HH:MM"

ROUND_THE_CLOCK: Final[WallSpan] = ("00:00", "00:00")
_MINUTES: Final = 1440
_WEEK: Final = ("周一", "周二", "周三", "周四", "周五", "周六", "周日")
_KEPT_DAYS: Final = timedelta(days=60)  # of past exceptions


def special(store: Store, day: date) -> dict[str, Any] | None:
    """What is different on local ``day``: ``name``, ``hours`` (None: as usual), ``as`` (see pricing)."""
    found: dict[str, Any] | None = (store.days or {}).get(day.isoformat())
    return found


def wall_spans(store: Store, day: date) -> list[WallSpan]:
    """The spans of local ``day`` in order; empty on a closed day."""
    apart = special(store, day)
    if apart is not None and apart.get("hours") is not None:
        return _sorted(apart["hours"])
    if store.hours is not None:
        return _sorted(store.hours[day.weekday()])
    if store.opens is None or store.closes is None:
        return [ROUND_THE_CLOCK]
    return [(store.opens, store.closes)]


def opening_intervals(store: Store, day: date) -> list[Interval]:
    """When a store that opens on local ``day`` is open: aware UTC instants, half open, in order."""
    zone = ZoneInfo(store.tz)
    found = []
    for opens, closes in wall_spans(store, day):
        begin, end = time.fromisoformat(opens), time.fromisoformat(closes)
        end_day = day if end > begin else day + timedelta(days=1)
        found.append(
            (
                datetime.combine(day, begin, zone).astimezone(UTC),
                datetime.combine(end_day, end, zone).astimezone(UTC),
            )
        )
    return found


def overlap(spans: Sequence[Sequence[str]]) -> bool:
    """Whether spans of one day run into each other. A night may run into the next day's morning."""
    cut = sorted((_minute(a), _end(a, b)) for a, b in spans)
    return any(one[1] > two[0] for one, two in itertools.pairwise(cut))


def check_hours(values: dict[str, Any]) -> None:
    """Raise KaimenError ``store.hours_overlap`` where spans of a day run into each other."""
    for weekday, spans in enumerate(values.get("hours") or ()):
        if overlap(spans):
            raise KaimenError(
                "store.hours_overlap",
                _("{day}的两段时间重叠了").format(day=_(_WEEK[weekday])),
                status=422,
                field="hours",
            )
    for day, apart in (values.get("days") or {}).items():
        if overlap(apart.get("hours") or ()):
            raise KaimenError(
                "store.hours_overlap",
                _("{day} 的两段时间重叠了").format(day=day),
                status=422,
                field="days",
            )


def without_past(days: dict[str, Any], today: date) -> dict[str, Any]:
    """Exceptions that are long over go, so that the list stays short."""
    first = (today - _KEPT_DAYS).isoformat()
    return {day: apart for day, apart in sorted(days.items()) if day >= first}


def in_words(store: Store) -> str:
    """The usual hours for people: ``24 小时``, ``10:00–02:00``, or by groups of weekdays."""
    if store.hours is None:
        if store.opens is None or store.closes is None:
            return _("24 小时")
        return f"{store.opens}–{store.closes}"
    groups: list[tuple[int, int, str]] = []
    for weekday, spans in enumerate(store.hours):
        text = _("、").join(_span_words(a, b) for a, b in _sorted(spans)) or _("休息")
        if groups and groups[-1][2] == text:
            groups[-1] = (groups[-1][0], weekday, text)
        else:
            groups.append((weekday, weekday, text))
    if len(groups) == 1:
        return groups[0][2]
    return _("，").join(f"{_days(a, b)} {text}" for a, b, text in groups)


def _days(first: int, last: int) -> str:
    if first == last:
        return _(_WEEK[first])
    return _("{day}至{day2}").format(day=_(_WEEK[first]), day2=_(_WEEK[last]))


def coming_exceptions(store: Store, today: date, days: int = 30) -> list[tuple[date, str, str]]:
    """The days that differ from ``today`` on: day, name, hours in words."""
    found = []
    for text, apart in sorted((store.days or {}).items()):
        day = date.fromisoformat(text)
        if today <= day < today + timedelta(days=days) and apart.get("hours") is not None:
            spans = _("、").join(_span_words(a, b) for a, b in _sorted(apart["hours"])) or _("休息")
            found.append((day, str(apart.get("name", "")), spans))
    return found


def _span_words(opens: str, closes: str) -> str:
    return _("24 小时") if (opens, closes) == ROUND_THE_CLOCK else f"{opens}–{closes}"


def _sorted(spans: Sequence[Sequence[str]]) -> list[WallSpan]:
    return sorted((str(a), str(b)) for a, b in spans)


def _minute(wall: str) -> int:
    hour, _, minute = wall.partition(":")
    return int(hour) * 60 + int(minute)


def _end(opens: str, closes: str) -> int:
    end = _minute(closes)
    return end if end > _minute(opens) else end + _MINUTES
