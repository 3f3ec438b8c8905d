"""Two taps at the same moment: one order, one payment, one cancellation, one refund."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from sqlmodel import col, select

import cloud_api.ledger.jobs  # noqa: F401  registers its handlers
from cloud_api.kit.errors import Conflict
from cloud_api.kit.models import DueJob
from cloud_api.kit.notices import NOTICE
from cloud_api.ledger.verify import verify
from cloud_api.orders import cancel, money, pay, place, store_events
from cloud_api.orders.models import Order, OrderEvent
from cloud_api.payments import service as payments
from cloud_api.payments.models import Notification
from cloud_api.pricing import service as pricing
from store_link.messages import StayBody, StayState
from tests.cloud_api.house import House


async def test_eight_taps_on_order_make_one_order(house: House) -> None:
    starts = house.noon + timedelta(hours=3)
    async with house.cloud.db.write() as session:
        quote = await pricing.quote(
            session,
            house.who,
            house.shop.room.id,
            starts,
            starts + timedelta(hours=2),
            house.cloud.clocks,
        )

    async def tap() -> str:
        async with house.cloud.db.write() as session:
            return (await place.place(session, house.who, quote.id, house.cloud.clocks)).id

    ids = await asyncio.gather(*(tap() for _ in range(8)))
    assert len(set(ids)) == 1


async def test_eight_taps_on_pay_open_one_payment(house: House) -> None:
    order = await house.order()
    opened = await asyncio.gather(*(house.pay(order) for _ in range(8)))
    assert {payment.number for payment in opened} == {f"{order.number}-1"}
    assert list(house.till.payments()) == [f"{order.number}-1"]


async def test_a_payment_is_settled_once_by_whoever_is_first(house: House) -> None:
    house.till.faults(notify_drop=-1)
    order = await house.order()
    payment = await house.pay(order)
    house.till.pay(payment.number)
    await asyncio.gather(*(payments.look(house.cloud, payment.id) for _ in range(4)))

    async def settle() -> None:
        async with house.cloud.db.write() as session:
            await money.settle(session, payment.id, house.cloud.clocks)

    await asyncio.gather(*(settle() for _ in range(8)))
    order = await house.again(order)
    assert (order.status, order.paid_fen, order.refunding_fen) == ("ready", 7600, 0)


async def test_the_guest_comes_back_while_the_provider_tells_it_four_times(house: House) -> None:
    """The page asks, the notification and the watch come, at one moment: one payment, one confirmation. A
    refund is asked for and told of in the same way, goes out once, and confirms nothing anew. Where each
    of them carries the order on by itself, about one in twenty is lost, refunded or confirmed twice.
    """
    house.till.faults(notify_again_as_new=3)
    order = await house.order()
    payment = await house.pay(order)
    house.till.pay(payment.number)
    await asyncio.gather(
        *(pay.check(house.cloud, house.who, order.id) for _ in range(3)),
        *(payments.look(house.cloud, payment.id) for _ in range(2)),
        *(house.quiet() for _ in range(3)),
    )
    order = await house.until(order, "ready")

    async def told() -> list[str]:
        async with house.cloud.db.read() as session:
            query = select(DueJob).where(col(DueJob.kind) == NOTICE)
            return [job.body["event"] for job in (await session.exec(query)).all()]

    async def all_told() -> bool:
        async with house.cloud.db.read() as session:
            return len((await session.exec(select(Notification))).all()) == 4

    await house.run(all_told)
    await house.finish_all()
    assert {one: (await told()).count(one) for one in ("order.paid", "order.ready", "order.new")} == {
        "order.paid": 1, "order.ready": 1, "order.new": 1,
    }  # fmt: skip
    async with house.cloud.db.write() as session:
        await cancel.cancel(session, house.who, order.id, house.cloud.clocks)
    (refund,) = await house.refunds(order)
    await asyncio.gather(
        *(payments.push_refund(house.cloud, refund.id) for _ in range(3)),
        *(house.quiet() for _ in range(3)),
    )
    await house.finish_all()
    order = await house.again(order)
    assert (order.status, order.paid_fen, order.refunded_fen) == ("cancelled", 7600, 7600)
    assert [one["state"] for one in house.till.refunds().values()] == ["done"]
    events = await told()
    assert (events.count("order.paid"), events.count("order.ready")) == (1, 1)
    assert events.count("refund.succeeded") == 1
    async with house.cloud.db.read() as session:
        assert await verify(session, house.shop.merchant.id) == []


async def test_cancelling_and_money_at_the_same_moment(house: House) -> None:
    """Whichever comes first, the guest has either the room or the money."""
    house.till.faults(notify_drop=-1)
    order = await house.order()
    payment = await house.pay(order)
    house.till.pay(payment.number)

    async def cancelled() -> None:
        async with house.cloud.db.write() as session:
            await cancel.cancel(session, house.who, order.id, house.cloud.clocks)

    async def paid() -> None:
        await pay.check(house.cloud, house.who, order.id)

    await asyncio.gather(cancelled(), paid())
    await house.finish_all()
    order = await house.again(order)
    assert order.status == "cancelled"
    assert (order.paid_fen, order.refunded_fen) == (7600, 7600)


async def test_the_end_of_a_stay_and_the_next_booking_do_not_lock_each_other(
    house: House,
) -> None:
    """An end frees the row and then blocks for cleaning; a hold blocks and then meets the row. With
    the locks the other way round PostgreSQL kills one of them as a deadlock.
    """
    orders = [await house.paid_order(room=room, in_h=1, hours=3) for room in house.shop.rooms]
    house.passes(2 * 3600)

    async def end(order: Order) -> None:
        body = StayBody(
            stay=order.claim_id,
            room=order.room_id,
            was=StayState.IN_USE,
            now=StayState.ENDED,
            why="finished",
        )
        async with house.cloud.db.write() as session:
            await store_events.apply_stay(
                session, house.shop.store, body, house.cloud.clocks.now, house.cloud.clocks
            )

    async def book(order: Order, in_h: float) -> None:
        room = next(room for room in house.shop.rooms if room.id == order.room_id)
        try:
            await house.order(room=room, in_h=in_h, hours=1)
        except Conflict:
            return

    await asyncio.gather(
        *(end(order) for order in orders),
        *(book(order, in_h) for order in orders for in_h in (2.5, 3, 3.5)),
    )
    async with house.cloud.db.read() as session:
        query = select(OrderEvent).where(col(OrderEvent.now) == "completed")
        assert len((await session.exec(query)).all()) == len(orders)
