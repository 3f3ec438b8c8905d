"""The same time every week: an order each, conflicts told, nothing half done."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import col, select

from cloud_api.claims.models import BookingRule
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError
from cloud_api.orders import series
from cloud_api.orders.models import Order
from cloud_api.staff.permissions import ALL
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House


def test_the_clock_on_the_wall_stays_when_clocks_are_changed() -> None:
    """Berlin leaves summer time on 2026-10-25: the next week begins an hour later in UTC."""
    first = datetime(2026, 10, 20, 16, tzinfo=UTC)
    (a, _), (b, end) = series.weeks_of("Europe/Berlin", first, first + timedelta(hours=2), 2)
    assert (f"{a:%H:%M}", f"{b:%H:%M}", f"{end:%H:%M}") == ("18:00", "18:00", "20:00")
    assert b.astimezone(UTC) == datetime(2026, 10, 27, 17, tzinfo=UTC)
    for times in (1, 13):
        with pytest.raises(KaimenError) as refused:
            series.weeks_of("Asia/Shanghai", first, first, times)
        assert refused.value.code == "series.times"


async def test_every_week_or_those_that_are_free(house: House) -> None:
    store = house.shop.store
    async with house.cloud.db.write() as session:
        rule = {"advance_days": 21, "staff_hold_minutes": 60}
        session.add(
            BookingRule(
                id=store.id,
                merchant_id=store.merchant_id,
                store_id=store.id,
                rules=rule,
                updated_at=house.cloud.clocks.now,
            )
        )
        boss = staff(await make_staff(session, house.shop, house.cloud.clocks.now), ALL)
    await house.order(in_h=3 + 24 * 7)  # somebody has the second week
    begin = house.noon + timedelta(hours=3)
    end = begin + timedelta(hours=2)
    room, clocks = house.shop.room, house.cloud.clocks
    async with house.cloud.db.read() as session:
        told = await series.look(session, house.who, room.id, begin, end, 5, clocks)
    codes = ["", "book.taken", "", "", "booking.too_far"]
    assert [week.code for week in told] == codes
    with pytest.raises(Conflict) as refused:
        async with house.cloud.db.write() as session:
            await series.book(session, house.who, room.id, begin, end, 5, clocks, skip=False)
    assert refused.value.code == "series.conflicts"
    conflicts = refused.value.extra["conflicts"]
    assert [one["code"] for one in conflicts] == ["book.taken", "booking.too_far"]
    async with house.cloud.db.read() as session:
        left = await session.exec(select(Order).where(col(Order.series_id).is_not(None)))
        assert left.all() == []
    async with house.cloud.db.write() as session:
        orders, missed = await series.book(
            session, house.who, room.id, begin, end, 5, clocks, skip=True
        )
    assert [order.starts_at - begin for order in orders] == [timedelta(weeks=n) for n in (0, 2, 3)]
    assert len({order.series_id for order in orders}) == 1
    assert {(order.source, order.status) for order in orders} == {("series", "pending_payment")}
    assert [order.total_fen for order in orders] == [w.total_fen for w in told if not w.code]
    assert [one.code for one in missed] == ["book.taken", "booking.too_far"]
    with pytest.raises(Conflict) as refused:  # four unpaid ones already
        async with house.cloud.db.write() as session:
            await series.book(session, house.who, room.id, begin, end, 2, clocks, skip=True)
    assert refused.value.code == "order.too_many_unpaid"
    # Each is an order of its own: paid, or let go when its hold ends.
    house.till.pay((await house.pay(orders[0])).number)
    await house.until(orders[0], "ready")
    house.passes(3600)
    await house.finish_all()
    assert (await house.again(orders[1])).status == "cancelled"
    assert (await house.again(orders[0])).status == "ready"
    # The desk books the weeks that came free, for whoever calls.
    nobody = staff_without(boss)
    with pytest.raises(Forbidden):
        async with house.cloud.db.write() as session:
            await series.book_for(
                session, nobody, "13900001111", room.id, begin, end, 2, clocks, skip=True
            )
    later, until = begin + timedelta(weeks=2), end + timedelta(weeks=2)
    async with house.cloud.db.write() as session:
        (one, _two), none = await series.book_for(
            session, boss, "13900001111", room.id, later, until, 2, clocks, skip=False, note="老客"
        )
    assert (one.made_by, one.source, one.staff_note, none) == (boss.ref, "series", "老客", [])


def staff_without(boss: Staff) -> Staff:
    """The same person without any permission."""
    return Staff(boss.staff_id, boss.account_id, boss.merchant_id, frozenset())
