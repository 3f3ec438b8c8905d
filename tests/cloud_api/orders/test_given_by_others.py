"""What somebody gave back in the provider's own console is not given twice, kills no job, and is seen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlmodel import col, select

import cloud_api.ledger.jobs  # noqa: F401  registers its handlers
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict
from cloud_api.kit.models import AlarmSignal, DueJob
from cloud_api.ledger.verify import verify
from cloud_api.orders import cancel, deposit_claims, deposits, store_events
from cloud_api.orders.books import deposit_of
from cloud_api.orders.differences import give_back
from cloud_api.orders.models import Order
from cloud_api.orders.transitions import system_lock
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.records import foreign_refund
from cloud_api.staff.permissions import ALL
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House
from tests.cloud_api.market import Market, both_counters, open_market
from tests.support.providers import Counter


@pytest.fixture
def counters(clocks: Clocks) -> Iterator[dict[str, Counter]]:
    with both_counters(clocks) as running:
        yield running


@pytest.fixture
async def market(house: House, counters: dict[str, Counter]) -> Market:
    return await open_market(house, counters)


async def _given_there(market: Market, order: Order, number: str, fen: int) -> None:
    """Somebody refunds in WeChat Pay's own console; we hear of it."""
    market.counters["wechat"].give_back(number, f"OWN{number[-4:]}", fen)

    async def known() -> bool:
        market.house.passes(2)
        found = await market.house.refunds(order)
        return any(one.origin == "provider" and one.state == "succeeded" for one in found)

    await market.house.run(known)


async def _end(market: Market, order: Order) -> list[str]:
    """Everything runs out; the alarms that stand. No job died, and the books balance."""
    house = market.house
    for _ in range(3):
        await house.finish_all(rounds=60)
        house.passes(25 * 3600)
    async with house.cloud.db.read() as session:
        assert await verify(session, order.merchant_id) == []
        dead = select(DueJob).where(col(DueJob.dead_at).is_not(None))
        assert (await session.exec(dead)).all() == []
        rows = (await session.exec(select(AlarmSignal))).all()
    return sorted(row.kind for row in rows if row.active)


@pytest.mark.parametrize("damage", [0, 400])
async def test_a_deposit_that_went_back_there_is_settled_here(market: Market, damage: int) -> None:
    """All of a payment was refunded in the console while the deposit was held: its return found nothing
    left ("refund.too_much"), the job died, and the deposit was held for ever.
    """
    house, clocks = market.house, market.house.cloud.clocks
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, clocks.now), ALL)
        await deposits.put_rule(session, owner, house.shop.store.id, None, 1000, 30, clocks)
    order, payment = await market.paid("wechat")
    house.passes(8 * 3600)
    async with house.cloud.db.write() as session:
        await store_events.complete_forgotten(session, order.id, clocks)
        if damage:
            await deposit_claims.claim(
                session, owner, order.id, damage, "杯子碎了", "相册 1", clocks
            )
    await _given_there(market, order, payment.number, payment.amount_fen)
    assert "refund.beyond" in await _end(market, order)
    async with house.cloud.db.read() as session:
        held = await deposit_of(session, order.id)
    assert held is not None
    assert (held.state, held.held_fen, held.damage_fen) == ("settled", 0, damage)
    gone = market.counters["wechat"].refunds()
    assert [row["amount_fen"] for row in gone.values()] == [payment.amount_fen]
    again = await house.again(order)
    assert (again.paid_fen, again.refunding_fen) == (order.total_fen, 0)


async def test_only_the_rest_of_a_cancelled_order_is_asked_for(market: Market) -> None:
    house = market.house
    order, payment = await market.paid("wechat")
    await _given_there(market, order, payment.number, 1600)
    async with house.cloud.db.write() as session:
        await cancel.cancel(session, house.who, order.id, house.cloud.clocks)
    assert await _end(market, order) == ["refund.beyond"]  # somebody sees that the hands crossed
    gone = market.counters["wechat"].refunds()
    assert sorted(row["amount_fen"] for row in gone.values()) == [1600, payment.amount_fen - 1600]


async def test_control_more_than_was_paid_is_still_refused(market: Market) -> None:
    """Negative control: nobody gave anything elsewhere, so asking for more than there is stays an error."""
    house = market.house
    order, payment = await market.paid("wechat")
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:  # nor does what they gave of overtime count
        late = {"pays": f"overtime:{order.id}", "number": f"{payment.number}T"}
        kept = payment.model_dump(exclude={"id", "provider_txn"}) | late
        paid = PaymentAttempt(**kept | {"state": "succeeded", "applied": "overtime"})
        session.add(paid)
        await session.flush()
        await foreign_refund(session, paid.id, "OWN-T", paid.amount_fen, clocks)
        locked = await system_lock(session, order.id)
        with pytest.raises(Conflict) as much:
            await give_back(
                session, locked, order.total_fen + 1, tag="9", reason="", by="system", clocks=clocks
            )
    assert much.value.code == "refund.too_much"
