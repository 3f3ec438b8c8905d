"""I9 The books balance: money is whole fen, every transaction sums to zero, and all figures are the ledger's.

Guests top up, pay out of balances, at a cashier, with both, in cash; they cancel, use, overstay, ask for
money back; deposits are held, claimed and returned; gifts end; days close. In the end the books say of
every order, balance and provider what really happened there.
"""

from __future__ import annotations

import random
from typing import Any

import httpx
import pytest
from sqlalchemy import func
from sqlmodel import col, select, update

import cloud_api.ledger.jobs
import cloud_api.stored_value.jobs  # noqa: F401  registers its handlers
from cloud_api.auth.models import Account
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import KaimenError
from cloud_api.ledger import accounts, closing, verify
from cloud_api.ledger.models import LedgerEntry, LedgerTxn
from cloud_api.orders import (
    cancel,
    deposit_claims,
    deposits,
    desk,
    pay,
    refund_requests,
    store_events,
)
from cloud_api.orders.models import Order, OrderLine
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.staff.permissions import ALL
from cloud_api.stored_value import office, topup
from cloud_api.stored_value.models import Wallet
from cloud_api.stored_value.schemas import AdjustIn, PayOutIn, PlanIn
from tests.cloud_api.factories import customer, make_customer, make_staff, staff
from tests.cloud_api.house import House

_ACTS = [
    "topup",
    "pay",
    "balance",
    "both",
    "money",
    "cash",
    "cancel",
    "use",
    "ask",
    "answer",
    "claim",
    "adjust",
    "pay_out",
    "time",
    "jobs",
]


async def _assert_books_balance(house: House) -> None:
    merchant = house.shop.merchant.id
    async with house.cloud.db.read() as session:
        assert await verify.verify(session, merchant) == []
        sums = dict(
            (
                await session.exec(
                    select(
                        col(LedgerEntry.account), func.sum(col(LedgerEntry.amount_fen))
                    ).group_by(col(LedgerEntry.account))
                )
            ).all()
        )
        orders = (await session.exec(select(Order))).all()
        lines = dict(
            (
                await session.exec(
                    select(col(OrderLine.order_id), func.sum(col(OrderLine.amount_fen))).group_by(
                        col(OrderLine.order_id)
                    )
                )
            ).all()
        )
        paid = (
            await session.exec(
                select(PaymentAttempt).where(col(PaymentAttempt.state) == "succeeded")
            )
        ).all()
        back = (
            await session.exec(select(RefundAttempt).where(col(RefundAttempt.state) == "succeeded"))
        ).all()
    assert sum(int(total) for total in sums.values()) == 0
    at_cashier = {p.id for p in paid if p.provider == "cashier"}
    at_desk = {p.id for p in paid if p.provider == "cash"}
    for where, ids in (("clearing", at_cashier), ("cash", at_desk)):
        came = sum(p.amount_fen for p in paid if p.id in ids)
        went = sum(r.amount_fen for r in back if r.payment_id in ids)
        assert sums.get(where, 0) == came - went, where
    till_in = sum(p["amount_fen"] for p in house.till.payments().values() if p["state"] == "paid")
    till_out = sum(r["amount_fen"] for r in house.till.refunds().values() if r["state"] == "done")
    assert sums.get("clearing", 0) == till_in - till_out
    for order in orders:
        assert order.total_fen == int(lines[order.id])


async def _guest(house: House) -> Account:
    async with house.cloud.db.write() as session:
        return await make_customer(session, house.cloud.clocks.now)


async def _topup(house: House, guest: Account, plan_id: str) -> None:
    made, payment = await topup.buy(
        house.cloud,
        customer(guest),
        store_id=house.shop.store.id,
        plan_id=plan_id,
        provider="cashier",
    )
    del made
    if payment.state == "pending":
        house.till.pay(payment.number)


async def _stage(house: House, *, deposit_fen: int) -> tuple[Staff, str]:
    async with house.cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        plan = await topup.put_plan(
            session,
            owner,
            None,
            PlanIn(name="充 100 送 30", pay_fen=10_000, gift_fen=3_000, gift_days=2),
            house.cloud.clocks,
        )
        if deposit_fen:
            await deposits.put_rule(
                session, owner, house.shop.store.id, None, deposit_fen, 30, house.cloud.clocks
            )
    return owner, plan.id


async def _act(house: House, dice: random.Random, owner: Staff, plan: str, order: Order) -> None:
    """One random act about an order or its guest; refusals are part of life."""
    clocks, db = house.cloud.clocks, house.cloud.db
    async with db.read() as session:
        house.guest = await session.get_one(Account, order.account_id)
        payments = (
            await session.exec(
                select(PaymentAttempt).where(
                    col(PaymentAttempt.provider) == "cashier",
                    col(PaymentAttempt.state) != "succeeded",
                )
            )
        ).all()
    act = dice.choice(_ACTS)
    if act == "topup":
        await _topup(house, house.guest, plan)
    elif act == "pay":
        await house.pay(order)
    elif act in {"balance", "both"}:
        part = dice.choice((1, 500, 5_000))
        await pay.pay(
            house.cloud,
            house.who,
            order.id,
            provider="balance" if act == "balance" else "cashier",
            balance_fen=0 if act == "balance" else part,
        )
    elif act == "money" and payments:
        house.till.pay(dice.choice(payments).number, late=dice.random() < 0.3)
    elif act == "time":
        house.passes(dice.choice((5, 300, 700, 7_200, 100_000)))
    elif act == "jobs":
        await house.quiet()
    else:
        async with db.write() as session:
            if act == "cash":
                await desk.take_cash(session, owner, order.id, "付现金", clocks)
            elif act == "cancel":
                await cancel.cancel_by_staff(session, owner, order.id, "停电", clocks)
            elif act == "use":
                await store_events.complete_forgotten(session, order.id, clocks)
            elif act == "ask":
                await refund_requests.ask(session, house.who, order.id, "空调坏了", None, clocks)
            elif act == "answer":
                waiting = await refund_requests.queue(session, owner)
                if waiting and dice.random() < 0.7:
                    some = max(1, waiting[0].asked_fen // dice.choice((1, 2)))
                    await refund_requests.approve(
                        session, owner, waiting[0].id, some, "协商", clocks
                    )
                elif waiting:
                    await refund_requests.decline(session, owner, waiting[0].id, "已用完", clocks)
            elif act == "claim":
                await deposit_claims.claim(
                    session, owner, order.id, 1_500, "杯子碎了", "p1", clocks
                )
            elif act == "adjust":
                body = AdjustIn(
                    store_id=house.shop.store.id, amount_fen=dice.choice((700, -400)), why="补偿"
                )
                await office.adjust(session, owner, order.account_id, body, clocks)
            elif act == "pay_out":
                body_out = PayOutIn(amount_fen=2_000, why="不来了")
                await office.pay_out(session, owner, order.account_id, body_out, clocks)


@pytest.mark.parametrize("seed", range(2))
async def test_any_sequence_of_money_leaves_the_books_balanced(house: House, seed: int) -> None:
    await _play(house, seed, 40)


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("seed", range(100, 130))
async def test_many_sequences_leave_the_books_balanced(house: House, seed: int) -> None:
    await _play(house, seed, 150)


async def _play(house: House, seed: int, acts: int) -> None:
    dice = random.Random(seed)
    owner, plan = await _stage(house, deposit_fen=dice.choice((0, 5_000)))
    house.till.faults(notify_duplicate=dice.randrange(2), notify_drop=dice.randrange(2))
    orders: list[Order] = []
    for number in range(acts):
        if number % 6 == 0:
            house.guest = await _guest(house)
            now = (house.cloud.clocks.now - house.noon).total_seconds() / 3600
            try:
                orders.append(
                    await house.order(
                        room=dice.choice(house.shop.rooms), in_h=int(now) + dice.choice((3, 6, 9))
                    )
                )
            except KaimenError:
                if not orders:
                    raise
        try:
            await _act(house, dice, owner, plan, dice.choice(orders))
        except (KaimenError, httpx.HTTPStatusError):
            continue
    house.till.faults()
    house.passes(4 * 86400)  # stays are over, gifts ended, days closed
    await _settle_everything(house, owner)
    await _assert_books_balance(house)
    store = house.shop.store
    async with house.cloud.db.write() as session:
        day = closing.last_over(store, house.cloud.clocks)
        closed = await closing.close(session, owner, store.id, day, house.cloud.clocks)
    assert closed.state == "closed"
    await _assert_books_balance(house)


async def _settle_everything(house: House, owner: Staff) -> None:
    """Let every job about money end; hand back the cash that waits at the desk."""
    for _ in range(3):
        await house.finish_all(rounds=60)
        async with house.cloud.db.read() as session:
            waiting = (
                await session.exec(
                    select(RefundAttempt, PaymentAttempt)
                    .join(PaymentAttempt, col(PaymentAttempt.id) == col(RefundAttempt.payment_id))
                    .where(
                        col(PaymentAttempt.provider) == "cash",
                        col(RefundAttempt.state) == "submitted",
                    )
                )
            ).all()
        for refund, payment in waiting:
            async with house.cloud.db.write() as session:
                order_id = payment.part_of.partition(":")[2]
                await desk.hand_back(
                    session, owner, order_id, refund.number, "退给本人", house.cloud.clocks
                )
        house.passes(2 * 86400)
    await house.finish_all(rounds=60)


async def _spoilt(house: House, change: Any) -> list[str]:
    async with house.cloud.db.write() as session:
        await session.exec(change)
    async with house.cloud.db.read() as session:
        return await verify.verify(session, house.shop.merchant.id)


async def test_control_whatever_goes_wrong_beside_the_books_is_found(house: House) -> None:
    """The negative control: a fen more in a balance, in an order, in a payment; each is named."""
    _owner, plan = await _stage(house, deposit_fen=0)
    order = await house.paid_order()
    await _topup(house, house.guest, plan)

    async def there() -> bool:
        async with house.cloud.db.read() as session:
            wallet = (await session.exec(select(Wallet))).first()
            return (
                wallet is not None
                and wallet.paid_fen > 0
                and (await verify.verify(session, house.shop.merchant.id)) == []
            )

    await house.run(there)
    assert await _spoilt(house, update(Wallet).values(paid_fen=10_001)) != []
    assert await _spoilt(house, update(Wallet).values(paid_fen=10_000)) == []
    wrong = update(Order).where(col(Order.id) == order.id).values(paid_fen=7_601)
    assert any("its sums" in line for line in await _spoilt(house, wrong))
    right = update(Order).where(col(Order.id) == order.id).values(paid_fen=7_600)
    assert await _spoilt(house, right) == []
    more = update(PaymentAttempt).where(col(PaymentAttempt.pays) == f"order:{order.id}")
    found = await _spoilt(house, more.values(amount_fen=7_700))
    assert any("7700 fen moved, 7600 are booked" in line for line in found)


def test_every_account_has_a_name_and_a_side() -> None:
    assert set(accounts.NAMES) == set(accounts.Account)
    assert not accounts.ASSETS & accounts.LIABILITIES


async def test_what_was_used_is_revenue_and_what_was_not_is_none(house: House) -> None:
    """The statistics are the ledger: revenue of a day is what its stays came to, and nothing else."""
    used, coming = await house.paid_order(), await house.paid_order(in_h=60)
    house.passes(30 * 3600)
    async with house.cloud.db.write() as session:
        await store_events.complete_forgotten(session, used.id, house.cloud.clocks)
    async with house.cloud.db.read() as session:
        rows = (
            await session.exec(
                select(col(LedgerTxn.subject), col(LedgerEntry.amount_fen))
                .join(LedgerEntry, col(LedgerEntry.txn_id) == col(LedgerTxn.id))
                .where(col(LedgerEntry.account) == "revenue")
            )
        ).all()
    assert [(s, a) for s, a in rows] == [(f"order:{used.id}", -used.total_fen)]
    assert coming.paid_fen > 0
