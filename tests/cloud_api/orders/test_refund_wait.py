"""Cancelled while the store could not hear of it: the money waits for the store's word, and is told so."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlmodel import select

import cloud_api.ledger.jobs  # noqa: F401  books what moves
from cloud_api.claims.models import BookingRule
from cloud_api.devices.models import StoreStatus
from cloud_api.ledger.verify import verify
from cloud_api.orders import cancel, deposits, refund_rules, refund_wait, store_events, views
from cloud_api.orders.books import deposit_of
from cloud_api.orders.models import Order, RefundWait
from cloud_api.staff.permissions import ALL
from cloud_api.store_channel import status as channel
from store_link.messages import StayBody, StayState
from store_link.reports import Reported
from tests.cloud_api.factories import make_staff, reported, staff
from tests.cloud_api.house import House


async def goes_offline(house: House) -> None:
    async with house.cloud.db.write() as session:
        status = await session.get_one(StoreStatus, house.shop.store.id)
        status.online, status.nonce = False, None
        session.add(status)


async def reports(house: House, *, rev: int, depth: int = 0) -> None:
    """The store is back: what it obeys, and how much it has yet to tell."""
    now = house.cloud.clocks.real
    body = reported(house.shop, now, rev=rev, nonce="n2", boot="b2")
    body["outbox"] = {"depth": depth, "oldest_at": None, "full": False}
    await channel.take_reported(
        house.cloud, house.shop.merchant.id, Reported.model_validate(body), retained=False
    )


async def cancelled(house: House, order: Order) -> Order:
    async with house.cloud.db.write() as session:
        return await cancel.cancel(session, house.who, order.id, house.cloud.clocks)


async def enters(house: House, order: Order) -> None:
    body = StayBody(
        stay=order.claim_id, room=order.room_id, was=StayState.OPEN, now=StayState.IN_USE,
        why="pass",
    )  # fmt: skip
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        await store_events.apply_stay(session, house.shop.store, body, clocks.now, clocks)


async def revoked_in(house: House, order: Order, rev: int) -> None:
    """The document with this number takes the order's right back."""
    async with house.cloud.db.write() as session:
        gone = frozenset({order.claim_id})
        await refund_wait.told(session, house.shop.store.id, 1, rev, gone)


async def nobody_went_in(house: House, order: Order, rev: int = 7) -> None:
    """The store obeys the document that takes the right back, and has nothing more to tell."""
    await revoked_in(house, order, rev)
    await reports(house, rev=rev)


async def held(house: House, order: Order) -> int:
    async with house.cloud.db.read() as session:
        deposit = await deposit_of(session, order.id)
    return 0 if deposit is None else deposit.held_fen


async def in_order(house: House) -> None:
    async with house.cloud.db.read() as session:
        assert await verify(session, house.shop.merchant.id) == []


async def test_offline_it_goes_back_when_the_store_obeys_and_has_told_everything(
    house: House,
) -> None:
    order = await house.paid_order(in_h=3)
    await goes_offline(house)
    async with house.cloud.db.read() as session:
        told = (await views.one(session, order, house.cloud.clocks)).cancel
    assert (told.allowed, told.waits, told.refund_fen) == (True, True, 7600)
    assert "断网" in told.message
    assert "不晚于 17:10" in told.message  # today: 15:00–17:00 in the store, and its grace
    order = await cancelled(house, order)
    assert (order.status, order.waiting_fen, order.refunding_fen) == ("cancelled", 7600, 0)
    assert refund_rules.propose(order, house.cloud.clocks.now).kept_fen == 0  # it is no fee
    async with house.cloud.db.read() as session:
        shown = await views.one(session, order, house.cloud.clocks)
    assert (shown.words, shown.refund_words) == ("退款中", "¥76 等门店确认没有使用后退")
    await in_order(house)
    await reports(house, rev=6)  # before anything was said of it: not this one
    await revoked_in(house, order, 7)
    await reports(house, rev=6)
    await reports(house, rev=7, depth=3)  # obeys, and has yet to tell what came before
    assert (await house.again(order)).waiting_fen == 7600
    await reports(house, rev=7)
    order = await house.again(order)
    assert (order.waiting_fen, order.refunding_fen + order.refunded_fen) == (0, 7600)
    await house.finish_all()
    assert (await house.again(order)).refunded_fen == 7600
    await in_order(house)


async def test_who_went_in_after_all_pays_for_it(house: House) -> None:
    """And the deposit stays for what may be broken: it went back at once, while the guest could get in."""
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        store = house.shop.store.id
        await deposits.put_rule(session, owner, store, None, 1000, 30, house.cloud.clocks)
    order = await house.paid_order(in_h=3)
    await goes_offline(house)
    order = await cancelled(house, order)
    await house.quiet()
    assert await held(house, order) == 1000
    taken = await house.order(in_h=4, guest=house.guest)  # somebody else has the room by now
    house.passes(3 * 3600)
    await enters(house, order)
    await enters(house, order)  # a restored cloud is told again
    await nobody_went_in(house, order)
    order = await house.again(order)
    assert (order.status, order.waiting_fen, order.cancel_fee_fen) == ("cancelled", 0, 7600)
    assert (order.refunding_fen, (await house.claim(taken)).state) == (0, "held")
    async with house.cloud.db.read() as session:
        (wait,) = (await session.exec(select(RefundWait))).all()
        assert wait.state == "kept"
        shown = await views.one(session, order, house.cloud.clocks)
    assert "取消后仍进门使用，¥76 不退" in [event.text for event in shown.events]
    await house.quiet()
    assert await held(house, order) == 1000  # half an hour after the time, as of any other stay
    house.passes(10 * 3600)
    await house.quiet()
    assert [(one.purpose, one.amount_fen) for one in await house.refunds(order)] == [
        ("deposit", 1000)
    ]
    await in_order(house)


@pytest.mark.parametrize("silent", [False, True])
async def test_a_time_that_passed_unused_gives_it_back(house: House, silent: bool) -> None:
    """At the end of the time if the store is heard of by then, else after a week whatever it says."""
    order = await house.paid_order(in_h=3)
    await goes_offline(house)
    order = await cancelled(house, order)
    house.passes(5 * 3600 + 601)
    if not silent:
        await reports(house, rev=1)
    await house.quiet()
    if silent:
        assert (await house.again(order)).waiting_fen == 7600
        house.passes(timedelta(days=7).total_seconds())
        await house.quiet()
    order = await house.again(order)
    assert (order.waiting_fen, order.refunding_fen + order.refunded_fen) == (0, 7600)
    await in_order(house)


async def test_online_it_waits_only_where_the_door_may_have_been_opened(house: House) -> None:
    """A cancel racing a check-in: entered at the very moment, and cancelled before the store could tell.
    The guest got half of the price back and the room for nothing.
    """
    early = await cancelled(house, await house.paid_order(in_h=3))
    assert (early.waiting_fen, early.refunding_fen) == (0, 7600)  # control: nobody could be in
    order = await house.paid_order(in_h=0.25, room=house.shop.rooms[1])
    order = await cancelled(house, order)
    assert (order.waiting_fen, order.cancel_fee_fen) == (3800, 3800)
    await enters(house, order)
    order = await house.again(order)
    assert (order.status, order.waiting_fen, order.cancel_fee_fen) == ("in_use", 0, 0)
    assert order.paid_fen == 7600  # the whole price, for the whole time
    await in_order(house)


@pytest.mark.parametrize("entered", [False, True])
async def test_a_deposit_waits_though_the_rules_keep_the_whole_price(
    house: House, entered: bool
) -> None:
    """It went back at once while the guest could still get in; the price that is kept stays kept."""
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        store = house.shop.store
        await deposits.put_rule(session, owner, store.id, None, 1000, 30, house.cloud.clocks)
        session.add(
            BookingRule(
                id=store.id, merchant_id=store.merchant_id, store_id=store.id,
                rules={"cancel_tiers": [{"minutes": 0, "per_cent": 100}]}, updated_at=house.noon,
            )
        )  # fmt: skip
    order = await house.paid_order(in_h=3)
    await goes_offline(house)
    order = await cancelled(house, order)
    assert (order.cancel_fee_fen, order.waiting_fen) == (7600, 0)
    await house.quiet()
    assert await held(house, order) == 1000
    house.passes(3 * 3600 if entered else 600)
    if entered:
        await enters(house, order)
    await revoked_in(house, order, 7)
    await reports(house, rev=7)
    await house.finish_all()  # an hour and a third: who went in has the room for two
    assert await held(house, order) == (1000 if entered else 0)
    for _ in range(
        2
    ):  # nobody tells of the end either: a day later it counts as used, then half an hour
        house.passes(26 * 3600)
        await house.finish_all()
    order = await house.again(order)
    assert (order.status, order.cancel_fee_fen) == (
        ("completed", 0) if entered else ("cancelled", 7600)
    )
    assert (order.refunded_fen, order.refunding_fen) == (0, 0)
    assert [(one.purpose, one.amount_fen) for one in await house.refunds(order)] == [
        ("deposit", 1000)
    ]
    await in_order(house)
