"""The pure half of pricing: which tariff rules when, and what a stretch of time costs.

An hour is an hour of elapsed time; a tariff's hours are local wall time. So the stretch is cut where
the ruling tariff changes on the wall, in instants, and each piece is charged by its elapsed seconds.

A piece costs what its tariff's running sum grows by from its start to its end; the sum is counted from
one fixed instant and rounded half up there. So whole hours cost exactly their price, and cutting a stretch
anywhere (an extension, a change) never changes what the whole costs: roundings cannot add up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cloud_api.kit.errors import Conflict
from cloud_api.kit.i18n import gettext as _
from cloud_api.pricing.calendar import ONLY, Calendar, matches, plain
from cloud_api.pricing.models import Tariff

_DAY = 1440
_ORIGIN = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch (UTC, half open) during which one tariff rules."""

    starts_at: datetime
    ends_at: datetime
    tariff: Tariff

    @property
    def seconds(self) -> int:
        """Elapsed seconds."""
        return round((self.ends_at - self.starts_at).total_seconds())

    @property
    def amount_fen(self) -> int:
        """What this piece costs."""
        return amount(self.tariff.hourly_fen, self.starts_at, self.ends_at)


def amount(hourly_fen: int, starts_at: datetime, ends_at: datetime) -> int:
    """What ``starts_at``..``ends_at`` costs at one hourly price; cutting it never changes the sum."""
    return _grown(hourly_fen, ends_at) - _grown(hourly_fen, starts_at)


def _grown(hourly_fen: int, until: datetime) -> int:
    seconds = round((until - _ORIGIN).total_seconds())
    return (2 * hourly_fen * seconds + 3600) // 7200


def split(
    tariffs: Sequence[Tariff],
    tz: str,
    starts_at: datetime,
    ends_at: datetime,
    calendar: Calendar = plain,
) -> list[Piece]:
    """Cut ``starts_at``..``ends_at`` where the ruling tariff changes; no gap, no overlap.

    Raises Conflict ``price.missing`` where no tariff rules.
    """
    zone = ZoneInfo(tz)
    pieces: list[Piece] = []
    cuts = [starts_at.astimezone(UTC), *_cuts(tariffs, zone, starts_at, ends_at)]
    for here, there in zip(cuts, [*cuts[1:], ends_at.astimezone(UTC)], strict=True):
        tariff = ruling(tariffs, here.astimezone(zone), calendar)
        if pieces and pieces[-1].tariff.id == tariff.id:
            pieces[-1] = Piece(pieces[-1].starts_at, there, tariff)
        else:
            pieces.append(Piece(here, there, tariff))
    return pieces


def ruling(tariffs: Sequence[Tariff], local: datetime, calendar: Calendar = plain) -> Tariff:
    """The tariff that rules at a local time: the highest priority, then the narrower one.

    A room's own goes before its kind's, that before the store's; one for holidays alone before the
    others. Raises Conflict ``price.missing`` when there is none.
    """
    minute = local.hour * 60 + local.minute
    day = calendar(local.date())
    found = [t for t in tariffs if t.from_minute <= minute < t.until_minute and matches(t, day)]
    if not found:
        raise Conflict(
            "price.missing",
            _("{local:%H:%M} 这个时段还没有定价，请换个时间或联系门店").format(local=local),
        )
    return max(
        found,
        key=lambda t: (
            t.priority,
            t.room_id is not None,
            t.room_kind is not None,
            t.holidays == ONLY,
            t.id,
        ),
    )


def _cuts(
    tariffs: Sequence[Tariff], zone: ZoneInfo, starts_at: datetime, ends_at: datetime
) -> list[datetime]:
    """Instants strictly inside where another tariff may begin to rule, in order.

    These are the tariffs' wall times (both instants of an ambiguous one), and the instants at which
    the zone's offset changes: the wall jumps there, past a boundary or back before it.
    """
    start, end = starts_at.astimezone(UTC), ends_at.astimezone(UTC)
    minutes = {0} | {t.from_minute for t in tariffs} | {t.until_minute % _DAY for t in tariffs}
    found = set(_offset_changes(zone, start, end))
    day = start.astimezone(zone).date() - timedelta(days=1)
    last = end.astimezone(zone).date() + timedelta(days=1)
    while day <= last:
        for minute in minutes:
            hour, rest = divmod(minute, 60)
            for fold in (0, 1):
                wall = datetime(day.year, day.month, day.day, hour, rest, tzinfo=zone, fold=fold)
                found.add(wall.astimezone(UTC))
        day += timedelta(days=1)
    return sorted(cut for cut in found if start < cut < end)


def _offset_changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[datetime]:
    """The minutes within ``start``..``end`` (UTC) at which the zone's UTC offset changes."""
    here = start
    while here < end:
        there = min(here + timedelta(hours=6), end)
        if here.astimezone(zone).utcoffset() != there.astimezone(zone).utcoffset():
            low, high = here, there
            while high - low > timedelta(seconds=1):
                middle = low + (high - low) / 2
                if middle.astimezone(zone).utcoffset() == low.astimezone(zone).utcoffset():
                    low = middle
                else:
                    high = middle
            yield high.replace(microsecond=0)
        here = there
