"""What a store reports becomes the order's status and times, once, however often it is told."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel import col, select

from cloud_api.claims.models import RoomClaim
from cloud_api.orders import store_events
from cloud_api.orders.cancel import cancel
from cloud_api.orders.models import Order, OrderEvent
from store_link.clock import ms
from store_link.messages import StayBody, StayState, UsageBody
from tests.cloud_api.factories import make_store
from tests.cloud_api.house import House


async def _stay(house: House, order: Order, now: StayState, at: datetime, why: str) -> None:
    body = StayBody(stay=order.claim_id, room=order.room_id, was=StayState.OPEN, now=now, why=why)
    async with house.cloud.db.write() as session:
        await store_events.apply_stay(session, house.shop.store, body, at, house.cloud.clocks)


async def _usage(house: House, order: Order, entered: datetime | None, ended: datetime) -> None:
    body = UsageBody(
        stay=order.claim_id,
        room=order.room_id,
        entered_at=None if entered is None else ms(entered),
        ended_at=ms(ended),
        used_s=7000,
        power_on_s=6900,
        overtime_s=300,
        grace_used_s=600,
        evidence={"door": [1]},
    )
    async with house.cloud.db.write() as session:
        await store_events.apply_usage(session, house.shop.store, body, ended, house.cloud.clocks)


async def _changes(house: House, order: Order) -> list[str | None]:
    async with house.cloud.db.read() as session:
        query = (
            select(OrderEvent)
            .where(col(OrderEvent.order_id) == order.id, col(OrderEvent.kind) == "status")
            .order_by(col(OrderEvent.seq))
        )
        return [event.now for event in (await session.exec(query)).all()]


async def test_a_stay_from_entry_to_usage(house: House) -> None:
    order = await house.paid_order(in_h=1)
    entered, ended = order.starts_at - timedelta(minutes=5), order.ends_at + timedelta(minutes=15)
    for _ in range(2):
        await _stay(house, order, StayState.IN_USE, entered, "unlock")
    order = await house.again(order)
    assert (order.status, order.entered_at) == ("in_use", entered)
    assert (await house.claim(order)).state == "in_use"

    house.passes(3.5 * 3600)
    for _ in range(2):
        await _stay(house, order, StayState.ENDED, ended, "grace_over")
        await _usage(house, order, entered, ended)
    order = await house.again(order)
    assert (order.status, order.ended_at) == ("completed", ended)
    assert (order.used_s, order.overtime_s, order.power_on_s) == (7000, 300, 6900)
    assert order.usage is not None
    assert order.usage["evidence"] == {"door": [1]}
    assert await _changes(house, order) == ["paid", "ready", "in_use", "completed"]


async def test_an_order_that_was_moved_away_from_the_store_lives_on(house: House) -> None:
    """A guest moved tomorrow's booking to next week: the store's document listed it no more, the store said
    that the stay had ended as cancelled, and the order was completed. Who had paid had nothing left.
    """
    order = await house.paid_order(in_h=100)
    await _stay(house, order, StayState.ENDED, house.cloud.clocks.now, "cancelled")
    order = await house.again(order)
    assert (order.status, order.ended_at) == ("ready", None)
    assert (await house.claim(order)).state == "confirmed"
    await _stay(house, order, StayState.SCHEDULED, house.cloud.clocks.now, "listed")
    await _stay(house, order, StayState.IN_USE, order.starts_at, "unlock")
    assert (await house.again(order)).status == "in_use"


async def test_leaving_early_gives_the_room_back_after_cleaning(house: House) -> None:
    order = await house.paid_order(in_h=1, hours=4)
    await _stay(house, order, StayState.IN_USE, order.starts_at, "unlock")
    left = order.starts_at + timedelta(hours=1)
    house.passes(2 * 3600)
    await _stay(house, order, StayState.ENDED, left, "finished")
    async with house.cloud.db.read() as session:
        claims = (
            await session.exec(
                select(RoomClaim).where(
                    col(RoomClaim.room_id) == order.room_id, col(RoomClaim.state) != "released"
                )
            )
        ).all()
    assert [(c.kind, c.block_from, c.block_until) for c in claims] == [
        ("cleaning", left, left + timedelta(seconds=house.shop.store.cleaning_s))
    ]
    following = await house.order(in_h=2.5, hours=1)
    assert following.starts_at < order.ends_at


async def test_overtime_does_not_push_the_next_guest(house: House) -> None:
    order = await house.paid_order(in_h=1, hours=1.5)
    following = await house.paid_order(in_h=3, hours=1)
    assert following.starts_at == order.ends_at + timedelta(minutes=30)
    await _stay(house, order, StayState.IN_USE, order.starts_at, "unlock")
    late = following.starts_at + timedelta(minutes=5)
    await _stay(house, order, StayState.ENDED, late, "cap")
    assert (await house.again(order)).status == "completed"
    assert (await house.claim(following)).state == "confirmed"
    assert (await house.claim(following)).block_from == following.starts_at


async def test_nobody_came(house: House) -> None:
    order = await house.paid_order(in_h=1)
    await _stay(house, order, StayState.ENDED, order.ends_at, "end")
    await _usage(house, order, None, order.ends_at)
    order = await house.again(order)
    assert (order.status, order.entered_at, order.ended_at) == ("completed", None, order.ends_at)


async def test_usage_alone_completes(house: House) -> None:
    """A restored cloud may be told of the usage and have lost the rest."""
    order = await house.paid_order(in_h=1)
    await _usage(house, order, order.starts_at, order.ends_at)
    order = await house.again(order)
    assert (order.status, order.entered_at) == ("completed", order.starts_at)


async def test_a_cancelled_order_stays_cancelled_and_the_entry_is_noted(house: House) -> None:
    order = await house.paid_order(in_h=3)
    async with house.cloud.db.write() as session:
        await cancel(session, house.who, order.id, house.cloud.clocks)
    await _stay(house, order, StayState.IN_USE, order.starts_at, "unlock")
    await _stay(house, order, StayState.ENDED, order.ends_at, "end")
    assert (await house.again(order)).status == "cancelled"
    async with house.cloud.db.read() as session:
        kinds = (
            await session.exec(
                select(col(OrderEvent.kind)).where(col(OrderEvent.order_id) == order.id)
            )
        ).all()
    assert "used_after_cancel" in kinds


async def test_a_store_speaks_of_its_own_stays_only(house: House) -> None:
    order = await house.paid_order(in_h=1)
    async with house.cloud.db.write() as session:
        foreign = await make_store(session, house.cloud.clocks.now, name="别家")
    body = StayBody(
        stay=order.claim_id,
        room=order.room_id,
        was=StayState.OPEN,
        now=StayState.IN_USE,
        why="unlock",
    )
    async with house.cloud.db.write() as session:
        await store_events.apply_stay(
            session, foreign.store, body, order.starts_at, house.cloud.clocks
        )
    assert (await house.again(order)).status == "ready"


async def test_a_stay_nobody_told_of_is_completed_a_day_later(house: House) -> None:
    order = await house.paid_order(in_h=1)
    house.passes(3 * 3600 + 24 * 3600 - 60)
    await house.quiet()
    assert (await house.again(order)).status == "ready"
    house.passes(60)
    await house.quiet()
    order = await house.again(order)
    assert (order.status, order.ended_at) == ("completed", order.ends_at)
