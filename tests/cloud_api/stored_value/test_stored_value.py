"""Balances: which part pays, gifts that end, combined payments, and that no fen is spent twice."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlmodel import col, select, update

import cloud_api.ledger.jobs
import cloud_api.stored_value.jobs  # noqa: F401  registers its handlers
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.ledger import verify
from cloud_api.orders import cancel, pay
from cloud_api.orders.models import Order
from cloud_api.staff.permissions import ALL
from cloud_api.stored_value import office, service, topup
from cloud_api.stored_value.models import Wallet, WalletHold
from cloud_api.stored_value.schemas import AdjustIn, PayOutIn, PlanIn
from cloud_api.stored_value.split import RULES, split
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House


async def _filled(house: House, pay_fen: int = 10_000, gift_fen: int = 2_000) -> str:
    """The guest tops up; returns the plan's id."""
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        plan = await topup.put_plan(
            session,
            owner,
            None,
            PlanIn(name="充值", pay_fen=pay_fen, gift_fen=gift_fen, gift_days=3, per_member=1),
            house.cloud.clocks,
        )
    _, payment = await topup.buy(
        house.cloud,
        house.who,
        store_id=house.shop.store.id,
        plan_id=plan.id,
        provider="cashier",
    )
    house.till.pay(payment.number)

    async def there() -> bool:
        return (await _wallet(house)).total_fen > 0

    await house.run(there)
    return plan.id


async def _wallet(house: House) -> Wallet:
    async with house.cloud.db.read() as session:
        found = await service.wallet_of(session, house.shop.merchant.id, house.guest.id)
    return found or Wallet(merchant_id="", account_id="", created_at=house.noon)


async def _sound(house: House) -> None:
    async with house.cloud.db.read() as session:
        assert await verify.verify(session, house.shop.merchant.id) == []


async def _pay(house: House, order: Order, provider: str, balance_fen: int = 0) -> Any:
    return await pay.pay(
        house.cloud, house.who, order.id, provider=provider, balance_fen=balance_fen
    )


async def test_a_balance_pays_an_order_and_gets_it_back_as_it_was(house: House) -> None:
    plan = await _filled(house)
    with pytest.raises(Conflict) as limit:
        await topup.buy(
            house.cloud,
            house.who,
            store_id=house.shop.store.id,
            plan_id=plan,
            provider="cashier",
        )
    assert limit.value.code == "topup.limit"
    order = await house.order()
    assert (await _pay(house, order, "balance")).state == "succeeded"
    order = await house.again(order)
    assert (order.status, order.paid_fen) == ("ready", 7_600)
    wallet = await _wallet(house)
    assert (wallet.paid_fen, wallet.gift_fen) == (4_400, 0)  # the gift went first
    async with house.cloud.db.write() as session:
        await cancel.cancel(session, house.who, order.id, house.cloud.clocks)
    await house.finish_all()
    order, wallet = await house.again(order), await _wallet(house)
    assert (order.refunded_fen, order.refunding_fen) == (7_600, 0)
    assert (wallet.paid_fen, wallet.gift_fen) == (10_000, 2_000)
    await _sound(house)
    house.passes(4 * 86400)
    await house.finish_all()
    assert (await _wallet(house)).gift_fen == 0  # and its days are over
    await _sound(house)


async def test_a_part_is_held_while_the_other_part_is_paid(house: House) -> None:
    await _filled(house)
    order = await house.order()
    payment = await _pay(house, order, "cashier", 3_000)
    assert payment.amount_fen == 4_600
    wallet = await _wallet(house)
    assert (wallet.total_fen, wallet.held_gift_fen, wallet.held_paid_fen) == (9_000, 2_000, 1_000)
    house.till.pay(payment.number)
    order = await house.until(order, "ready")
    assert order.paid_fen == 7_600
    assert [p.provider for p in await house.payments(order)] == ["cashier", "balance"]
    await _sound(house)
    async with house.cloud.db.write() as session:
        await cancel.cancel(session, house.who, order.id, house.cloud.clocks)
    await house.finish_all()
    assert (await house.again(order)).refunded_fen == 7_600
    wallet = await _wallet(house)
    assert (wallet.paid_fen, wallet.gift_fen, wallet.held_paid_fen) == (10_000, 2_000, 0)
    await _sound(house)


async def test_what_was_held_comes_back_when_nobody_pays_and_late_money_finds_it_again(
    house: House,
) -> None:
    await _filled(house)
    order = await house.order(in_h=12)
    payment = await _pay(house, order, "cashier", 3_000)
    house.passes(700)
    order = await house.until(order, "cancelled")
    await house.finish_all()
    assert (await _wallet(house)).total_fen == 12_000
    house.till.pay(payment.number, late=True)
    order = await house.until(order, "ready")
    assert order.paid_fen == 7_600
    assert (await _wallet(house)).total_fen == 9_000
    await _sound(house)


async def test_late_money_whose_other_part_is_spent_goes_back(house: House) -> None:
    await _filled(house)
    order = await house.order(in_h=12)
    payment = await _pay(house, order, "cashier", 3_000)
    house.passes(700)
    order = await house.until(order, "cancelled")
    await house.finish_all()
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        body = AdjustIn(store_id=house.shop.store.id, amount_fen=-11_000, why="误充")
        await office.adjust(session, owner, house.guest.id, body, house.cloud.clocks)
    house.till.pay(payment.number, late=True)

    async def back() -> bool:
        house.passes(2)
        return (await house.again(order)).refunded_fen == 4_600

    await house.run(back)
    assert (await house.again(order)).status == "cancelled"
    await _sound(house)


async def test_a_part_that_came_alone_does_not_keep_the_room_for_ever(house: House) -> None:
    """A combined payment is closed, its part of the balance spent, then its other part is paid after
    all while the order still waits: it goes back in full. But the order could not be paid in any other
    way then ("the money is there"), and at the end of its hold it was left as it was: waiting for
    money and holding its room until the end of days.
    """
    await _filled(house)
    order = await house.order(in_h=12)
    payment = await _pay(house, order, "cashier", 3_000)
    await pay.close(house.cloud, house.who, order.id)
    await house.quiet()
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        body = AdjustIn(store_id=house.shop.store.id, amount_fen=-11_000, why="误充")
        await office.adjust(session, owner, house.guest.id, body, house.cloud.clocks)
    house.till.pay(payment.number, late=True)

    async def sent_back() -> bool:
        house.passes(2)
        return (await house.again(order)).refunded_fen == 4_600

    await house.run(sent_back)
    assert (await house.again(order)).status == "pending_payment"
    again = await _pay(house, order, "cashier")
    assert (again.amount_fen, again.state) == (7_600, "pending")
    house.passes(700)
    await house.until(order, "cancelled")
    await house.finish_all()
    assert (await house.claim(order)).state == "released"
    await _sound(house)


async def test_paid_money_can_be_paid_out_and_gifts_go_with_it(house: House) -> None:
    await _filled(house)
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        body = PayOutIn(amount_fen=10_001, why="不来了")
        with pytest.raises(Conflict) as much:
            await office.pay_out(session, owner, house.guest.id, body, house.cloud.clocks)
        assert much.value.extra == {"refundable_fen": 10_000}
        body = PayOutIn(amount_fen=5_000, why="不来了")
        await office.pay_out(session, owner, house.guest.id, body, house.cloud.clocks)
    await house.finish_all()
    wallet = await _wallet(house)
    assert (wallet.paid_fen, wallet.gift_fen) == (5_000, 1_000)
    assert sum(r["amount_fen"] for r in house.till.refunds().values()) == 5_000
    await _sound(house)


async def test_two_payments_at_once_never_spend_the_same_fen(house: House) -> None:
    await _filled(house, 10_000, 0)
    first, second = await house.order(), await house.order(room=house.shop.rooms[1])
    tries = await asyncio.gather(
        _pay(house, first, "balance"), _pay(house, second, "balance"), return_exceptions=True
    )
    lost = [one for one in tries if isinstance(one, KaimenError)]
    assert [one.code for one in lost] == ["balance.too_little"]
    assert (await _wallet(house)).total_fen == 2_400
    await _sound(house)


async def test_control_without_the_lock_the_same_fen_is_spent_twice(house: House) -> None:
    """The negative control: read first, write later, as one would without the row's lock."""
    await _filled(house, 10_000, 0)

    seen = await _wallet(house)  # both looked before either wrote
    for _ in range(2):
        async with house.cloud.db.write() as session:
            await session.exec(update(Wallet).values(paid_fen=seen.paid_fen - 7_600))
    async with house.cloud.db.read() as session:
        assert await verify.verify(session, house.shop.merchant.id) != []
    assert (await _wallet(house)).paid_fen == seen.paid_fen - 7_600  # twice spent, once gone


@given(st.sampled_from(sorted(RULES)), st.integers(0, 10**6), st.integers(0, 10**6), st.data())
def test_parts_are_never_more_than_there_is(rule: str, paid: int, gift: int, data: Any) -> None:
    amount = data.draw(st.integers(0, paid + gift))
    parts = split(rule, paid, gift, amount)
    assert sum(parts) == amount
    assert 0 <= parts.paid <= paid
    assert 0 <= parts.gift <= gift
    if rule == "gift_first":
        assert parts.paid == max(0, amount - gift)


async def test_a_hold_is_taken_or_given_back_once(house: House) -> None:
    await _filled(house)
    order = await house.order()
    await _pay(house, order, "cashier", 3_000)
    again = await _pay(house, order, "cashier", 3_000)  # the same tap again
    async with house.cloud.db.read() as session:
        holds = (
            await session.exec(select(WalletHold).where(col(WalletHold.payment_id) == again.id))
        ).all()
    assert len(holds) == 1
    assert (await _wallet(house)).total_fen == 9_000
