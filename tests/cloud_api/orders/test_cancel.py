"""Cancelling: who may, until when, and what comes back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from cloud_api.claims.models import BookingRule
from cloud_api.kit.actor import Limits
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError, NotFound
from cloud_api.orders import views
from cloud_api.orders.cancel import cancel, cancel_by_staff
from cloud_api.orders.models import Order
from cloud_api.orders.words import word
from tests.cloud_api.factories import customer, make_customer, make_staff, staff
from tests.cloud_api.house import House


async def _cancel(house: House, order: Order) -> Order:
    async with house.cloud.db.write() as session:
        return await cancel(session, house.who, order.id, house.cloud.clocks)


async def test_unpaid_is_cancelled_at_once_and_its_payment_closed(house: House) -> None:
    order = await house.order()
    payment = await house.pay(order)
    order = await _cancel(house, order)
    assert (order.status, order.cancel_why) == ("cancelled", "customer")
    assert (await house.claim(order)).state == "released"
    await house.quiet()
    assert house.till.payments()[payment.number]["state"] == "closed"


async def test_paid_and_early_enough_gets_everything_back(house: House) -> None:
    order = await house.paid_order(in_h=3)
    order = await _cancel(house, order)
    assert (order.status, order.refunding_fen, word(order)) == ("cancelled", 7600, "refunding")
    assert (await house.claim(order)).state == "released"

    async def back() -> bool:
        house.passes(1)
        return (await house.again(order)).refunded_fen == 7600

    await house.run(back)
    order = await house.again(order)
    assert (order.paid_fen, order.refunding_fen, word(order)) == (7600, 0, "refunded")
    assert house.revoked == [order.id]


async def test_late_costs_what_the_tier_says_and_was_told_before(house: House) -> None:
    order = await house.paid_order(in_h=2)
    house.passes(60)
    async with house.cloud.db.read() as session:
        told = (await views.one(session, order, house.cloud.clocks)).cancel
    assert (told.allowed, told.fee_fen, told.refund_fen) == (True, 3800, 3800)
    order = await _cancel(house, order)
    assert (order.status, order.cancel_fee_fen, order.refunding_fen) == ("cancelled", 3800, 3800)

    async def back() -> bool:
        house.passes(1)
        return (await house.again(order)).refunded_fen == 3800

    await house.run(back)
    assert word(await house.again(order)) == "cancelled"
    assert [r.amount_fen for r in await house.refunds(order)] == [3800]


async def test_a_store_may_refuse_late_cancelling(house: House) -> None:
    order = await house.paid_order(in_h=2)
    async with house.cloud.db.write() as session:
        session.add(
            BookingRule(
                id=order.room_id,
                merchant_id=order.merchant_id,
                store_id=order.store_id,
                room_id=order.room_id,
                rules={"cancel_tiers": [{"minutes": 120, "per_cent": 0}]},
                updated_at=house.cloud.clocks.now,
            )
        )
    house.passes(60)
    with pytest.raises(Conflict) as refused:
        await _cancel(house, order)
    assert refused.value.code == "cancel.too_late"
    assert "2 小时" in refused.value.message
    assert (await house.again(order)).status == "ready"


async def test_exactly_two_hours_before_is_still_free(house: House) -> None:
    order = await house.paid_order(in_h=2)
    assert house.cloud.clocks.now == order.starts_at - timedelta(hours=2)
    assert (await _cancel(house, order)).status == "cancelled"


async def test_after_the_start_is_refused(house: House) -> None:
    order = await house.paid_order(in_h=3)
    house.passes(3 * 3600)
    with pytest.raises(Conflict) as refused:
        await _cancel(house, order)
    assert refused.value.code == "cancel.started"


async def test_cancelling_twice_is_cancelling_once(house: House) -> None:
    order = await house.paid_order(in_h=3)
    await _cancel(house, order)
    again = await _cancel(house, order)
    assert again.status == "cancelled"
    await house.quiet()
    assert len(house.till.refunds()) == 1


async def test_nobody_cancels_what_is_not_theirs(house: House) -> None:
    order = await house.order()
    async with house.cloud.db.write() as session:
        other = await make_customer(session, house.cloud.clocks.now)
    async with house.cloud.db.write() as session:
        with pytest.raises(NotFound):
            await cancel(session, customer(other), order.id, house.cloud.clocks)


async def test_staff_cancel_late_with_permission_and_reason(house: House) -> None:
    order = await house.paid_order(in_h=1)
    async with house.cloud.db.write() as session:
        member = await make_staff(session, house.shop, house.cloud.clocks.now)
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        with pytest.raises(Forbidden):
            await cancel_by_staff(
                session, staff(member, frozenset({"order.cancel"})), order.id, "空调坏了", clocks
            )
    owner = staff(member, frozenset({"order.cancel", "order.refund"}))
    junior = replace(owner, limits=Limits(refund_fen=7599))
    async with house.cloud.db.write() as session:
        with pytest.raises(KaimenError) as refused:
            await cancel_by_staff(session, junior, order.id, "空调坏了", clocks)
    assert refused.value.code == "staff.limit"
    async with house.cloud.db.write() as session:
        with pytest.raises(KaimenError) as refused:
            await cancel_by_staff(session, owner, order.id, "  ", clocks)
    assert refused.value.code == "cancel.why"
    async with house.cloud.db.write() as session:
        done = await cancel_by_staff(session, owner, order.id, "空调坏了", clocks)
    assert (done.status, done.refunding_fen) == ("cancelled", 7600)


async def test_a_stuck_refund_is_shown_and_released_later(house: House) -> None:
    house.till.faults(refund_state="stuck")
    order = await house.paid_order(in_h=3)
    await _cancel(house, order)
    await house.quiet()
    order = await house.again(order)
    assert (order.refunding_fen, order.refunded_fen, word(order)) == (7600, 0, "refunding")
    assert [r.state for r in await house.refunds(order)] == ["abnormal"]
    house.till.set_refund(next(iter(house.till.refunds())), "done")

    async def back() -> bool:
        return (await house.again(order)).refunded_fen == 7600

    await house.run(back)


async def test_a_refused_refund_is_still_owed(house: House) -> None:
    house.till.faults(refund_state="refused")
    order = await house.paid_order(in_h=3)
    await _cancel(house, order)
    await house.quiet()
    order = await house.again(order)
    assert [r.state for r in await house.refunds(order)] == ["failed"]
    assert (order.refunding_fen, order.refunded_fen) == (7600, 0)
