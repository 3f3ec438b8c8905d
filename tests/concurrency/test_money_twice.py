"""What staff and guests do about money, done by two at the same moment: one effect, and for the other the
same answer or a refusal that says why; never an error, and the books balance.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlmodel.ext.asyncio.session import AsyncSession

import cloud_api.ledger.jobs
import cloud_api.members.personal
import cloud_api.orders.personal
import cloud_api.stored_value.jobs
import cloud_api.stored_value.personal  # noqa: F401  they register their handlers
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import KaimenError
from cloud_api.ledger import cash, closing
from cloud_api.ledger.verify import verify
from cloud_api.members import merging
from cloud_api.orders import (
    cancel,
    deposit_claims,
    deposits,
    desk,
    guests,
    refund_requests,
    store_events,
)
from cloud_api.payments import dispatch
from cloud_api.staff.permissions import ALL
from cloud_api.stored_value import office, service, topup
from cloud_api.stored_value.schemas import AdjustIn, PayOutIn, PlanIn
from tests.cloud_api.factories import make_customer, make_staff, staff
from tests.cloud_api.house import House

Act = Callable[[AsyncSession], Awaitable[Any]]


async def _at_once(house: House, *acts: Act) -> list[str]:
    """What became of each, sorted: ``done`` or the code of its refusal. Anything else is raised."""

    async def one(act: Act) -> str:
        try:
            async with house.cloud.db.write() as session:
                await act(session)
        except KaimenError as refused:
            return refused.code
        return "done"

    return sorted(await asyncio.gather(*(one(act) for act in acts)))


async def _owners(house: House) -> list[Staff]:
    async with house.cloud.db.write() as session:
        return [staff(await make_staff(session, house.shop, house.noon), ALL) for _ in range(2)]


async def _sound(house: House) -> None:
    await house.finish_all()
    async with house.cloud.db.snapshot() as session:
        assert await verify(session, house.shop.merchant.id) == []


async def test_at_the_desk(house: House) -> None:
    """Cash for one order, the drawer, the day: each twice."""
    one, two = await _owners(house)
    clocks, store = house.cloud.clocks, house.shop.store
    order = await house.order()

    def pays(who: Staff) -> Act:
        return lambda session: desk.take_cash(session, who, order.id, "付现金", clocks)

    said = await _at_once(house, pays(one), pays(two), pays(one))
    assert said.count("done") >= 1
    order = await house.again(order)
    assert (order.status, order.paid_fen, order.refunding_fen) == ("ready", 7600, 0)

    def counts(who: Staff) -> Act:
        return lambda session: cash.count(session, who, store.id, 7_000, "少了六块", clocks)

    await _at_once(house, counts(one), counts(two))
    async with house.cloud.db.read() as session:
        assert await cash.expected(session, store.id) == 7_000  # the difference is booked once
    house.passes(2 * 86400)
    day = closing.last_over(store, clocks)

    def closes(who: Staff) -> Act:
        return lambda session: closing.close(session, who, store.id, day, clocks)

    said = await _at_once(house, closes(one), closes(two))
    assert "done" in said
    await _sound(house)


async def test_refund_requests_and_claims(house: House) -> None:
    """A guest asks twice; two approve, one declines, the guest withdraws; two claim the same deposit."""
    one, two = await _owners(house)
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        await deposits.put_rule(session, one, house.shop.store.id, None, 5_000, 30, clocks)
    order = await house.paid_order()
    async with house.cloud.db.write() as session:
        await store_events.complete_forgotten(session, order.id, clocks)

    def asks() -> Act:
        return lambda session: refund_requests.ask(
            session, house.who, order.id, "空调坏了", 3_000, clocks
        )

    assert await _at_once(house, asks(), asks()) == ["done", "done"]
    async with house.cloud.db.read() as session:
        (request,) = await refund_requests.queue(session, one)
    said = await _at_once(
        house,
        lambda session: refund_requests.approve(session, one, request.id, 3_000, "协商", clocks),
        lambda session: refund_requests.approve(session, two, request.id, 2_000, "协商", clocks),
        lambda session: refund_requests.decline(session, two, request.id, "用完了", clocks),
        lambda session: refund_requests.withdraw(session, house.who, order.id, request.id, clocks),
    )
    assert said.count("done") == 1
    assert set(said) <= {"done", "refund.decided"}

    def claims(who: Staff) -> Act:
        return lambda session: deposit_claims.claim(
            session, who, order.id, 4_000, "杯子碎了", "p1", clocks
        )

    said = await _at_once(house, claims(one), claims(two))
    assert said == ["deposit.not_held", "done"]
    house.passes(3 * 86400)
    await _sound(house)


async def _topped_up(house: House, owner: Staff) -> str:
    async with house.cloud.db.write() as session:
        plan = await topup.put_plan(
            session, owner, None, PlanIn(name="充值", pay_fen=10_000, gift_fen=2_000, gift_days=3),
            house.cloud.clocks,
        )  # fmt: skip
    _, payment = await topup.buy(
        house.cloud, house.who, store_id=house.shop.store.id, plan_id=plan.id, provider="cashier"
    )
    house.till.faults(notify_drop=-1)
    house.till.pay(payment.number)
    return payment.id


async def test_balances(house: House) -> None:
    """A top-up whose money three take note of; paid out, adjusted and paid out at once; two members merged
    into each other.
    """
    from cloud_api.payments import service as payments

    one, two = await _owners(house)
    clocks = house.cloud.clocks
    payment = await _topped_up(house, one)
    await payments.look(house.cloud, payment)

    def settles() -> Act:
        return lambda session: dispatch.settle(session, payment, clocks)

    assert await _at_once(house, settles(), settles(), settles()) == ["done"] * 3

    async def has(who: Account) -> tuple[int, int]:
        async with house.cloud.db.read() as session:
            wallet = await service.wallet_of(session, house.shop.merchant.id, who.id)
        return (0, 0) if wallet is None else (wallet.paid_fen, wallet.gift_fen)

    assert await has(house.guest) == (10_000, 2_000)

    def pays_out(who: Staff) -> Act:
        body = PayOutIn(amount_fen=6_000, why="不来了")
        return lambda session: office.pay_out(session, who, house.guest.id, body, clocks)

    body = AdjustIn(store_id=house.shop.store.id, amount_fen=500, why="补偿")
    said = await _at_once(
        house, pays_out(one), pays_out(two),
        lambda session: office.adjust(session, one, house.guest.id, body, clocks),
    )  # fmt: skip
    assert said == ["balance.not_refundable", "done", "done"]
    async with house.cloud.db.write() as session:
        other = await make_customer(session, house.noon)
        for who in (house.guest, other):
            await guests.count(session, house.shop.merchant.id, who.id, clocks)

    def merges(old: Account, new: Account, by: Staff) -> Act:
        return lambda session: merging.merge(
            session, by, old.id, new.id, confirm=old.phone_tail, why="换了手机号", clocks=clocks
        )

    before = (await has(house.guest), await has(other))
    said = await _at_once(
        house, merges(house.guest, other, one), merges(house.guest, other, two),
        merges(other, house.guest, one),
    )  # fmt: skip
    after = (await has(house.guest), await has(other))
    assert sorted(after) == sorted(((0, 0), tuple(map(sum, zip(*before, strict=True))))), said
    assert set(said) == {"done", "member.merged_away"}
    async with house.cloud.db.read() as session:
        shown, _ = await guests.find(session, one, guests.Wanted(), now=house.noon, cursor=None)
    assert len(shown) == 1  # merged into each other, both were on no list any more
    await _sound(house)


async def test_a_cancelled_order_and_its_money(house: House) -> None:
    """Guest and staff cancel at once; the refund's news come to three at once."""
    one, two = await _owners(house)
    clocks = house.cloud.clocks
    order = await house.paid_order()
    said = await _at_once(
        house,
        lambda session: cancel.cancel(session, house.who, order.id, clocks),
        lambda session: cancel.cancel_by_staff(session, one, order.id, "停电", clocks),
        lambda session: cancel.cancel_by_staff(session, two, order.id, "停电", clocks),
    )
    assert said == ["done"] * 3
    await house.finish_all()
    (refund,) = await house.refunds(order)
    assert (refund.state, refund.amount_fen) == ("succeeded", 7_600)

    def hears() -> Act:
        return lambda session: dispatch.refund_changed(session, refund.id, clocks)

    assert await _at_once(house, hears(), hears(), hears()) == ["done"] * 3
    await _sound(house)
