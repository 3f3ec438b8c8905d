"""What is claimed of a deposit stays held until it is decided; what is let go pays overtime, then goes back."""

from __future__ import annotations

import asyncio

import pytest
from sqlmodel import col, select

import cloud_api.ledger.jobs
import cloud_api.stored_value.jobs  # noqa: F401  they register their handlers
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import Conflict
from cloud_api.kit.models import DueJob
from cloud_api.ledger.verify import verify
from cloud_api.orders import cancel, deposit_claims, deposits, store_events
from cloud_api.orders.books import deposit_of
from cloud_api.orders.models import DepositClaim, Order
from cloud_api.orders.transitions import system_lock
from cloud_api.payments.models import RefundAttempt
from cloud_api.staff.permissions import ALL
from cloud_api.stored_value import office
from cloud_api.stored_value.schemas import AdjustIn
from cloud_api.stores.models import Store
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House
from tests.cloud_api.orders.test_overtime import charges, rule, usage

COSTS = 1200  # 19 minutes at ¥6 the begun quarter


async def _owner(house: House, deposit_fen: int) -> Staff:
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        shop = house.shop.store.id
        await deposits.put_rule(session, owner, shop, None, deposit_fen, 30, house.cloud.clocks)
    return owner


async def _claim(house: House, who: Staff, order: Order, fen: int) -> DepositClaim:
    async with house.cloud.db.write() as session:
        return await deposit_claims.claim(
            session, who, order.id, fen, "杯子碎了", "p/1", house.cloud.clocks
        )


async def _parts(house: House, order: Order) -> tuple[str, int, int, int]:
    """State, returned, damage and overtime of its deposit; the books agree."""
    async with house.cloud.db.read() as session:
        held = await deposit_of(session, order.id)
        assert await verify(session, order.merchant_id) == []
    assert held is not None
    return held.state, held.returned_fen, held.damage_fen, held.overtime_fen


async def _failed(house: House) -> list[str]:
    """Jobs about deposits that did not end."""
    async with house.cloud.db.read() as session:
        jobs = await session.exec(select(DueJob).where(col(DueJob.kind).startswith("deposit.")))
        return [f"{job.kind}: {job.last_error}" for job in jobs if job.done_at is None]


async def test_a_cancelled_order_keeps_what_is_claimed_until_it_is_decided(house: House) -> None:
    """Seen: ``deposit.claim`` failed for ever on the table's CHECK, after an order was cancelled.

    A cancelled order's deposit went back at once and whole, claims on it or not; a day later the claim
    was to be kept out of nothing. The house would have lost what it claimed, and the guest would have
    been shown a claim on money that was back.
    """
    owner = await _owner(house, 5_000)
    order = await house.paid_order()
    await _claim(house, owner, order, 1_500)
    async with house.cloud.db.write() as session:
        await cancel.cancel_by_staff(session, owner, order.id, "停电", house.cloud.clocks)
    late = await _claim(house, owner, order, 1_000)  # before the job that returns it
    with pytest.raises(Conflict) as much:
        await _claim(house, owner, order, 2_501)
    assert (much.value.code, much.value.extra["held_fen"]) == ("deposit.not_held", 2_500)
    house.passes(60)
    await house.finish_all()
    assert await _parts(house, order) == ("held", 0, 0, 0)
    async with house.cloud.db.write() as session:
        await deposit_claims.decide(
            session, owner, order.id, late.id, False, "是旧的", house.cloud.clocks
        )
    house.passes(25 * 3600)
    await house.quiet()
    await house.finish_all()
    assert await _parts(house, order) == ("settled", 3_500, 1_500, 0)
    assert await _failed(house) == []


async def test_a_claim_on_money_that_went_back_is_let_go(house: House) -> None:
    """Claims that a cancelling outran before are there still: their jobs end, and nobody keeps what is
    not there.
    """
    owner = await _owner(house, 5_000)
    order = await house.paid_order()
    found = [await _claim(house, owner, order, fen) for fen in (1_500, 1_000)]
    async with house.cloud.db.write() as session:
        locked = await system_lock(session, order.id)
        await deposits.give_all_back(session, locked, by="system", clocks=house.cloud.clocks)
        await deposit_claims.object_to(
            session, house.who, order.id, found[1].id, "没有碎", house.cloud.clocks
        )
    other = await _owner(house, 5_000)
    with pytest.raises(Conflict) as gone:
        async with house.cloud.db.write() as session:
            await deposit_claims.decide(
                session, other, order.id, found[1].id, True, "碎了", house.cloud.clocks
            )
    assert (gone.value.code, gone.value.extra["held_fen"]) == ("deposit.not_held", 0)
    house.passes(25 * 3600)
    await house.quiet()
    async with house.cloud.db.read() as session:
        told = await deposits.claims_of(session, order.id)
    assert [one.state for one in told] == ["dropped", "disputed"]
    assert await _parts(house, order) == ("settled", 5_000, 0, 0)
    assert await _failed(house) == []


@pytest.mark.parametrize(
    ("claimed", "balance", "from_deposit", "from_balance", "left", "back"),
    [
        ([1_500], 0, 1_200, 0, 0, 800),  # of 2 000: all of it, the rest returns
        ([1_000, 900], 60, 1_100, 60, 40, 0),  # the second claim stays and is kept
    ],
)
async def test_what_is_let_go_pays_overtime_first(
    house: House,
    claimed: list[int],
    balance: int,
    from_deposit: int,
    from_balance: int,
    left: int,
    back: int,
) -> None:
    """Overtime that a claim kept from the deposit is taken once the claim is let go, and before anything
    returns. The guest's own try to pay is closed; what comes of it after all goes back but for what is
    left.
    """
    clocks = house.cloud.clocks
    await rule(house)
    owner = await _owner(house, 2_000)
    order = await house.paid_order(in_h=1)
    found = [await _claim(house, owner, order, fen) for fen in claimed]
    house.passes(4 * 3600)
    async with house.cloud.db.write() as session:
        store = await session.get_one(Store, order.store_id)
        await store_events.apply_usage(session, store, usage(order, 19), clocks.now, clocks)
    due = COSTS - (2_000 - sum(claimed))
    assert [(one.state, one.owed_fen) for one in await charges(house)] == [("due", due)]
    payment = await house.pay(order)
    assert payment.amount_fen == due
    async with house.cloud.db.write() as session:
        if balance:
            body = AdjustIn(store_id=order.store_id, amount_fen=balance, why="补偿")
            await office.adjust(session, owner, house.guest.id, body, clocks)
        await deposit_claims.decide(session, owner, order.id, found[0].id, False, "是旧的", clocks)
    assert (await _parts(house, order))[3] == from_deposit
    [owed] = await charges(house)
    assert (owed.state, owed.owed_fen) == ("due" if left else "paid", left)
    assert owed.covered_fen == from_deposit + from_balance
    house.till.pay(payment.number)  # the guest had it open, and paid

    async def settled() -> bool:
        await asyncio.sleep(0.05)
        async with house.cloud.db.read() as session:
            gone = select(RefundAttempt).where(
                col(RefundAttempt.payment_id) == payment.id,
                col(RefundAttempt.amount_fen) == due - left,
            )
            return (await session.exec(gone)).first() is not None

    await house.run(settled)
    [owed] = await charges(house)
    assert (owed.state, owed.covered_fen) == ("paid", COSTS)
    house.passes(25 * 3600)
    await house.finish_all()
    kept = sum(claimed[1:])
    assert await _parts(house, order) == ("settled", back, kept, from_deposit)
    assert await _failed(house) == []
