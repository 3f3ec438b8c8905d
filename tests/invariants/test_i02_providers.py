"""I2 at WeChat Pay and Alipay: random orders, everything that can go wrong, and the books of both agree.

At the end of each run: the providers' own books = ours, every paid order is confirmed or refunded, and
each day's bill is balanced, or says exactly where a fault put a difference into it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlmodel import select

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict
from cloud_api.orders import cancel
from cloud_api.orders.models import Order
from cloud_api.payments import service
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from tests.cloud_api.factories import make_customer
from tests.cloud_api.house import House
from tests.cloud_api.market import WAYS, Market, both_counters, open_market
from tests.support.providers import Counter

LIES = ("notify_bad_signature", "notify_probe", "notify_stale", "notify_unknown_serial")
CALLS = ("create", "query", "close", "refund", "query_refund")


@pytest.fixture
def counters(clocks: Clocks) -> Iterator[dict[str, Counter]]:
    with both_counters(clocks) as running:
        yield running


@pytest.fixture
async def market(house: House, counters: dict[str, Counter]) -> Market:
    return await open_market(house, counters)


def _knobs(dice: random.Random) -> dict[str, Any]:
    """What goes wrong with one payment."""
    knobs: dict[str, Any] = {name: 1 for name in LIES if dice.random() < 0.15}
    knobs |= {
        "notify_drop": dice.choice((0, 0, 0, 1, -1)),
        "notify_duplicate": dice.choice((0, 0, 2)),
        "notify_again_as_new": dice.choice((0, 0, 1)),
        "notify_reorder": dice.random() < 0.3,
        "notify_delay_s": dice.choice((0, 0, 0, 900)),  # beyond the hold
        "notify_amount_off_fen": dice.choice((0, 0, 0, 0, -100)),
        "notify_other_merchant": dice.choice((0, 0, 0, 1)),
        "paid_during_close": dice.choice((0, 0, 1)),
        "refund_delay_s": dice.choice((0, 0, 60)),
        "bill_missing": dice.random() < 0.05,
        "bill_extra": dice.random() < 0.05,
        "bill_off_fen": dice.choice((0,) * 19 + (7,)),
    }
    for fault in ("fail", "lose", "answer_bad_signature"):
        knobs[fault] = {call: 1 for call in CALLS if dice.random() < 0.12}
    return knobs


async def _play(market: Market, dice: random.Random, orders: int) -> dict[str, dict[str, Any]]:
    """Guests come, pay or do not, cancel; returns the knobs by payment number."""
    house, faults = market.house, {}
    for at in range(orders):
        async with house.cloud.db.write() as session:
            house.guest = await make_customer(session, house.cloud.clocks.now)
        room = house.shop.rooms[at % len(house.shop.rooms)]
        try:
            order = await house.order(room=room, in_h=6 + 1.0 * (at // 3 % 20), hours=1)
        except Conflict:
            continue
        provider = dice.choice(("wechat", "alipay"))
        counter = market.counters[provider]
        number = f"{order.number}-1"
        faults[number] = _knobs(dice)
        counter.faults(number, **faults[number])
        for _ in range(3):  # somebody taps again
            try:
                payment = await market.pay(order, provider, dice.choice(WAYS[provider]))
            except Conflict:
                break
            if payment.state == "pending":
                break
        act = dice.choice(("pay", "pay", "pay", "late", "nothing", "cancel", "pay and cancel"))
        there = number in counter.payments()
        if there and act in {"pay", "pay and cancel"}:
            counter.pay(number)
        if act in {"cancel", "pay and cancel", "late"}:
            await house.quiet()
            try:
                async with house.cloud.db.write() as session:
                    await cancel.cancel(session, house.who, order.id, house.cloud.clocks)
            except Conflict:
                pass
        if there and act == "late":
            counter.pay(number, late=True)
        if dice.random() < 0.3:
            house.passes(dice.choice((3, 20, 120)))
        await house.quiet()
    return faults


async def _end(market: Market, faults: dict[str, dict[str, Any]]) -> None:
    """Nothing goes wrong any more; everything that is due is done; yesterday's bills come."""
    house = market.house
    keep = ("bill_missing", "bill_extra", "bill_off_fen")
    for counter in market.counters.values():
        counter.faults()
        for number, knobs in faults.items():
            counter.faults(number, **{name: knobs[name] for name in keep})
    day = market.today()
    house.passes(700)
    await house.finish_all(rounds=80)
    house.passes(30 * 3600)
    await house.finish_all(rounds=80)
    for provider in market.counters:
        for _ in range(7):  # an empty bill is believed at last
            bill, gaps = await market.bill(provider, day)
        await house.finish_all(rounds=40)  # money that only the bill told of has its effect now
        bill, gaps = await market.bill(provider, day)
        wrong = {n for n, k in faults.items() if any(k[name] for name in keep)}
        for gap in gaps:
            if gap.state == "open":
                told = gap.number.removeprefix("X")
                assert any(told.startswith(n) for n in wrong), gap
        assert (bill.open_differences == 0) is (bill.state == "balanced")


async def _assert_agree(market: Market) -> None:
    house = market.house
    async with house.cloud.db.read() as session:
        orders = (await session.exec(select(Order))).all()
        payments = (await session.exec(select(PaymentAttempt))).all()
        refunds = (await session.exec(select(RefundAttempt))).all()
    paid = {n: p["amount_fen"] for c in market.counters.values() for n, p in c.payments().items() if p["state"] == "paid"}  # fmt: skip
    back = {n: r["amount_fen"] for c in market.counters.values() for n, r in c.refunds().items() if r["state"] == "success"}  # fmt: skip
    assert {p.number: p.amount_fen for p in payments if p.state == "succeeded"} == paid
    assert {r.number: r.amount_fen for r in refunds if r.state == "succeeded"} == back
    assert all(p.applied for p in payments if p.state == "succeeded")
    for order in orders:
        took = sum(fen for n, fen in paid.items() if n.startswith(f"{order.number}-"))
        gave = sum(fen for n, fen in back.items() if n.startswith(f"{order.number}-"))
        assert (order.paid_fen, order.refunded_fen, order.refunding_fen) == (took, gave, 0)
        kept = order.total_fen if order.status in {"ready", "in_use", "completed"} else 0
        assert took - gave == kept, f"{order.number} is {order.status} and keeps {took - gave}"


async def test_random_orders_at_random_providers_leave_both_books_the_same(market: Market) -> None:
    dice = random.Random(11)
    faults = await _play(market, dice, 14)
    await _end(market, faults)
    await _assert_agree(market)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("seed", range(20))
async def test_a_thousand_orders(market: Market, seed: int) -> None:
    """Twenty houses of fifty orders, on each engine."""
    dice = random.Random(seed)
    faults = await _play(market, dice, 50)
    await _end(market, faults)
    await _assert_agree(market)


async def test_control_money_that_nobody_counted_is_seen(market: Market) -> None:
    """The negative control: forget one payment, and the books are found wrong."""
    _, payment = await market.paid("wechat")
    await _assert_agree(market)
    async with market.house.cloud.db.write() as session:
        row = await session.get_one(PaymentAttempt, payment.id)
        row.amount_fen += 1
        session.add(row)
    with pytest.raises(AssertionError):
        await _assert_agree(market)


async def test_a_process_that_dies_at_any_call_leaves_what_the_next_run_finishes(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed right before and right after each request to a provider: create, refund, queries."""
    house = market.house

    class Killed(BaseException):
        pass

    real = httpx.AsyncClient.request
    for turn, (provider, after) in enumerate(
        (provider, after) for provider in WAYS for after in (False, True)
    ):
        order = await house.order(in_h=4 + 2 * turn, hours=1)
        left = 1

        async def dies(self: httpx.AsyncClient, *args: Any, **more: Any) -> httpx.Response:
            nonlocal left
            left -= 1
            if left == 0 and not after:  # noqa: B023
                raise Killed
            answer = await real(self, *args, **more)
            if left == 0:
                raise Killed
            return answer

        monkeypatch.setattr(house.cloud.http, "request", dies.__get__(house.cloud.http))
        with pytest.raises(Killed):
            await house.pay(order, provider, WAYS[provider][0])
        monkeypatch.setattr(house.cloud.http, "request", real.__get__(house.cloud.http))
        payment = (await house.payments(order))[0]
        assert payment.state == "created"  # the number was written before the call

        async def begun() -> bool:
            house.passes(3)
            return (await house.payments(order))[0].state == "pending"  # noqa: B023

        await house.run(begun)  # the watch begins it under the same number
        payment = (await house.payments(order))[0]
        assert list(market.counters[provider].payments()).count(payment.number) == 1
        market.counters[provider].pay(payment.number)
        await house.until(order, "ready")
        left = 1
        monkeypatch.setattr(house.cloud.http, "request", dies.__get__(house.cloud.http))
        async with house.cloud.db.write() as session:
            await cancel.cancel(session, house.who, order.id, house.cloud.clocks)
        refund = (await house.refunds(order))[0]
        with pytest.raises(Killed):
            await service.push_refund(house.cloud, refund.id)
        monkeypatch.setattr(house.cloud.http, "request", real.__get__(house.cloud.http))
        await house.finish_all()
        assert [r["state"] for n, r in market.counters[provider].refunds().items() if n.startswith(order.number)] == ["success"]  # fmt: skip
    await _assert_agree(market)
