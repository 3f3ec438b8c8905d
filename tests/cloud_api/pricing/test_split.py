"""Splitting time at tariff boundaries: no gap, no overlap, no minute lost to midnight or DST.

The oracle asks the wall clock minute by minute which tariff rules; the code under test asks only at
boundaries. Both must charge every elapsed minute the same.
"""

from __future__ import annotations

import itertools
from collections import Counter
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cloud_api.kit.errors import Conflict
from cloud_api.pricing.models import Tariff
from cloud_api.pricing.split import ruling, split

ZONES = ("Asia/Shanghai", "America/New_York", "Australia/Lord_Howe", "UTC")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def tariff(
    name: str,
    hourly_fen: int,
    *,
    priority: int = 0,
    weekdays: int = 127,
    start: int = 0,
    end: int = 1440,
    room: str | None = None,
) -> Tariff:
    return Tariff(
        id=name,
        merchant_id="m",
        store_id="s",
        room_id=room,
        name=name,
        weekdays=weekdays,
        from_minute=start,
        until_minute=end,
        hourly_fen=hourly_fen,
        priority=priority,
        created_at=NOW,
    )


BASE = tariff("base", 3800)
EVENING = tariff("evening", 4800, priority=10, start=1080, end=1440)
WEEKEND = tariff("weekend", 5800, priority=20, weekdays=0b1100000, start=1080, end=1440)
HOUSE = [BASE, EVENING, WEEKEND]


@st.composite
def tariffs(draw: st.DrawFn) -> list[Tariff]:
    found = [tariff("t0", draw(st.integers(0, 99_999)))]
    for index in range(draw(st.integers(0, 4))):
        start = draw(st.integers(0, 1438))
        found.append(
            tariff(
                f"t{index + 1}",
                draw(st.integers(0, 99_999)),
                priority=draw(st.integers(1, 3)),
                weekdays=draw(st.integers(1, 127)),
                start=start,
                end=draw(st.integers(start + 1, 1440)),
            )
        )
    return found


# Around the changes of 2026 in New York (8 March, 1 November) and Lord Howe (5 April, 4 October,
# by half an hour), a leap day, New Year's midnight, and any minute besides.
_NEAR = st.sampled_from(
    [
        datetime(2026, 3, 8, 7, tzinfo=UTC),
        datetime(2026, 11, 1, 6, tzinfo=UTC),
        datetime(2026, 4, 4, 15, tzinfo=UTC),
        datetime(2026, 10, 3, 15, 30, tzinfo=UTC),
        datetime(2028, 2, 29, 16, tzinfo=UTC),
        datetime(2026, 12, 31, 16, tzinfo=UTC),
    ]
)
instants = st.one_of(
    st.builds(lambda near, by: near + timedelta(minutes=by), _NEAR, st.integers(-900, 900)),
    st.integers(0, 3 * 525_600).map(lambda m: NOW + timedelta(minutes=m)),
)
lengths = st.integers(1, 30 * 60)


@given(tariffs(), st.sampled_from(ZONES), instants, lengths)
@example(HOUSE, "Asia/Shanghai", datetime(2026, 11, 23, 15, 59, tzinfo=UTC), 2)  # 23:59–00:01
@example(HOUSE, "America/New_York", datetime(2026, 11, 1, 3, tzinfo=UTC), 300)
@example(HOUSE, "Australia/Lord_Howe", datetime(2026, 4, 4, 14, 45, tzinfo=UTC), 45)
def test_every_minute_is_charged_once_by_the_tariff_of_its_wall_time(
    found: list[Tariff], tz: str, start: datetime, minutes: int
) -> None:
    end = start + timedelta(minutes=minutes)
    pieces = split(found, tz, start, end)

    assert pieces[0].starts_at == start
    assert pieces[-1].ends_at == end
    for before, after in itertools.pairwise(pieces):
        assert before.ends_at == after.starts_at
        assert before.tariff.id != after.tariff.id
    zone = ZoneInfo(tz)
    wall: Counter[str] = Counter(
        ruling(found, (start + timedelta(minutes=m)).astimezone(zone)).id for m in range(minutes)
    )
    charged: Counter[str] = Counter()
    for piece in pieces:
        assert piece.seconds > 0
        charged[piece.tariff.id] += piece.seconds
    assert {name: 60 * count for name, count in wall.items()} == dict(charged)


@given(tariffs(), st.sampled_from(ZONES), instants, lengths, st.data())
def test_splitting_a_booking_changes_its_price_by_rounding_only(
    found: list[Tariff], tz: str, start: datetime, minutes: int, data: st.DataObject
) -> None:
    """Each line is rounded half up by itself, so each line is off by half a fen at most."""
    cut = start + timedelta(minutes=data.draw(st.integers(0, minutes)))
    end = start + timedelta(minutes=minutes)
    whole = split(found, tz, start, end)
    parts = [
        piece for a, b in ((start, cut), (cut, end)) if a < b for piece in split(found, tz, a, b)
    ]
    difference = sum(p.amount_fen for p in whole) - sum(p.amount_fen for p in parts)
    assert abs(difference) <= (len(whole) + len(parts)) / 2


@given(st.lists(st.integers(0, 999), min_size=1, max_size=4), instants, lengths, st.data())
def test_prices_in_whole_yuan_per_hour_and_half_hours_split_exactly(
    yuan: list[int], start: datetime, minutes: int, data: st.DataObject
) -> None:
    found = [tariff("t0", yuan[0] * 100)] + [
        tariff(f"t{i}", price * 100, priority=i, start=60 * i, end=60 * i + 300)
        for i, price in enumerate(yuan[1:], 1)
    ]
    start = start.replace(minute=0)
    minutes = 30 * max(1, minutes // 30)
    cut = start + timedelta(minutes=30 * data.draw(st.integers(0, minutes // 30)))
    end = start + timedelta(minutes=minutes)

    def price(a: datetime, b: datetime) -> int:
        return sum(p.amount_fen for p in split(found, "Asia/Shanghai", a, b)) if a < b else 0

    assert price(start, end) == price(start, cut) + price(cut, end)


def _lines(tz: str, start: datetime, end: datetime) -> list[tuple[str, int, int]]:
    return [(p.tariff.name, p.seconds // 60, p.amount_fen) for p in split(HOUSE, tz, start, end)]


def _local(tz: str, *parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo(tz), fold=fold)  # type: ignore[arg-type,misc]


def test_an_evening_is_two_lines() -> None:
    start, end = (_local("Asia/Shanghai", 2026, 11, 23, h) for h in (17, 20))
    assert _lines("Asia/Shanghai", start, end) == [("base", 60, 3800), ("evening", 120, 9600)]


def test_over_midnight_of_a_friday() -> None:
    start, end = _local("Asia/Shanghai", 2026, 11, 28, 22), _local("Asia/Shanghai", 2026, 11, 29, 2)
    assert _lines("Asia/Shanghai", start, end) == [("weekend", 120, 11600), ("base", 120, 7600)]


def test_eleven_at_night_to_three_is_five_hours_when_new_york_turns_back() -> None:
    tz = "America/New_York"
    start, end = _local(tz, 2026, 10, 31, 23), _local(tz, 2026, 11, 1, 3)
    assert sum(minutes for _, minutes, _ in _lines(tz, start, end)) == 300


def test_and_three_when_it_springs_forward() -> None:
    tz = "America/New_York"
    start, end = _local(tz, 2026, 3, 7, 23), _local(tz, 2026, 3, 8, 3)
    assert sum(minutes for _, minutes, _ in _lines(tz, start, end)) == 180


def test_a_boundary_that_the_wall_skips_is_where_the_wall_jumps() -> None:
    """02:30 does not exist on 8 March in New York: what begins there begins at 03:00 local."""
    night = [tariff("day", 6000), tariff("night", 1000, priority=1, start=0, end=150)]
    tz = "America/New_York"
    start, end = _local(tz, 2026, 3, 8, 1), _local(tz, 2026, 3, 8, 4)
    pieces = split(night, tz, start, end)
    assert [(p.tariff.name, p.seconds) for p in pieces] == [("night", 3600), ("day", 3600)]


def test_a_wall_time_that_comes_twice_is_charged_twice() -> None:
    """01:00–02:00 comes twice on 1 November in New York; the cheap hour is sold twice."""
    cheap = [tariff("day", 6000), tariff("cheap", 600, priority=1, start=60, end=120)]
    tz = "America/New_York"
    start, end = _local(tz, 2026, 11, 1, 0), _local(tz, 2026, 11, 1, 3)
    assert [(p.tariff.name, p.seconds) for p in split(cheap, tz, start, end)] == [
        ("day", 3600),
        ("cheap", 7200),
        ("day", 3600),
    ]


def test_lord_howe_moves_by_half_an_hour() -> None:
    tz = "Australia/Lord_Howe"
    start, end = _local(tz, 2026, 4, 5, 1), _local(tz, 2026, 4, 5, 3)
    assert sum(minutes for _, minutes, _ in _lines(tz, start, end)) == 150


def test_the_leap_day_has_its_own_hours() -> None:
    tz = "Asia/Shanghai"
    start, end = _local(tz, 2028, 2, 28, 23), _local(tz, 2028, 3, 1, 1)
    assert sum(minutes for _, minutes, _ in _lines(tz, start, end)) == 26 * 60


def test_a_rooms_own_price_wins_over_the_stores() -> None:
    own = tariff("own", 9900, room="r1")
    assert ruling([BASE, own], _local("UTC", 2026, 1, 1, 12)).name == "own"


def test_time_without_a_price_is_refused() -> None:
    with pytest.raises(Conflict) as refused:
        split([EVENING], "UTC", _local("UTC", 2026, 1, 1, 12), _local("UTC", 2026, 1, 1, 19))
    assert refused.value.code == "price.missing"


@given(st.integers(1, 10_000_000), st.integers(1, 100_000))
def test_a_line_is_rounded_half_up(hourly: int, seconds: int) -> None:
    piece = split([tariff("t", hourly)], "UTC", NOW, NOW + timedelta(seconds=seconds))[0]
    assert piece.amount_fen == (2 * hourly * seconds + 3600) // 7200
