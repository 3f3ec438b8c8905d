"""Long periods from months, years and bits: what they say is what counting order by order says."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, text
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from cloud_api.kit.cloud import Cloud
from cloud_api.ledger.days import business_day
from cloud_api.orders.models import Order
from cloud_api.reports import months, query, rollup
from cloud_api.reports.crowd import Crowd, packed, spans, unpacked
from cloud_api.reports.models import ReportLife, ReportMonthPart
from cloud_api.reports.query import Wanted
from cloud_api.staff.permissions import ALL
from tests.cloud_api.factories import (
    Shop,
    make_customer,
    make_order,
    make_staff,
    make_store,
    staff,
)

DAY = timedelta(days=1)
days = st.dates(date(2023, 1, 1), date(2027, 12, 31))
visits = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 3), st.integers(0, 1)), max_size=30)


@given(days, st.integers(-1, 1200))
def test_pieces_cover_each_day_once(first: date, more: int) -> None:
    last = first + more * DAY
    found: list[date] = []
    for span, begin, end in spans(first, last):
        assert begin <= end
        if span == "month":
            assert (begin.day, end.day) == (1, 1)
            end = (end + 31 * DAY).replace(day=1) - DAY
        elif span == "year":
            assert (begin.month, begin.day, end.month, end.day) == (1, 1, 1, 1)
            end = end.replace(month=12, day=31)
        found += [begin + n * DAY for n in range((end - begin).days + 1)]
    assert sorted(found) == [first + n * DAY for n in range(more + 1)]
    assert len(spans(first, last)) <= 7


@given(st.lists(visits, max_size=6))
def test_a_crowd_of_both_is_what_counting_says(times: list[list[tuple[int, int, int]]]) -> None:
    whole = Crowd()
    for one in times:
        # a guest has one row a day
        whole |= Crowd.of({number: (number, some, by) for number, some, by in one}.values())
    counted: Counter[int] = Counter()
    vouchers = set()
    for one in times:
        for number, some, by in {row[0]: row for row in one}.values():
            counted[number] += some
            vouchers |= {number} if by else set()
    assert whole.came.bit_count() == len(counted)
    assert whole.again.bit_count() == sum(1 for some in counted.values() if some > 1)
    assert whole.by_voucher.bit_count() == len(vouchers)
    for bits in (whole.came, whole.again, whole.by_voucher):
        assert unpacked(packed(bits)) == bits


async def test_any_period_says_what_its_orders_say(cloud: Cloud, shop: Shop, now: datetime) -> None:
    """Guests, hours and rooms of periods of every length over two years, for one store and for both."""
    dice = random.Random(7)
    async with cloud.db.write() as session:
        guests = [await make_customer(session, now) for _ in range(6)]
        other = await make_store(session, now, merchant=shop.merchant, name="别的店")
        who = staff(await make_staff(session, shop, now), ALL)
        taken = set()
        for n in range(40):
            place, day = dice.choice((shop, other)), dice.randrange(600)
            room = dice.choice(place.rooms)
            if (room.id, day) in taken:
                continue
            taken.add((room.id, day))
            starts = now - day * DAY + timedelta(hours=dice.randrange(10))
            guest = guests[n % 5 if day > 100 else 5 - n % 3]
            await make_order(
                session, place, guest, starts, room=room, now=starts - DAY, status="completed"
            )
        await session.flush()
        orders = (await session.exec(select(Order))).all()
        made = {(one.store_id, business_day(one.starts_at, shop.store.tz)) for one in orders}
        for store_id, when in sorted(made, key=lambda _one: dice.random()):
            await rollup.rebuild(session, store_id, when, cloud.clocks)
    today = business_day(now, shop.store.tz)
    periods = [(today - 599 * DAY, today), (date(2026, 1, 1), date(2026, 6, 30)), (today, today)]
    for _ in range(4):
        first = today - dice.randrange(600) * DAY
        periods.append((first, first + dice.randrange(500) * DAY))
    async with cloud.db.read() as session:
        for first, last in periods:
            for store_ids in (None, (shop.store.id,)):
                mine = [
                    (one, business_day(one.starts_at, shop.store.tz))
                    for one in orders
                    if store_ids is None or one.store_id in store_ids
                ]
                within = Counter(one.account_id for one, day in mine if first <= day <= last)
                known = {one.account_id for one, day in mine if day < first}
                wanted = Wanted(first, last, store_ids)
                told = await query.guests(session, who, wanted)
                assert (told.active, told.visits) == (len(within), within.total())
                assert told.fresh == len(set(within) - known)
                assert told.returning == sum(
                    1 for one, some in within.items() if some > 1 or one in known
                )
                rooms = await query.sums(session, who, wanted, "room", ("stays", "stay_fen"))
                stays = Counter(one.room_id for one, day in mine if first <= day <= last)
                assert {k: v["stays"] for k, v in rooms.items() if v["stays"]} == dict(stays)
                hours = await query.hours(session, who, wanted)
                busy = Counter(day.weekday() for _one, day in mine if first <= day <= last)
                told_busy: Counter[int] = Counter()
                for (weekday, _hour), (minutes, _offered) in hours.items():
                    told_busy[weekday] += minutes
                assert {k: v for k, v in told_busy.items() if v} == {
                    k: 120 * some for k, some in busy.items()
                }


@pytest.mark.parametrize("db_url", ["postgresql"], indirect=True)  # SQLite has one writer
@pytest.mark.parametrize("locked", [True, False])
async def test_days_of_a_month_made_at_once_lose_nothing(
    cloud: Cloud, shop: Shop, now: datetime, monkeypatch: pytest.MonkeyPatch, locked: bool
) -> None:
    """Two days of a month with the same guests, made by two workers at once: the month has both.

    Each sums up a month and lives of guests; one that reads before the other has committed left the other's
    day out until night, or failed at a life that the other had just written. The negative control does so.
    """
    noons = [datetime(2026, 11, n, 4, tzinfo=UTC) for n in (2, 3, 4)]
    async with cloud.db.write() as session:
        who = staff(await make_staff(session, shop, now), ALL)
        guests = [await make_customer(session, now) for _ in shop.rooms]
        for noon in noons:
            for room, guest in zip(shop.rooms, guests, strict=True):
                await make_order(
                    session, shop, guest, noon, room=room, now=noon - DAY, status="completed"
                )

    async def make(noon: datetime) -> None:
        async with cloud.db.write() as session:
            await rollup.rebuild(session, shop.store.id, noon.date(), cloud.clocks)

    await make(noons[0])
    if not locked:
        monkeypatch.setattr(rollup, "_alone", _no_lock)
    async with cloud.db.write() as session:
        await rollup.rebuild(session, shop.store.id, noons[1].date(), cloud.clocks)
        other = asyncio.create_task(make(noons[2]))
        async with asyncio.timeout(30):
            while not await _somebody_waits(cloud):
                await asyncio.sleep(0.01)
    if not locked:
        with pytest.raises(IntegrityError, match="report_life"):
            await other
        return
    await other
    async with cloud.db.read() as session:
        told = await query.guests(session, who, Wanted(date(2026, 11, 1), date(2026, 11, 30)))
        summed = (await session.exec(select(func.sum(col(ReportMonthPart.stays))))).one()
        lives = (await session.exec(select(col(ReportLife.visits)))).all()
    assert (told.active, told.visits, summed, list(lives)) == (3, 9, 9, [3, 3, 3])


async def test_guests_numbered_at_once_have_a_number_each(cloud: Cloud, now: datetime) -> None:
    """Two workers number the same new guests and others: one waits for the other's, and goes on after them."""
    async with cloud.db.write() as session:
        shop = await make_store(session, now)
        ids = [(await make_customer(session, now)).id for _ in range(7)]

    async def number(mine: list[str]) -> dict[str, int]:
        async with cloud.db.write() as session:
            return await months.numbers(session, shop.merchant.id, mine)

    first, second = await asyncio.gather(number(ids[:5]), number(ids[2:]))
    assert {**first, **second} == {**second, **first}  # who was in both has one
    assert len({*first.values(), *second.values()}) == 7


async def _no_lock(*_: object) -> None:
    """The negative control's."""


async def _somebody_waits(cloud: Cloud) -> bool:
    async with cloud.db.read() as session:
        waiting = await session.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity "
                "WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        )
        return bool(waiting.scalar_one())
