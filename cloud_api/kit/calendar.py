"""Instants and days that may come in from outside: those of this century.

At the ends of the calendar a shift by an hour overflows, in Python or in a database; no booking is
there, so nothing behind the door has to think of it.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime

_FIRST: Final = date(2000, 1, 1)
_LAST: Final = date(2099, 12, 31)  # the wire counts until 2100


def _day(day: date) -> date:
    if not _FIRST <= day <= _LAST:
        raise ValueError("日期要在 2000 年到 2099 年之间")
    return day


def _instant(instant: datetime) -> datetime:
    _day(instant.date())  # as written: converting what is out of range is what overflows
    return instant.astimezone(UTC)


Instant = Annotated[AwareDatetime, AfterValidator(_instant)]
"""An instant with its offset, in UTC."""
Day = Annotated[date, AfterValidator(_day)]
"""A local day."""
