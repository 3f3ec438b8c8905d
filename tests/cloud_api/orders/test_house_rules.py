"""What the house's rules do to orders: no-show, confirmation, who may book, leaving early, the desk."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cloud_api.claims.models import BookingRule
from cloud_api.devices.models import StoreStatus
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import Conflict
from cloud_api.orders import confirm, finish, leaving, limits, staff_booking, store_events
from cloud_api.orders.models import Order
from cloud_api.staff.permissions import ALL
from store_link.messages import StayBody, StayState
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House


async def _rules(house: House, **rules: Any) -> None:
    async with house.cloud.db.write() as session:
        store = house.shop.store
        session.add(
            BookingRule(
                id=store.id,
                merchant_id=store.merchant_id,
                store_id=store.id,
                rules=rules,
                updated_at=house.cloud.clocks.now,
            )
        )


async def _owner(house: House) -> Staff:
    async with house.cloud.db.write() as session:
        return staff(await make_staff(session, house.shop, house.cloud.clocks.now), ALL)


async def test_who_does_not_come_gives_the_room_back(house: House) -> None:
    await _rules(house, no_show_minutes=30, no_show_per_cent=50)
    order = await house.paid_order(in_h=1, hours=2)
    house.passes(3600 + 29 * 60)
    await house.quiet()
    assert (await house.again(order)).status == "ready"
    house.passes(60)
    gone = await house.until(order, "cancelled")
    assert (gone.cancel_why, gone.cancel_fee_fen, gone.refunding_fen) == ("no_show", 3800, 3800)
    assert (await house.claim(order)).state == "released"
    await house.order(in_h=1.5, hours=1)  # on sale again


async def test_while_the_store_is_away_nobody_counts_as_not_come(house: House) -> None:
    await _rules(house, no_show_minutes=30)
    order = await house.paid_order(in_h=1, hours=2)
    async with house.cloud.db.write() as session:
        status = await session.get_one(StoreStatus, order.store_id)
        status.online, status.nonce = False, None
        session.add(status)
    house.passes(3600 + 31 * 60)
    await house.quiet()
    assert (await house.again(order)).status == "ready"


async def test_an_order_waits_for_the_house_to_confirm_it(house: House) -> None:
    await _rules(house, confirm_minutes=20)
    first = await house.order(in_h=3)
    second = await house.order(in_h=8, room=house.shop.rooms[1])
    for order in (first, second):
        house.till.pay((await house.pay(order)).number)
        await house.until(order, "paid")
    assert house.granted == []
    owner = await _owner(house)
    async with house.cloud.db.write() as session:
        yes = await confirm.confirm(session, owner, first.id, house.cloud.clocks)
        assert yes.status == "ready"
    house.passes(20 * 60)
    late = await house.until(second, "cancelled")
    assert (late.cancel_why, late.refunding_fen, late.cancel_fee_fen) == (
        "not_confirmed", second.total_fen, 0,
    )  # fmt: skip
    assert (await house.again(first)).status == "ready"
    assert house.granted == [first.id]


async def test_a_blocked_customer_and_one_with_too_many_orders_book_nothing(house: House) -> None:
    await _rules(house, max_open=1)
    order = await house.paid_order(in_h=3)
    with pytest.raises(Conflict) as refused:
        await house.order(in_h=8)
    assert refused.value.code == "booking.too_many_open"
    owner = await _owner(house)
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        row = await limits.block(
            session, owner, order.id, "损坏设备", clocks.now + timedelta(days=1), clocks
        )
    with pytest.raises(Conflict) as refused:
        await house.order(in_h=8)
    assert refused.value.code == "booking.customer_blocked"
    async with house.cloud.db.write() as session:
        assert [one.id for one in await limits.blocked(session, owner, clocks.now)] == [row.id]
        assert await limits.blocked(session, owner, clocks.now + timedelta(days=1)) == []
        await limits.lift(session, owner, row.id, clocks)
        assert await limits.blocked(session, owner, clocks.now) == []
    with pytest.raises(Conflict) as refused:
        await house.order(in_h=8)
    assert refused.value.code == "booking.too_many_open"


async def test_who_leaves_early_gets_whole_unused_units_back_when_the_store_says_so(
    house: House,
) -> None:
    await _rules(house, early_unit_minutes=30, early_per_cent=50)
    order = await house.paid_order(in_h=1, hours=2)
    house.passes(3600 + 35 * 60)
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        assert await leaving.early_back(session, order, clocks.now) == 1900  # an hour, at half
        await finish.finish(session, house.who, order.id, clocks, "test")
        body = StayBody(
            stay=order.claim_id, room=order.room_id, was=StayState.IN_USE, now=StayState.ENDED,
            why="finished",
        )  # fmt: skip
        await store_events.apply_stay(session, house.shop.store, body, clocks.now, clocks)
    done = await house.again(order)
    assert (done.status, done.total_fen, done.refunding_fen) == ("completed", 5700, 1900)


async def test_staff_book_for_who_calls_and_the_room_is_kept_for_the_link(house: House) -> None:
    await _rules(house, staff_hold_minutes=45)
    owner = await _owner(house)
    clocks = house.cloud.clocks

    async def book(in_h: float) -> Order:
        starts = clocks.now + timedelta(hours=in_h)
        async with house.cloud.db.write() as session:
            return await staff_booking.book(
                session, owner, phone="13712345678", room_id=house.shop.room.id,
                starts_at=starts, ends_at=starts + timedelta(hours=2), note="要靠窗", clocks=clocks,
            )  # fmt: skip

    order = await book(2)
    assert (order.source, order.staff_note) == ("staff", "要靠窗")
    assert order.hold_expires_at == clocks.now + timedelta(minutes=45)
    again = await book(6)
    assert again.account_id == order.account_id  # the same phone is the same customer
