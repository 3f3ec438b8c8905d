"""Periods: a day, a week from Monday, a month, or days of one's choice; and the period before.

A period that is not over is compared with as many days of the one before as have begun of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

from cloud_api.kit.errors import KaimenError

Kind = Literal["day", "week", "month", "custom"]
KINDS: Final = ("day", "week", "month", "custom")
LONGEST_DAYS: Final = 366
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """``first`` to ``last``, both included; ``until`` is the last day of it that has begun."""

    kind: Kind
    first: date
    last: date
    until: date

    @property
    def days(self) -> int:
        """How many days of it have begun."""
        return max(0, (self.until - self.first).days + 1)

    @property
    def running(self) -> bool:
        """Whether some of it is yet to come."""
        return self.until < self.last

    def earlier(self) -> Period:
        """The period before, as many days of it as have begun of this one."""
        last = self.first - _DAY
        if self.kind == "month":
            first = last.replace(day=1)
        else:
            first = self.first - (self.last - self.first + _DAY)
        until = min(last, first + timedelta(days=self.days - 1)) if self.running else last
        return Period(self.kind, first, last, until)

    def next_anchor(self) -> date:
        """A day of the period after."""
        return self.last + _DAY


def period_of(
    kind: Kind,
    today: date,
    day: date | None = None,
    first: date | None = None,
    last: date | None = None,
) -> Period:
    """The period of ``kind`` around ``day`` (today), or from ``first`` to ``last``.

    Raises KaimenError ``report.days`` (422) for an end before its start and for more than a year.
    """
    around = day or today
    if kind == "day":
        begins = ends = around
    elif kind == "week":
        begins = around - timedelta(days=around.weekday())
        ends = begins + timedelta(days=6)
    elif kind == "month":
        begins = around.replace(day=1)
        ends = (begins + timedelta(days=31)).replace(day=1) - _DAY
    else:
        begins, ends = first or around, last or first or around
        if not 0 <= (ends - begins).days < LONGEST_DAYS:
            raise KaimenError(
                "report.days", "一次最多看一年，结束不能早于开始", status=422, field="last"
            )
    return Period(kind, begins, ends, min(ends, max(today, begins - _DAY)))
