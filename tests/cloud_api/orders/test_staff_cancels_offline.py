"""Staff cancel an order of a store that is away: nobody knows whether its guests are in (DESIGN.md 5)."""

from __future__ import annotations

import asyncio
from datetime import datetime

import pytest
from sqlmodel import col, select

from cloud_api.claims.models import RoomClaim
from cloud_api.kit.models import DueJob
from cloud_api.orders import cancel, deposits, refund_wait, store_events, views
from cloud_api.orders.models import Order, RefundWait
from cloud_api.orders.money import GRANT
from cloud_api.staff.permissions import ALL
from store_link.messages import StayBody, StayState, UsageBody
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House
from tests.cloud_api.orders.test_refund_wait import (
    enters,
    goes_offline,
    held,
    in_order,
    nobody_went_in,
    reports,
    revoked_in,
)


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


async def by_staff(house: House, order: Order, why: str = "客人打电话来") -> Order:
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        return await cancel.cancel_by_staff(session, owner, order.id, why, house.cloud.clocks)


async def ends(house: House, order: Order, used_s: int) -> None:
    """The stay is over, and the store's account of it is here."""
    clocks = house.cloud.clocks
    body = StayBody(
        stay=order.claim_id, room=order.room_id, was=StayState.GRACE, now=StayState.ENDED,
        why="grace_over",
    )  # fmt: skip
    usage = UsageBody(
        stay=order.claim_id, room=order.room_id, entered_at=_ms(order.starts_at),
        ended_at=_ms(clocks.now), used_s=used_s, power_on_s=used_s, overtime_s=0, grace_used_s=0,
        evidence={}, energy_wh=None,
    )  # fmt: skip
    async with house.cloud.db.write() as session:
        await store_events.apply_stay(session, house.shop.store, body, clocks.now, clocks)
        await store_events.apply_usage(session, house.shop.store, usage, clocks.now, clocks)


async def test_nothing_goes_back_before_the_store_has_heard_of_it(house: House) -> None:
    """Staff cancelled an order whose guests sat in the room of a store without a line: all of the money went
    back at once, and the table had power to the end of the time for nothing.
    """
    order = await house.paid_order(in_h=1)
    await goes_offline(house)
    order = await by_staff(house, order)
    assert (order.status, order.waiting_fen, order.refunding_fen) == ("cancelled", 7600, 0)
    async with house.cloud.db.read() as session:
        shown = await views.one(session, order, house.cloud.clocks)
    assert shown.refund_words == "¥76 等门店确认没有使用后退"
    await nobody_went_in(house, order)
    await house.finish_all()
    order = await house.again(order)
    assert (order.status, order.refunded_fen) == ("cancelled", 7600)
    await in_order(house)


async def test_where_nobody_can_be_in_it_goes_back_at_once(house: House) -> None:
    """The control: the store is heard of, and its door is not open yet for anybody."""
    order = await by_staff(house, await house.paid_order(in_h=3))
    assert (order.waiting_fen, order.refunding_fen) == (0, 7600)
    await in_order(house)


async def test_guests_who_were_in_keep_the_room_that_they_pay_for(house: House) -> None:
    """They were in before the store heard. Their right was gone, so their power would have been cut half way,
    with the whole price kept; and the room was on sale over their heads.
    """
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        store = house.shop.store.id
        await deposits.put_rule(session, owner, store, None, 1000, 30, house.cloud.clocks)
    order = await house.paid_order(in_h=1)
    await goes_offline(house)
    order = await by_staff(house, order)
    house.passes(3600)
    await enters(house, order)
    await revoked_in(house, order, 7)
    await reports(house, rev=7)
    order = await house.again(order)
    assert (order.status, order.cancel_why, order.waiting_fen) == ("in_use", None, 0)
    assert (order.refunding_fen, order.cancel_fee_fen) == (0, 0)
    assert (await house.claim(order)).state == "in_use"
    async with house.cloud.db.read() as session:
        grants = select(DueJob).where(col(DueJob.kind) == GRANT, col(DueJob.ref) == order.id)
        assert len((await session.exec(grants)).all()) == 2  # when it was paid, and now again
        shown = await views.one(session, order, house.cloud.clocks)
    assert shown.events[-1].text == "门店听到取消以前人已进房，订单照用"
    await house.quiet()
    assert await held(house, order) == 1000
    house.passes(7200)
    await ends(house, order, 7200)
    await house.finish_all()
    order = await house.again(order)
    assert (order.status, order.paid_fen, order.refunded_fen) == ("completed", 7600, 0)
    await in_order(house)


@pytest.mark.parametrize("told", [True, False])
async def test_where_the_room_is_somebody_elses_by_then_they_pay_for_what_they_used(
    house: House, told: bool
) -> None:
    """Half an hour of two hours, then the store heard and its grace was over: a quarter is kept. A store that
    never tells of it keeps nobody's money for more than a week.
    """
    order = await house.paid_order(in_h=1)
    await goes_offline(house)
    order = await by_staff(house, order)
    other = await house.order(in_h=2, hours=1)
    assert other.status == "pending_payment"
    house.passes(3600)
    await enters(house, order)
    await revoked_in(house, order, 7)
    await reports(house, rev=7)
    await house.quiet()
    order = await house.again(order)
    assert (order.status, order.waiting_fen, order.refunding_fen) == ("cancelled", 7600, 0)
    if told:
        house.passes(2400)
        await ends(house, order, 1800)
        await ends(house, order, 1800)
    else:
        house.passes(refund_wait.AT_MOST.total_seconds() + 3 * 3600)
    await house.finish_all()
    order = await house.again(order)
    kept = 1900 if told else 0
    assert (order.status, order.waiting_fen, order.cancel_fee_fen) == ("cancelled", 0, kept)
    assert order.refunded_fen == 7600 - kept
    async with house.cloud.db.read() as session:
        (wait,) = (await session.exec(select(RefundWait))).all()
        assert wait.state == ("kept" if told else "back")
    await in_order(house)


async def test_staff_cancel_while_the_door_opens(house: House) -> None:
    """Both at once, many times: either the guests are in and have paid, or nobody is in and all goes back."""
    for turn in range(4):
        order = await house.paid_order(in_h=0.5 + turn * 3, room=house.shop.rooms[turn % 3])
        house.passes(max(0.0, (order.starts_at - house.cloud.clocks.now).total_seconds()))
        await reports(house, rev=1)
        await asyncio.gather(by_staff(house, order), enters(house, order), return_exceptions=True)
        await house.quiet()
        order = await house.again(order)
        async with house.cloud.db.read() as session:
            claim = await session.get_one(RoomClaim, order.claim_id)
        assert (order.status, claim.state) == ("in_use", "in_use")
        assert (order.waiting_fen, order.refunding_fen, order.refunded_fen) == (0, 0, 0)
        house.passes(7200)
        await ends(house, order, 7200)
    await in_order(house)
