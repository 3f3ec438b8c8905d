"""The end of a hold, and money that comes too late (I2): asked, closed, and only then released."""

from __future__ import annotations

import pytest

from cloud_api.kit.errors import Conflict
from cloud_api.merchants.models import Merchant
from cloud_api.orders.cancel import cancel
from cloud_api.orders.words import refund_words, word
from cloud_api.payments import service as payments
from tests.cloud_api.factories import make_customer
from tests.cloud_api.house import House

HOLD_S = 600


async def test_an_unpaid_hold_ends_and_the_room_is_free_again(house: House) -> None:
    order = await house.order()
    house.passes(HOLD_S + 1)
    order = await house.until(order, "cancelled")
    assert order.cancel_why == "hold_expired"
    assert (await house.claim(order)).state == "released"
    assert (await house.order()).status == "pending_payment"


async def test_a_hold_with_an_open_payment_is_closed_at_the_provider_before_it_ends(
    house: House,
) -> None:
    order = await house.order()
    payment = await house.pay(order)
    house.passes(HOLD_S + 1)
    await house.until(order, "cancelled")
    assert house.till.payments()[payment.number]["state"] == "closed"
    assert [p.state for p in await house.payments(order)] == ["closed"]


async def test_money_that_came_without_a_word_is_found_at_the_end_of_the_hold(
    house: House,
) -> None:
    house.till.faults(notify_drop=-1, fail={"query": 3})  # the watch does not learn of it either
    order = await house.order()
    payment = await house.pay(order)
    house.till.pay(payment.number)
    house.passes(HOLD_S + 1)
    house.till.faults(notify_drop=-1)
    order = await house.until(order, "ready")
    assert order.paid_fen == order.total_fen


async def test_paid_in_the_moment_of_closing_is_paid(house: House) -> None:
    house.till.faults(paid_during_close=1, notify_drop=-1)
    order = await house.order()
    await house.pay(order)
    house.passes(HOLD_S + 1)
    order = await house.until(order, "ready")
    assert (order.paid_fen, order.refunded_fen) == (7600, 0)


async def test_not_knowing_keeps_the_room(house: House) -> None:
    """The provider is away at the end of the hold: the room stays held until it answers."""
    order = await house.order()
    payment = await house.pay(order)
    house.till.faults(fail={"query": -1, "close": -1})
    house.passes(HOLD_S + 1)
    for _ in range(8):
        await house.quiet()
        house.passes(60)
    assert (await house.again(order)).status == "pending_payment"
    assert (await house.claim(order)).state == "held"
    async with house.cloud.db.write() as session:
        other = await make_customer(session, house.cloud.clocks.now)
    with pytest.raises(Conflict) as taken:
        await house.order(guest=other)
    assert taken.value.code == "book.taken"

    house.till.pay(payment.number, late=True)
    house.till.faults()
    house.passes(300)
    order = await house.until(order, "ready")
    assert order.paid_fen == 7600


async def test_a_close_that_was_lost_on_the_way_is_asked_again(house: House) -> None:
    house.till.faults(lose={"close": 2})
    order = await house.order()
    await house.pay(order)
    house.passes(HOLD_S + 1)
    await house.quiet()
    assert (await house.again(order)).status == "pending_payment"
    house.passes(10)
    await house.quiet()
    house.passes(10)
    await house.until(order, "cancelled")


async def test_late_money_gets_the_same_room_back(house: House) -> None:
    order = await house.order()
    payment = await house.pay(order)
    house.passes(HOLD_S + 1)
    await house.until(order, "cancelled")
    house.till.pay(payment.number, late=True)
    order = await house.until(order, "ready")
    assert (order.paid_fen, order.refunded_fen, order.cancel_why) == (7600, 0, None)
    assert (await house.claim(order)).state == "confirmed"
    assert [p.applied for p in await house.payments(order)] == ["late_restored"]


async def test_late_money_for_a_room_that_is_gone_goes_back_in_full(house: House) -> None:
    order = await house.order(in_h=4)
    payment = await house.pay(order)
    house.passes(HOLD_S + 1)
    await house.until(order, "cancelled")
    other = await house.order(in_h=4)
    assert other.starts_at == order.starts_at

    house.till.pay(payment.number, late=True)

    async def back() -> bool:
        house.passes(1)
        return (await house.again(order)).refunded_fen == 7600

    await house.run(back)
    order = await house.again(order)
    assert (order.status, order.paid_fen, order.refunding_fen) == ("cancelled", 7600, 0)
    assert word(order) == "refunded"
    assert refund_words(order) == "已退款 ¥76"
    assert list(house.till.refunds()) == [f"{payment.number}-Rlate"]
    assert (await house.claim(other)).state == "held"


async def test_late_money_for_an_order_that_its_guest_cancelled_goes_back(house: House) -> None:
    order = await house.order()
    payment = await house.pay(order)
    async with house.cloud.db.write() as session:
        await cancel(session, house.who, order.id, house.cloud.clocks)
    house.till.pay(payment.number)

    async def back() -> bool:
        house.passes(1)
        return (await house.again(order)).refunded_fen == 7600

    await house.run(back)
    assert (await house.again(order)).status == "cancelled"


async def test_a_refund_is_submitted_once_under_one_number_whatever_gets_lost(
    house: House,
) -> None:
    """The answers to the refund call are lost twice: a second number would give the money twice."""
    house.till.faults(lose={"refund": 2}, fail={"query_refund": 2}, notify_drop=-1)
    order = await house.order()
    payment = await house.pay(order)
    house.till.faults(notify_drop=-1, lose={"refund": 2}, fail={"query_refund": 2})
    house.passes(HOLD_S + 1)
    await house.until(order, "cancelled")
    await house.order()
    house.till.pay(payment.number, late=True)
    async with house.cloud.db.write() as session:  # somebody looks again: the callback was dropped
        found = (await payments.payments_of(session, f"order:{order.id}"))[0]
    await payments.look(house.cloud, found.id)

    async def back() -> bool:
        house.passes(5)
        return (await house.again(order)).refunded_fen == 7600

    await house.run(back)
    assert len(house.till.refunds()) == 1


async def test_no_payment_is_opened_when_the_hold_is_over(house: House) -> None:
    order = await house.order()
    house.passes(HOLD_S - 2)
    with pytest.raises(Conflict) as refused:
        await house.pay(order)
    assert refused.value.code == "order.hold_over"


async def test_a_suspended_merchant_takes_no_orders(house: House) -> None:
    async with house.cloud.db.write() as session:
        merchant = await session.get_one(Merchant, house.shop.merchant.id)
        merchant.suspended_at = house.cloud.clocks.now
        session.add(merchant)
    with pytest.raises(Conflict) as refused:
        await house.order()
    assert refused.value.code == "merchant.suspended"
