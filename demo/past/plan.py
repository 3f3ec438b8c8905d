"""Who came to the demonstration's store in the last weeks: invented from a seed, before anything is written.

A plan knows rooms and guests by their number and all instants (UTC); it knows no prices and no database.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import Final, Literal
from zoneinfo import ZoneInfo

Fate = Literal["done", "cancelled", "late_cancelled", "lapsed"]
Way = Literal["online", "balance", "cash", "voucher"]

DAYS: Final = 35  # five whole weeks: a month has one before it to be held against
GUESTS: Final = 48
REGULARS: Final = 9  # of them: they come often, and have a balance
SOMETIMES: Final = 24  # these and the regulars come more than once
PACKAGE: Final = "工作日四小时"
AFTERNOON, NIGHT = "下午场", "通宵"
TEA_ALONE, IN_A_TEAM = 1, 0  # the store's campaigns, in the order of seed.py
_OPENS, _LAST = 9 * 60, 23 * 60  # minutes from midnight between which stays begin
_CLEANED: Final = 30  # minutes between two stays
_QUIET: Final = timedelta(minutes=40)  # what ended just now is not past yet
_MINUTE: Final = timedelta(minutes=1)
_LEADS: Final = ((25, 55, 40), (110, 330, 28), (700, 1800, 22), (2900, 5800, 10))
"""How long before its start a stay is booked: minutes from, to, and how many of a hundred."""


@dataclass(frozen=True, slots=True)
class Visit:
    """One booking. ``late_min`` is overtime after grace; ``product`` a slot or package by its name."""

    room: int
    guest: int
    placed_at: datetime
    starts_at: datetime
    ends_at: datetime
    fate: Fate = "done"
    way: Way = "online"
    by_staff: bool = False
    product: str = ""
    campaign: int = 0  # of a voucher: TEA_ALONE or IN_A_TEAM
    tea: int = 0  # pots
    late_min: int = 0
    stars: int = 0  # of its review; 0: none
    complains: bool = False  # and gets a part back


def visits(rooms: int, now: datetime, tz: str, dice: Random) -> list[Visit]:
    """All bookings of the last weeks that are over at ``now``, in the order of their placing."""
    zone = ZoneInfo(tz)
    today = now.astimezone(zone).date()
    guests = _Guests(dice)
    found = [
        one
        for ago in range(DAYS, -1, -1)
        for room in range(rooms)
        for one in _of_room(room, today - timedelta(days=ago), ago, zone, guests, dice)
        if one.ends_at + one.late_min * _MINUTE + _QUIET < now
    ]
    return sorted(found, key=lambda one: (one.placed_at, one.starts_at, one.room))


class _Guests:
    """Whose turn it is: regulars often, others now and then; nobody is in two rooms at once."""

    def __init__(self, dice: Random) -> None:
        self._dice = dice
        self._weights = [11 if n < REGULARS else 4 if n < SOMETIMES else 1 for n in range(GUESTS)]
        self._busy: dict[int, list[tuple[datetime, datetime]]] = {}

    def turn(self, starts_at: datetime, ends_at: datetime) -> int:
        """Somebody who has nothing else to do then."""
        while True:
            (one,) = self._dice.choices(range(GUESTS), self._weights)
            taken = self._busy.setdefault(one, [])
            if all(ends_at <= since or until <= starts_at for since, until in taken):
                taken.append((starts_at, ends_at + timedelta(hours=2)))
                return one


def _of_room(
    room: int, day: date, ago: int, zone: ZoneInfo, guests: _Guests, dice: Random
) -> Iterator[Visit]:
    """A room's day, from the morning until the last guests come."""
    at = _OPENS + dice.choice((0, 30, 60, 120, 180))
    while at <= _LAST:
        growing = 1.06 - 0.006 * ago
        if dice.random() > _wanted(day.weekday(), at, room) * growing:
            at += 60
            continue
        at, minutes, product = _what(day.weekday(), at, dice)
        local = datetime.combine(day, time(at // 60, at % 60), zone)
        starts_at = local.astimezone(UTC)
        one = _visit(room, starts_at, starts_at + minutes * _MINUTE, local, product, guests, dice)
        yield one
        if one.fate == "done":
            at += minutes + one.late_min + dice.choice((_CLEANED, 45, 60))
        else:
            at += 30  # the room is on sale again


def _wanted(weekday: int, minute: int, room: int) -> float:
    """How likely a free room is taken at that time of day."""
    weekend = weekday >= 5
    if minute < 12 * 60:
        wanted = 0.34 if weekend else 0.14
    elif minute < 17 * 60:
        wanted = 0.62 if weekend else 0.36
    elif minute < 21 * 60:
        wanted = 0.9 if weekend or weekday == 4 else 0.68
    else:
        wanted = 0.5 if weekend or weekday == 4 else 0.24
    return wanted * (1.1, 1.0, 0.72)[room % 3]


def _what(weekday: int, minute: int, dice: Random) -> tuple[int, int, str]:
    """When it begins, for how many minutes, and as which product."""
    if 21 * 60 <= minute <= 22 * 60 and weekday in (4, 5) and dice.random() < 0.6:
        return 22 * 60, 600, NIGHT
    if 12 * 60 <= minute <= 13 * 60 and weekday < 5 and dice.random() < 0.3:
        return 13 * 60, 300, AFTERNOON
    if minute < 17 * 60:
        minutes = dice.choice((120, 120, 180, 240))
    else:
        minutes = dice.choice((180, 180, 240, 240, 300))
    is_package = minutes == 240 and weekday < 5 and minute < 17 * 60
    return minute, minutes, PACKAGE if is_package and dice.random() < 0.7 else ""


def _visit(
    room: int,
    starts_at: datetime,
    ends_at: datetime,
    local: datetime,
    product: str,
    guests: _Guests,
    dice: Random,
) -> Visit:
    guest = guests.turn(starts_at, ends_at)
    minutes = (ends_at - starts_at) // _MINUTE
    luck = dice.random()
    fate: Fate = "done"
    if luck < 0.05:
        fate = "cancelled"
    elif luck < 0.065:
        fate = "late_cancelled"
    elif luck < 0.1:
        fate = "lapsed"
    placed_at = _placed(starts_at, local.tzinfo, fate, dice)
    way: Way = "online"
    campaign, by_staff = 0, False
    wished = dice.random()
    if fate == "done" and not product:
        daytime = local.weekday() < 5 and local.hour >= 10 and local.hour + minutes // 60 <= 18
        if minutes == 120 and daytime and wished < 0.45:
            way, campaign = "voucher", TEA_ALONE
        elif minutes == 180 and local.hour >= 17 and wished < 0.16:
            way, campaign = "voucher", IN_A_TEAM
    if way == "online" and fate == "done":
        if guest < REGULARS and wished > 0.3:
            way = "balance"
        elif wished > 0.9:
            way, by_staff = "cash", True
    late = way != "voucher" and fate == "done" and not product and dice.random() < 0.07
    happy = dice.choices((0, 5, 4, 3, 2), (82, 12, 4, 1, 1))[0]
    return Visit(
        room=room,
        guest=guest,
        placed_at=placed_at,
        starts_at=starts_at,
        ends_at=ends_at,
        fate=fate,
        way=way,
        by_staff=by_staff,
        product=product,
        campaign=campaign,
        tea=1 if way != "voucher" and dice.random() < 0.14 else 0,
        late_min=dice.choice((9, 14, 21, 28)) if late else 0,
        stars=happy if fate == "done" and not by_staff else 0,
        complains=fate == "done" and way == "online" and dice.random() < 0.025,
    )


def _placed(starts_at: datetime, zone: object, fate: Fate, dice: Random) -> datetime:
    """When it was booked: by day or in the evening, and early enough for what became of it."""
    ((least, most, _),) = dice.choices(_LEADS, [share for *_, share in _LEADS])
    if fate == "cancelled":
        least, most = 300, 1500  # free of charge until two hours before
    elif fate == "late_cancelled":
        least, most = 100, 140
    at = starts_at - timedelta(minutes=dice.randint(least, most), seconds=dice.randint(0, 59))
    assert isinstance(zone, ZoneInfo)
    hour = at.astimezone(zone).hour
    return at - timedelta(hours=hour + 2) if hour < 8 else at  # nobody books at night
