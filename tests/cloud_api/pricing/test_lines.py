"""Lines of a price: whole units, slots over midnight, what was used, what a coupon takes off (I9)."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_api.kit.errors import KaimenError
from cloud_api.pricing import lines as pricing
from cloud_api.pricing.calendar import calendar_of
from cloud_api.pricing.lines import Book, price_used, time_lines, total
from cloud_api.pricing.menu import offered
from cloud_api.pricing.models import Package, PriceRule, Slot, Tariff
from cloud_api.pricing.offers import Offer, best, in_words, refused_at, weigh
from cloud_api.pricing.products import package_ends, slot_on, slot_times
from cloud_api.stores.models import Room, Store
from tests.cloud_api.pricing.test_split import ZONES, instants, lengths, tariff, tariffs

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SHANGHAI = ZoneInfo("Asia/Shanghai")
HOUR = timedelta(hours=1)


def store(**values: Any) -> Store:
    made = Store(merchant_id="m", name="s", address="", phone="", created_at=NOW, **values)
    made.id = "s"
    return made


def book(found: list[Tariff], tz: str = "Asia/Shanghai", rule: PriceRule | None = None) -> Book:
    room = Room(id="r", merchant_id="m", store_id="s", index=0, name="竹间", created_at=NOW)
    return Book.of(store(tz=tz), room, found, rule)


def rule(**values: Any) -> PriceRule:
    return PriceRule(store_id="s", merchant_id="m", **values)


@given(tariffs(), st.sampled_from(ZONES), instants, lengths, st.data())
def test_cutting_a_stretch_anywhere_never_changes_its_price(
    found: list[Tariff], tz: str, start: datetime, minutes: int, data: st.DataObject
) -> None:
    """Odd prices, odd minutes, any number of cuts: an extension costs what the whole would have."""
    here = book(found, tz)
    cuts = sorted({0, minutes, *data.draw(st.lists(st.integers(0, minutes), max_size=4))})
    parts = [
        total(time_lines(here, start + timedelta(minutes=a), start + timedelta(minutes=b)))
        for a, b in itertools.pairwise(cuts)
    ]
    whole = time_lines(here, start, start + timedelta(minutes=minutes))
    assert sum(parts) == total(whole)
    assert sum(line.minutes for line in whole) == minutes


@given(tariffs(), instants, lengths, st.integers(1, 90), st.integers(0, 300))
def test_a_charge_is_never_for_less_than_the_time_nor_beyond_one_unit(
    found: list[Tariff], start: datetime, minutes: int, unit: int, least: int
) -> None:
    here = book(found, rule=rule(unit_minutes=unit, least_minutes=least))
    end = start + timedelta(minutes=minutes)
    lines = pricing.hourly(here, start, end)
    charged = sum(line.minutes for line in lines)
    assert max(minutes, least) <= charged < max(minutes, least) + unit
    assert charged % unit == 0
    assert total(lines) == total(time_lines(here, start, start + timedelta(minutes=charged)))


@given(tariffs(), instants, lengths, st.integers(1, 60), st.data())
def test_what_was_used_costs_what_was_quoted_for_it(
    found: list[Tariff], start: datetime, minutes: int, unit: int, data: st.DataObject
) -> None:
    here = book(found)
    end = start + timedelta(minutes=minutes)
    quoted = [line.stored() for line in time_lines(here, start, end)]
    used_min = data.draw(st.integers(0, minutes + 60))
    used, fen = price_used(
        quoted, "Asia/Shanghai", start, start + timedelta(minutes=used_min), unit_minutes=unit
    )
    until = min(start + timedelta(minutes=-(-used_min // unit) * unit), end)
    assert fen == total(used)
    assert fen == (total(time_lines(here, start, until)) if until > start else 0)
    assert 0 <= fen <= total(time_lines(here, start, end))


def test_discounts_follow_what_was_used() -> None:
    here = book([tariff("t", 4000)])
    lines = time_lines(here, NOW, NOW + 4 * HOUR)
    off = pricing.member_line("金卡", 90, lines)
    assert off is not None
    assert off.amount_fen == -1600
    assert off.text == "金卡会员 9 折"
    stored = [line.stored() for line in (*lines, off)]
    _, fen = price_used(stored, "Asia/Shanghai", NOW, NOW + HOUR)
    assert fen == 4000 - 400


def _slot(name: str, begin: int, end: int, **values: Any) -> Slot:
    return Slot(
        id=name, merchant_id="m", store_id="s", name=name, from_minute=begin, until_minute=end,
        price_fen=12800, created_at=NOW, **values,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("tz", "day", "begin", "end", "hours"),
    [
        ("Asia/Shanghai", date(2026, 11, 23), 22 * 60, 8 * 60, 10),  # 通宵
        ("Asia/Shanghai", date(2026, 11, 23), 18 * 60, 1440, 6),
        ("Asia/Shanghai", date(2026, 11, 23), 23 * 60 + 59, 23 * 60 + 59, 24),
        ("America/New_York", date(2026, 10, 31), 22 * 60, 8 * 60, 11),  # clocks go back
        ("America/New_York", date(2026, 3, 7), 22 * 60, 8 * 60, 9),
        ("Australia/Lord_Howe", date(2026, 4, 4), 22 * 60, 8 * 60, 10.5),
        ("Asia/Shanghai", date(2028, 2, 28), 22 * 60, 22 * 60, 24),  # into the leap day
    ],
)
def test_slots_are_wall_time(tz: str, day: date, begin: int, end: int, hours: float) -> None:
    starts_at, ends_at = slot_times(_slot("x", begin, end), day, ZoneInfo(tz))
    assert ends_at - starts_at == timedelta(hours=hours)


def test_a_slot_that_has_begun_is_sold_for_the_rest_until_too_little_is_left() -> None:
    here = book([tariff("t", 4000)])
    slot, day = _slot("晚场", 18 * 60, 1440), date(2026, 11, 23)
    late = datetime(2026, 11, 23, 20, 10, 30, tzinfo=SHANGHAI)
    sold = slot_on(here.store, here.room, slot, day, late)
    assert sold.starts_at == late.replace(second=0)
    line = pricing.slot_line(slot, sold.starts_at, sold.ends_at, SHANGHAI)
    assert (line.text, line.amount_fen) == ("晚场 20:10–次日 00:00", 12800)
    with pytest.raises(KaimenError, match=r"slot\.over"):
        slot_on(here.store, here.room, slot, day, late + 3 * HOUR)
    with pytest.raises(KaimenError, match=r"slot\.not_that_day"):
        slot_on(here.store, here.room, _slot("周末", 600, 900, weekdays=96), day, late)
    with pytest.raises(KaimenError, match=r"slot\.not_here"):
        slot_on(here.store, here.room, _slot("别间", 600, 900, rooms=["q"]), day, late)


@pytest.mark.parametrize(
    ("hourly_fen", "at", "shown"),
    [(4000, 17, True), (4000, 20, True), (4000, 21, False), (None, 21, True)],
)
def test_a_slot_dearer_than_its_hours_that_are_left_is_not_shown(
    hourly_fen: int | None, at: int, shown: bool
) -> None:
    """Bug: at 16:12 the first thing a guest could tap was the afternoon until 18:00 for 129 yuan; by the hour the
    same time cost 68.40. Where no hours are sold a slot stands until it is over.
    """
    here = book([tariff("t", hourly_fen)] if hourly_fen else [])
    now = datetime(2026, 11, 23, at, tzinfo=SHANGHAI)
    sold = offered(here, _slot("晚场", 18 * 60, 1440), now.date(), now)  # 128 yuan
    assert (sold is not None) is shown


def test_holidays_and_make_up_workdays() -> None:
    """2026-10-10 is a Saturday that is worked; 1 October a holiday; a store may say otherwise."""
    weekday = tariff("平日", 3000)
    weekend = tariff("周末", 5000, priority=1, weekdays=0b1100000)
    feast = tariff("节日", 8000, priority=5)
    feast.holidays = "only"
    own = store(days={"2026-10-09": {"name": "店庆", "as": "holiday"}})
    here = book([weekday, weekend, feast])

    def price(one: Store, *day: int) -> tuple[int, str]:
        at = datetime(*day, 10, tzinfo=SHANGHAI)  # type: ignore[arg-type,misc]
        (line,) = time_lines(Book.of(one, here.room, here.tariffs, None), at, at + HOUR)
        return line.amount_fen, line.text

    assert price(own, 2026, 10, 10)[0] == 3000
    assert price(own, 2026, 10, 11)[0] == 5000
    assert price(own, 2026, 10, 1) == (8000, "节日（国庆节） 10:00–11:00")
    assert price(own, 2026, 10, 9) == (8000, "节日（店庆） 10:00–11:00")
    assert price(store(holidays=""), 2026, 10, 1)[0] == 3000
    assert calendar_of(own)(date(2027, 2, 6)).name == "春节"


def test_packages_begin_when_they_may() -> None:
    here = book([tariff("t", 4000)])
    pack = Package(
        id="p", merchant_id="m", store_id="s", name="下午茶", minutes=240, price_fen=9900,
        weekdays=0b11111, from_minute=720, until_minute=960, valid_until=date(2026, 11, 30),
        created_at=NOW,
    )  # fmt: skip
    monday = datetime(2026, 11, 23, 12, tzinfo=SHANGHAI)
    assert package_ends(here.store, here.room, pack, monday) == monday + 4 * HOUR
    for at, code in (
        (monday + 4 * HOUR, "package.not_that_time"),
        (monday - timedelta(days=1), "package.not_that_day"),
        (monday + timedelta(days=14), "package.not_valid"),
    ):
        with pytest.raises(KaimenError) as refused:
            package_ends(here.store, here.room, pack, at)
        assert refused.value.code == code


def test_a_coupon_of_a_friday_night_is_good_on_saturday_morning() -> None:
    """A window of a coupon ended at midnight: one for the night was refused after twelve, or stood for all day."""
    here = book([tariff("t", 4000)])
    night = Offer(
        "n", "通宵券", "off", off_fen=500, weekdays=16, from_minute=1320, until_minute=480
    )
    told = {
        (day, hour): refused_at(night, here, datetime(2026, 11, day, hour, tzinfo=SHANGHAI))
        for day, hour in ((27, 22), (28, 0), (28, 7), (27, 7), (27, 21), (28, 8), (28, 23))
    }
    assert list(told.values()) == [
        "", "", "", "这一天不能用", "这个时段不能用", "这一天不能用", "这一天不能用",
    ]  # fmt: skip


def test_coupons_take_off_what_they_say_and_the_best_is_picked() -> None:
    here = book([tariff("t", 4000), tariff("late", 6000, priority=1, start=1200)])
    start = datetime(2026, 11, 23, 18, tzinfo=SHANGHAI)
    lines = time_lines(here, start, start + 3 * HOUR)  # 2 × 40 + 1 × 60
    offers = [
        Offer("off", "满百减二十", "off", off_fen=2000, min_fen=10000),
        Offer("rate", "八五折", "discount", per_cent=85, cap_fen=1500),
        Offer("time", "送一小时", "add_time", minutes=60),
        Offer("dear", "满三百", "off", off_fen=9000, min_fen=30000),
        Offer("noon", "白天", "off", off_fen=9000, until_minute=720),
        Offer("slot", "场次券", "off", off_fen=9000, products=("slot",)),
        Offer("all", "白送", "off", off_fen=99999),
    ]
    found = {o.id: weigh(o, here, "hourly", lines, start, start + 3 * HOUR) for o in offers}
    assert {name: one.off_fen for name, one in found.items()} == {
        "off": 2000, "rate": 1500, "time": 6000, "dear": 0, "noon": 0, "slot": 0, "all": 14000,
    }  # fmt: skip
    assert found["dear"].why_not == "房费满 ¥300 才能用"
    picked = best(found[name] for name in ("off", "rate", "time", "dear"))
    assert picked is not None
    assert picked.offer.id == "time"
    assert [in_words(o) for o in offers[:3]] == [
        "满 ¥100 减 ¥20",
        "8.5 折，最多减 ¥15",
        "送 1 小时",
    ]
