"""Days as people write them, in the reader's language; the clock is 19:05 in all three.

One manner for all that guests read: yesterday, today and tomorrow by their names, any other day by its date and
weekday, with the year where it could be another's; both together where a picture of it may be passed on.
"""

from __future__ import annotations

from datetime import date, datetime

from babel.dates import format_date, format_skeleton

from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.i18n import language as spoken
from cloud_api.kit.i18n import ngettext

_FAR_DAYS = 300


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


def full_day(day: date, today: date, language: str | None = None) -> str:
    """``11月25日 周三``, ``Wed, Nov 25``; with its year where that is ten months away or more."""
    whole = day if isinstance(day, datetime) else datetime(day.year, day.month, day.day)  # noqa: DTZ001
    there = whole.date()
    far = abs((there - (today.date() if isinstance(today, datetime) else today)).days) >= _FAR_DAYS
    lang = language or spoken()
    if lang == "en":
        made = format_skeleton(
            "yMMMEd" if far else "MMMEd", whole.replace(tzinfo=None), locale=lang
        )
        return str(made)
    made = format_skeleton("yMMMd" if far else "MMMd", whole.replace(tzinfo=None), locale=lang)
    return f"{made} {weekday(there, lang)}"


def near_day(day: date, today: date) -> str:
    """``昨天``, ``今天``, ``明天``, or nothing."""
    return {-1: _("昨天"), 0: _("今天"), 1: _("明天")}.get((day - today).days, "")


def said(at: datetime, now: datetime) -> str:
    """``19:05`` today, ``明天 19:05``, ``11月25日 周三 19:05``; both in the same zone."""
    day, today = at.date(), now.date()
    if day == today:
        return f"{at:%H:%M}"
    return f"{near_day(day, today) or full_day(day, today)} {at:%H:%M}"


def full(at: datetime, now: datetime) -> str:
    """``11月25日 周三 19:05``: what is read later than it was written names no day by today."""
    return f"{full_day(at, now)} {at:%H:%M}"


def days(n: int) -> str:
    """``1 天``, ``1 day``, ``3 days``."""
    return ngettext("{n} 天", "{n} 天", n).format(n=n)
