"""Which backups stay: the newest of each of the last days, weeks and months. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Keep:
    """How many days, weeks and months keep their newest backup."""

    daily: int = 7
    weekly: int = 4
    monthly: int = 6


def stays(made: Iterable[tuple[str, datetime]], keep: Keep, tz: str, now: datetime) -> set[str]:
    """The names that stay, of ``(name, made at)``. The newest of all, and the last day's, always do.

    Days, weeks (from Monday) and months are those of ``tz`` in which something was made: a month
    without backups does not push the older ones out.
    """
    zone = ZoneInfo(tz)
    newest_first = sorted(made, key=lambda one: one[1], reverse=True)
    kept = {name for name, at in newest_first if now - at < timedelta(days=1)}
    kept |= {name for name, _ in newest_first[:1]}
    rules: tuple[tuple[int, Callable[[datetime], object]], ...] = (
        (keep.daily, lambda at: at.date()),
        (keep.weekly, lambda at: at.isocalendar()[:2]),
        (keep.monthly, lambda at: (at.year, at.month)),
    )
    for count, period in rules:
        seen: set[object] = set()
        for name, at in newest_first:
            of = period(at.astimezone(zone))
            if of in seen:
                continue
            if len(seen) == count:
                break
            seen.add(of)
            kept.add(name)
    return kept
