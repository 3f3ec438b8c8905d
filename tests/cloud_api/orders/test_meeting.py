"""Where two parts of an order meet: what each of them got wrong when the other was there too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from cloud_api.claims.models import BookingRule, RoomClaim
from cloud_api.coupons import service as coupons
from cloud_api.coupons.models import Coupon
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict
from cloud_api.orders import change_service, finish, money, personal, refund_requests, store_events
from cloud_api.orders.models import Order, OrderChange
from cloud_api.orders.transitions import system_lock
from cloud_api.staff.permissions import ALL
from store_link.messages import StayBody, StayState
from tests.cloud_api.factories import make_customer, make_staff, staff
from tests.cloud_api.house import House


async def _rules(house: House, **rules: Any) -> None:
    async with house.cloud.db.write() as session:
        store = house.shop.store
        session.add(
            BookingRule(
                id=store.id, merchant_id=store.merchant_id, store_id=store.id, rules=rules,
                updated_at=house.cloud.clocks.now,
            )
        )  # fmt: skip


async def _extended(house: House, order: Order, minutes: int) -> None:
    one = await change_service.extend(house.cloud, house.who, order.id, minutes)
    payment = await change_service.pay(
        house.cloud, house.who, order.id, one.id, provider="cashier", channel="page",
        return_path=None,
    )  # fmt: skip
    house.till.pay(payment.number)

    async def applied() -> bool:
        async with house.cloud.db.read() as session:
            return (await session.get_one(OrderChange, one.id)).state == "applied"

    await house.run(applied)


async def _ends(house: House, order: Order, clocks: Clocks) -> Order:
    """The store says that the stay ended as it was first sold: it never heard of more time."""
    body = StayBody(
        stay=order.claim_id, room=order.room_id, was=StayState.GRACE, now=StayState.ENDED,
        why="grace_over",
    )  # fmt: skip
    async with house.cloud.db.write() as session:
        await store_events.apply_stay(session, house.shop.store, body, order.ends_at, clocks)
    return await house.again(order)


async def test_a_change_held_beside_an_order_that_nobody_confirmed_keeps_no_room(
    house: House,
) -> None:
    """An order waits for the house; its guest asks for another room, which is held for them; the house
    does not confirm. The order was cancelled and refunded, but the other room stayed held for the
    whole of the change's hold, so nobody else could book it.
    """
    await _rules(house, confirm_minutes=5)
    order = await house.order(in_h=3)
    house.till.pay((await house.pay(order)).number)
    await house.until(order, "paid")
    house.passes(4 * 60)
    other = house.shop.rooms[1]
    until = order.ends_at + timedelta(hours=1)
    one = await change_service.move(house.cloud, house.who, order.id, other.id, None, until)
    assert one.state == "held"
    house.passes(61)
    await house.until(order, "cancelled")
    async with house.cloud.db.write() as session:
        stranger = await make_customer(session, house.cloud.clocks.now)
        assert (await session.get_one(OrderChange, one.id)).state == "lapsed"
        kept = await session.exec(
            select(RoomClaim).where(
                col(RoomClaim.order_id) == order.id, col(RoomClaim.state) != "released"
            )
        )
        assert kept.all() == []
    await house.order(in_h=3, room=other, guest=stranger)


async def test_an_extension_that_was_refunded_for_another_reason_does_not_stop_the_store(
    house: House,
) -> None:
    """The price was given back by staff, then the store reported the end of a stay whose extension it
    never heard of. Giving the extension back again was refused as too much, and with it the store's
    own report: its events came again and again and nothing after them was ever taken in (I6).
    """
    order = await house.paid_order(in_h=1, hours=2)
    await _extended(house, order, 60)
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        locked = await system_lock(session, order.id)
        await money.refund_part(session, locked, 10_000, by="staff:x", reason="坏了", clocks=clocks)
    house.passes(5 * 3600)
    done = await _ends(house, order, clocks)
    assert (done.status, done.refunding_fen, done.total_fen) == ("completed", 11_400, 10_000)


async def test_an_extension_that_never_arrived_is_not_given_back_twice_to_who_leaves_early(
    house: House,
) -> None:
    """Extended by an hour and left an hour before the first end, while the store was away: the promise
    for leaving early counted the extension (2 hours, 76 yuan), and the extension went back on its own
    besides (38 yuan). The guest got 114 of 114 yuan back for an hour in the room.
    """
    await _rules(house, early_unit_minutes=30, early_per_cent=100)
    order = await house.paid_order(in_h=1, hours=2)
    await _extended(house, order, 60)
    house.passes(2 * 3600)
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        await finish.finish(session, house.who, order.id, clocks, "test")
    done = await _ends(house, order, clocks)
    assert (done.paid_fen, done.refunding_fen, done.total_fen) == (11_400, 7600, 3800)


async def test_who_paid_a_fee_may_still_take_leave(house: House) -> None:
    """An account is not deleted while money is on its way. A fee that was kept of a cancelled order
    counted as such money for ever: who had once paid one could never delete their account.
    """
    await _rules(house, no_show_minutes=30, no_show_per_cent=50)
    order = await house.paid_order(in_h=1, hours=2)
    house.passes(3600 + 30 * 60)
    await house.until(order, "cancelled")
    await house.finish_all()
    async with house.cloud.db.read() as session:
        assert (await session.get_one(Order, order.id)).refunded_fen == 3800
        assert await personal._Orders().blockers(session, house.guest.id) == []


async def test_a_change_held_beside_an_order_whose_refund_is_approved_is_given_up(
    house: House,
) -> None:
    """Staff approve a refund of an order that has not begun, which cancels it. A change of it that
    was held and not paid kept its room, and could still be paid.
    """
    order = await house.paid_order(in_h=3)
    until = order.ends_at + timedelta(hours=1)
    one = await change_service.move(
        house.cloud, house.who, order.id, house.shop.rooms[1].id, None, until
    )
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, clocks.now), ALL)
        asked = await refund_requests.ask(session, house.who, order.id, "不来了", None, clocks)
        await refund_requests.approve(session, owner, asked.id, asked.asked_fen, "", clocks)
    async with house.cloud.db.read() as session:
        assert (await session.get_one(OrderChange, one.id)).state == "lapsed"
    assert (await house.again(order)).refunding_fen == 7600


async def test_a_coupon_for_a_large_booking_does_not_pay_a_small_one(house: House) -> None:
    """A coupon, 60 off from 70 on, was used for two hours (76 yuan); then the guest moved the order to one hour
    (38 yuan). The coupon stayed as it was: the hour cost nothing and all that was paid went back.
    """
    order = await house.paid_order(in_h=3, hours=2)
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        coupon = Coupon(
            merchant_id=order.merchant_id, name="满 70 减 60", kind="off", off_fen=6000,
            min_fen=7000, created_at=clocks.now,
        )  # fmt: skip
        session.add(coupon)
        await session.flush()
        grant = await coupons.grant(session, coupon, house.guest.id, "system", clocks)
        assert grant is not None
        await coupons.use(session, house.guest.id, grant.id, order.id, clocks)
    shorter = order.ends_at - timedelta(hours=1)
    with pytest.raises(Conflict) as no:
        await change_service.move(house.cloud, house.who, order.id, None, None, shorter)
    assert no.value.code == "change.coupon"
    # One for Mondays (1) pays no Tuesday (2), and one for before six no evening; another room is fine.
    for conditions in ({"weekdays": 1}, {"from_minute": 600, "until_minute": 1080}):
        async with house.cloud.db.write() as session:
            kept = await session.get_one(Coupon, coupon.id)
            kept.min_fen, kept.weekdays, kept.from_minute, kept.until_minute = 0, 127, 0, 1440
            for name, value in conditions.items():
                setattr(kept, name, value)
            session.add(kept)
        day = 24 if "weekdays" in conditions else 4
        then = order.starts_at + timedelta(hours=day)
        async with house.cloud.db.read() as session:
            with pytest.raises(Conflict) as no:
                await change_service.offer_move(
                    session, house.who, order.id, None, then, None, clocks
                )
            assert no.value.code == "change.coupon"
            room = house.shop.rooms[1].id
            await change_service.offer_move(session, house.who, order.id, room, None, None, clocks)
    other = house.shop.rooms[1].id
    moved = await change_service.move(house.cloud, house.who, order.id, other, None, None)
    assert (moved.state, moved.diff_fen) == ("applied", 0)
