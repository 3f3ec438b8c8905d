"""The pure half of pricing: which tariff rules when, and what a stretch of time costs.

An hour is an hour of elapsed time; a tariff's hours are local wall time. So the stretch is cut where
the ruling tariff changes on the wall, in instants, and each piece is charged by its elapsed seconds.
Each line is rounded half up to a whole fen, and the total is the sum of the lines.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cloud_api.kit.errors import Conflict
from cloud_api.kit.money import times
from cloud_api.pricing.models import Tariff

_DAY = 1440


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
        """The price of this piece alone, rounded half up."""
        return times(self.tariff.hourly_fen, self.seconds, 3600)


def split(
    tariffs: Sequence[Tariff], tz: str, starts_at: datetime, ends_at: datetime
) -> list[Piece]:
    """Cut ``starts_at``..``ends_at`` where the ruling tariff changes; no gap, no overlap.

    Raises Conflict ``price.missing`` where no tariff rules.
    """
    zone = ZoneInfo(tz)
    pieces: list[Piece] = []
    cuts = [starts_at.astimezone(UTC), *_cuts(tariffs, zone, starts_at, ends_at)]
    for here, there in zip(cuts, [*cuts[1:], ends_at.astimezone(UTC)], strict=True):
        tariff = ruling(tariffs, here.astimezone(zone))
        if pieces and pieces[-1].tariff.id == tariff.id:
            pieces[-1] = Piece(pieces[-1].starts_at, there, tariff)
        else:
            pieces.append(Piece(here, there, tariff))
    return pieces


def ruling(tariffs: Sequence[Tariff], local: datetime) -> Tariff:
    """The tariff that rules at a local time: highest priority, then a room's own before the store's.

    Raises Conflict ``price.missing`` when there is none.
    """
    minute = local.hour * 60 + local.minute
    day = 1 << local.weekday()
    found = [t for t in tariffs if t.weekdays & day and t.from_minute <= minute < t.until_minute]
    if not found:
        raise Conflict("price.missing", f"{local:%H:%M} 这个时段还没有定价，请换个时间或联系门店")
    return max(found, key=lambda t: (t.priority, t.room_id is not None, t.id))


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
