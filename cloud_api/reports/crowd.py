"""Crowds: who came, a bit for each guest, so that a year's guests are told apart without reading a visit.

A guest is in two months but counts once in both together: no sum of numbers knows that, an OR of bits
does. Three sets are enough for what a period is asked: who came, who came twice or more, whose visit a
voucher paid for. Sixty thousand guests are 7.5 kB a set before they are packed, and mostly zeros.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final, Literal

Span = Literal["day", "month", "year"]
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Crowd:
    """Sets of guests' numbers, as bits of integers. ``|`` is the crowd of both times together."""

    came: int = 0
    again: int = 0
    by_voucher: int = 0

    @classmethod
    def of(cls, visits: Iterable[tuple[int, int, int]]) -> Crowd:
        """From (number of the guest, visits, visits by voucher)."""
        came, again, by_voucher = [], [], []
        for number, times, vouchers in visits:
            came.append(number)
            if times > 1:
                again.append(number)
            if vouchers > 0:
                by_voucher.append(number)
        return cls(_bits(came), _bits(again), _bits(by_voucher))

    def __or__(self, other: Crowd) -> Crowd:
        return Crowd(
            self.came | other.came,
            self.again | other.again | (self.came & other.came),
            self.by_voucher | other.by_voucher,
        )


def _bits(numbers: list[int]) -> int:
    if not numbers:
        return 0
    bits = bytearray(max(numbers) // 8 + 1)
    for number in numbers:
        bits[number // 8] |= 1 << number % 8
    return int.from_bytes(bits, "little")


def packed(bits: int) -> bytes:
    """A set for a column; an empty one is no bytes."""
    if not bits:
        return b""
    return zlib.compress(bits.to_bytes((bits.bit_length() + 7) // 8, "little"), 1)


def unpacked(data: bytes | None) -> int:
    """The set of a column."""
    return int.from_bytes(zlib.decompress(data), "little") if data else 0


def month_of(day: date) -> date:
    """The first day of its month."""
    return day.replace(day=1)


def year_of(day: date) -> date:
    """The first day of its year."""
    return day.replace(month=1, day=1)


def spans(first: date, last: date) -> list[tuple[Span, date, date]]:
    """``first`` to ``last`` in as few pieces as there are: days, months and years by their first day.

    A piece is (what of, the first one's first day, the last one's first day).
    """
    found: list[tuple[Span, date, date]] = []
    begin = first if first == month_of(first) else _next_month(first)
    end = month_of(last + _DAY)  # whole months are those before it
    if begin >= end:
        return [("day", first, last)] if first <= last else []
    if first < begin:
        found.append(("day", first, begin - _DAY))
    found += _months(begin, end)
    if end <= last:
        found.append(("day", end, last))
    return found


def _months(begin: date, end: date) -> list[tuple[Span, date, date]]:
    """Whole months from ``begin`` up to before ``end``, whole years of them as years."""
    january = begin if begin == year_of(begin) else date(begin.year + 1, 1, 1)
    done = year_of(end)
    if january >= done:
        return [("month", begin, month_of(end - _DAY))]
    found: list[tuple[Span, date, date]] = []
    if begin < january:
        found.append(("month", begin, month_of(january - _DAY)))
    found.append(("year", january, year_of(done - _DAY)))
    if done < end:
        found.append(("month", done, month_of(end - _DAY)))
    return found


def _next_month(day: date) -> date:
    return month_of(month_of(day) + timedelta(days=31))
