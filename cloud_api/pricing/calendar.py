"""What kind of day a date is for prices: the holiday calendar, and the days that a store decides itself.

Public holidays and make-up workdays come from the package ``holidays`` (China: the General Office of the
State Council's yearly notice; a year without its notice yet has the statutory days alone). On a make-up
workday a Saturday or Sunday costs what a Monday costs. A store may say of any day what it is sold as.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from functools import cache
from typing import Any, Final, Protocol

from cloud_api.kit.i18n import gettext as _
from cloud_api.stores.hours import special
from cloud_api.stores.models import Store

PLAIN: Final = "plain"
HOLIDAY: Final = "holiday"
WORKDAY: Final = "workday"  # a weekend day that is worked
COUNTRIES: Final = ("CN", "HK", "MO", "TW", "SG", "MY", "US", "AU", "JP")

ANY: Final = "any"
ONLY: Final = "only"
NOT: Final = "not"
HOLIDAY_RULES: Final = (
    ANY,
    ONLY,
    NOT,
)  # of what has a price: on any day | holidays only | never then


@dataclass(frozen=True, slots=True)
class Day:
    """A local day. ``weekday`` is the one it is sold as, Monday = 0."""

    date: date
    kind: str
    weekday: int
    name: str = ""

    @property
    def holiday(self) -> bool:
        """Whether it is a public holiday."""
        return self.kind == HOLIDAY


class Calendar(Protocol):
    """Says what a day is."""

    def __call__(self, day: date) -> Day: ...


class Condition(Protocol):
    """When something is for sale: a bit mask of weekdays (Monday = 1), and a word about holidays."""

    @property
    def weekdays(self) -> int: ...

    @property
    def holidays(self) -> str: ...


def plain(day: date) -> Day:
    """A calendar without holidays."""
    return Day(day, PLAIN, day.weekday())


def calendar_of(store: Store) -> Calendar:
    """The store's calendar: its own word first, then its country's."""
    country = store.holidays

    def look(day: date) -> Day:
        own = special(store, day) or {}
        found = public(country, day)
        kind, name = found.kind, str(own.get("name") or found.name)
        if own.get("as") in (PLAIN, HOLIDAY, WORKDAY):
            kind = own["as"]
        weekday = 0 if kind == WORKDAY and day.weekday() >= 5 else day.weekday()
        return Day(day, kind, weekday, name)

    return look


def public(country: str, day: date) -> Day:
    """What the country's calendar says of ``day``."""
    if not country:
        return plain(day)
    known = _country(country, day.year)
    if day in known:
        return Day(day, HOLIDAY, day.weekday(), str(known[day]))
    if day in getattr(known, "weekend_workdays", ()):
        return Day(day, WORKDAY, 0, _("调休上班"))
    return plain(day)


def matches(thing: Condition, day: Day) -> bool:
    """Whether something sold on some weekdays and holidays is sold on ``day``."""
    if thing.holidays == ONLY and not day.holiday:
        return False
    if thing.holidays == NOT and day.holiday:
        return False
    return bool(thing.weekdays & (1 << day.weekday))


@cache
def _country(country: str, year: int) -> Any:
    import holidays as package

    language = "zh_CN" if country in ("CN", "HK", "MO", "TW") else None
    return package.country_holidays(country, years=year, language=language)
