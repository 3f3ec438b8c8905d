"""Days as people write them, in the reader's language; the clock is 19:05 in all three."""

from __future__ import annotations

from datetime import date, datetime

from babel.dates import format_date, format_skeleton

from cloud_api.kit.i18n import language as spoken
from cloud_api.kit.i18n import ngettext


def day_month(day: date, language: str | None = None) -> str:
    """``11月25日``, ``Nov 25``; an instant counts in the zone that it carries."""
    whole = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day)  # noqa: DTZ001
    return str(format_skeleton("MMMd", whole.replace(tzinfo=None), locale=language or spoken()))


def weekday(day: date, language: str | None = None) -> str:
    """``周三``, ``週三``, ``Wed``."""
    return str(format_date(day, "EEE", locale=language or spoken()))


def weekday_name(number: int, language: str | None = None) -> str:
    """The day with this number, 0 is Monday."""
    return weekday(date(2024, 1, 1 + number), language)


def day_time(at: datetime, language: str | None = None) -> str:
    """``11月25日 19:05``, ``Nov 25 19:05``, in the zone that ``at`` carries."""
    return f"{day_month(at, language)} {at:%H:%M}"


def days(n: int) -> str:
    """``1 天``, ``1 day``, ``3 days``."""
    return ngettext("{n} 天", "{n} 天", n).format(n=n)
