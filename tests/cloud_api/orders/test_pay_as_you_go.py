"""Pay-as-you-go from the price to the refund: paid ahead, counted as used, the rest goes back, once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlmodel import col, select

import cloud_api.ledger.jobs  # noqa: F401  books what moves
from cloud_api.ledger import verify
from cloud_api.orders import place, store_events
from cloud_api.orders.models import Order, OrderLine
from cloud_api.pricing import service as pricing
from cloud_api.pricing.models import PriceRule
from store_link.messages import StayBody, StayState
from tests.cloud_api.house import House

# Minutes of the stay → minutes that are charged: begun quarters count whole, an hour at least, never more
# than was paid ahead (staying on is overtime, by a rule of its own).
STAYS = {0: 60, 61: 75, 180: 180, 239: 240, 250: 240}


def by_the_minute(order: Order, minutes: int) -> int:
    """What so many minutes cost, counted one by one: ¥38 an hour, ¥48 from 18:00 in Shanghai (10:00 UTC)."""
    starts = [order.starts_at + timedelta(minutes=one) for one in range(minutes)]
    return round(sum((4800 if at.hour >= 10 else 3800) / 60 for at in starts))


async def _ordered(house: House, starts: datetime) -> Order:
    async with house.cloud.db.write() as session:
        wish = pricing.Wish(house.shop.room.id, starts, payg=True)
        quote = await pricing.make_quote(session, house.who, wish, house.cloud.clocks)
        return await place.place(session, house.who, quote.id, house.cloud.clocks)


async def _stays(house: House, order: Order, now: StayState, at: datetime, why: str) -> None:
    body = StayBody(stay=order.claim_id, room=order.room_id, was=StayState.OPEN, now=now, why=why)
    for _ in range(2):  # the store tells it twice
        async with house.cloud.db.write() as session:
            await store_events.apply_stay(session, house.shop.store, body, at, house.cloud.clocks)


@pytest.mark.parametrize("came", [True, False])
async def test_what_was_not_used_goes_back_to_where_it_came_from(house: House, came: bool) -> None:
    merchant = house.shop.merchant.id
    async with house.cloud.db.write() as session:
        session.add(PriceRule(store_id=house.shop.store.id, merchant_id=merchant, payg=True))
    told = 0
    for day, (minutes, charged) in enumerate(STAYS.items() if came else [(0, 240)]):
        starts = house.noon + timedelta(days=day, hours=3)  # 15:00 to 19:00
        house.passes((starts - house.cloud.clocks.now).total_seconds() - 600)
        order = await _ordered(house, starts)
        assert order.total_fen == by_the_minute(order, 240)
        payment = await house.pay(order)
        house.till.pay(payment.number)
        await house.until(order, "ready")
        if came:
            await _stays(house, order, StayState.IN_USE, starts, "unlock")
        left = starts + timedelta(minutes=minutes) if came else order.ends_at
        house.passes((left - house.cloud.clocks.now).total_seconds() + 60)
        await _stays(house, order, StayState.ENDED, left, "finished" if came else "end")
        await house.finish_all(rounds=3, step_s=1)
        order = await house.again(order)
        used_fen = by_the_minute(order, charged)
        back = order.paid_fen - used_fen
        assert (order.status, order.total_fen, order.refunded_fen) == ("completed", used_fen, back)
        refunds = await house.refunds(order)
        assert [(one.payment_id, one.amount_fen, one.state) for one in refunds] == (
            [(payment.id, back, "succeeded")] if back else []
        )
        told += len(refunds)
        async with house.cloud.db.read() as session:
            lines = select(OrderLine).where(col(OrderLine.order_id) == order.id)
            assert sum(one.amount_fen for one in (await session.exec(lines)).all()) == used_fen
    assert len(house.till.refunds()) == told
    async with house.cloud.db.read() as session:
        assert await verify.verify(session, merchant) == []
