"""I2 One payment, one effect: however often, late or out of order the provider tells us.

Orders are paid, paid twice, paid late, cancelled and refunded at a real cashier whose callbacks come
doubled, under new ids, reordered, badly signed, stale, dropped or with a wrong amount, and whose
answers get lost after the act. In the end: the statuses are ones the table knows, money moved each
order once, and for every order paid = kept + refunded, in our books as in the cashier's.
"""

from __future__ import annotations

import asyncio
import random
from typing import Any

import httpx
import pytest
from sqlmodel import col, select, update

from cloud_api.auth.models import Account
from cloud_api.kit.errors import Conflict
from cloud_api.orders import cancel, money
from cloud_api.orders.models import Order, OrderEvent
from cloud_api.orders.transitions import TABLE
from cloud_api.payments import service as payments
from cloud_api.payments.models import Notification, PaymentAttempt
from tests.cloud_api.factories import make_customer
from tests.cloud_api.house import House


async def _assert_balanced(house: House) -> None:
    """Our books and the cashier's agree, and every change of an order is in the table."""
    async with house.cloud.db.read() as session:
        orders = (await session.exec(select(Order))).all()
        events = (
            await session.exec(
                select(OrderEvent)
                .where(col(OrderEvent.kind) == "status")
                .order_by(col(OrderEvent.seq))
            )
        ).all()
    at_till, back_at_till = house.till.payments(), house.till.refunds()
    for order in orders:
        paid = sum(
            p["amount_fen"]
            for n, p in at_till.items()
            if n.startswith(f"{order.number}-") and p["state"] == "paid"
        )
        back = sum(
            r["amount_fen"]
            for n, r in back_at_till.items()
            if n.startswith(f"{order.number}-") and r["state"] == "done"
        )
        assert order.refunding_fen == 0
        assert (order.paid_fen, order.refunded_fen) == (paid, back), order.number
        kept = order.paid_fen - order.refunded_fen
        expected = order.total_fen if order.status in {"ready", "in_use", "completed"} else 0
        assert kept == expected, f"{order.number} is {order.status} and keeps {kept}"
        status = "pending_payment"
        for event in events:
            if event.order_id == order.id:
                assert event.was == status
                assert event.now in TABLE[status]
                status = str(event.now)
        assert status == order.status
        claim = await house.claim(order)
        assert (claim.state == "released") is (order.status in {"cancelled", "completed"})


@pytest.mark.parametrize(
    "knobs",
    [
        {"notify_duplicate": 4},
        {"notify_again_as_new": 4},
        {"notify_bad_signature": 2},
        {"notify_stale": 2},
        {"notify_drop": -1},
        {"notify_amount_off_fen": -1000},
        {"lose": {"create": 1, "query": 1}},
        {"answer_bad_signature": {"create": 1, "query": 1}},
        {"fail": {"create": 2, "query": 2}},
    ],
    ids="+".join,
)
async def test_whatever_the_provider_does_the_order_is_paid_once(
    house: House, knobs: dict[str, Any]
) -> None:
    house.till.faults(**knobs)
    order = await house.order()
    payment = await house.pay(order)
    for _ in range(5):
        if payment.state == "pending":
            break
        house.passes(5)
        await house.quiet()
        payment = (await house.payments(order))[0]
    house.till.pay(payment.number)

    async def ready() -> bool:
        house.passes(2)
        return (await house.again(order)).status == "ready"

    await house.run(ready)
    await asyncio.sleep(0.3)  # what else the cashier has to say
    house.passes(20)
    await house.finish_all()
    await _assert_balanced(house)
    async with house.cloud.db.read() as session:
        changes = await session.exec(
            select(OrderEvent).where(
                col(OrderEvent.order_id) == order.id, col(OrderEvent.now) == "paid"
            )
        )
        assert len(changes.all()) == 1


async def test_a_second_success_goes_back_in_full_by_itself(house: House) -> None:
    """The first attempt was closed here, yet its money came after the second had paid the order."""
    order = await house.order()
    first = await house.pay(order)
    house.passes(20)
    assert await payments.settle_or_close(house.cloud, first.id) == "closed"
    second = await house.pay(order)
    house.till.pay(second.number)
    await house.until(order, "ready")
    house.till.pay(first.number, late=True)

    async def back() -> bool:
        house.passes(2)
        return (await house.again(order)).refunded_fen > 0

    await house.run(back)
    order = await house.again(order)
    assert (order.status, order.paid_fen, order.refunded_fen) == ("ready", 15200, 7600)
    assert set(house.till.refunds()) == {f"{first.number}-Rdup"}
    await house.finish_all()
    await _assert_balanced(house)


async def test_a_notification_of_anybody_else_is_turned_away(house: House) -> None:
    order = await house.order()
    payment = await house.pay(order)
    body = {
        "id": "N1",
        "merchant": "m1",
        "kind": "payment",
        "payment": {"number": payment.number, "state": "paid", "amount_fen": 7600},
    }
    path = f"/api/v1/payments/cashier/{payment.account_ref}/notify"
    forged = {"Cashier-Nonce": "x", "Cashier-Signature": "AAAA"}
    stamps = (str(int(house.cloud.clocks.real.timestamp())), "9" * 400, "9" * 5000, "soon", "")
    async with httpx.AsyncClient(base_url=house.base_url, trust_env=False) as http:
        bare = await http.post(path, json=body)
        for stamp in stamps:  # a time beyond any number crashed the reading of it
            told = await http.post(path, json=body, headers=forged | {"Cashier-Timestamp": stamp})
            assert told.status_code == 401, stamp[:9]
        nowhere = await http.post("/api/v1/payments/cashier/nobody/notify", json=body)
    assert [bare.status_code, nowhere.status_code] == [401, 404]
    async with house.cloud.db.read() as session:
        assert (await session.exec(select(Notification))).all() == []
    assert (await house.again(order)).status == "pending_payment"


@pytest.mark.parametrize("seed", range(4))
async def test_any_sequence_leaves_the_books_balanced(house: House, seed: int) -> None:
    """Random guests at a random cashier; see the module."""
    dice = random.Random(seed)
    house.till.faults(
        notify_duplicate=dice.randrange(3),
        notify_again_as_new=dice.randrange(2),
        notify_reorder=dice.random() < 0.5,
        notify_bad_signature=dice.randrange(3),
        notify_drop=dice.randrange(3),
        lose={"close": 1, "refund": dice.randrange(3)},
        fail={"query": dice.randrange(4)},
        paid_during_close=dice.randrange(2),
    )
    orders: list[Order] = []
    attempts: list[str] = []
    for _ in range(24):
        act = dice.choice(("order", "pay", "pay", "money", "late", "cancel", "time", "jobs"))
        if act == "order" or not orders:
            async with house.cloud.db.write() as session:
                house.guest = await make_customer(session, house.cloud.clocks.now)
            try:
                room = dice.choice(house.shop.rooms)
                orders.append(await house.order(room=room, in_h=6 + 3 * dice.randrange(2)))
            except Conflict:
                continue
        order = dice.choice(orders)
        async with house.cloud.db.read() as session:
            house.guest = await session.get_one(Account, order.account_id)
        try:
            if act == "pay":
                attempts.append((await house.pay(order)).number)
            elif act in {"money", "late"} and attempts:
                house.till.pay(dice.choice(attempts), late=act == "late")
            elif act == "cancel":
                async with house.cloud.db.write() as session:
                    await cancel.cancel(session, house.who, order.id, house.cloud.clocks)
            elif act == "time":
                house.passes(dice.choice((3, 60, 601)))
            elif act == "jobs":
                await house.quiet()
        except (Conflict, httpx.HTTPStatusError):
            continue
    house.till.faults()
    house.passes(700)
    await house.finish_all(rounds=60)
    await asyncio.sleep(0.3)
    await house.finish_all(rounds=60)
    await _assert_balanced(house)


async def test_control_a_payment_applied_twice_is_seen(house: House) -> None:
    """The negative control: forget that the money was applied, and the books are found wrong."""
    order = await house.paid_order()
    await house.finish_all()
    await _assert_balanced(house)
    async with house.cloud.db.write() as session:
        await session.exec(update(PaymentAttempt).values(applied=None))
    payment = (await house.payments(order))[0]
    async with house.cloud.db.write() as session:
        await money.settle(session, payment.id, house.cloud.clocks)
    assert (await house.again(order)).refunding_fen == 7600
    with pytest.raises(AssertionError):
        await _assert_balanced(house)


async def test_control_the_same_money_told_four_times_was_really_told_four_times(
    house: House,
) -> None:
    """The control for duplicates: four different messages of success did come in, and one counted."""
    house.till.faults(notify_again_as_new=3)
    order = await house.paid_order()

    async def all_told() -> bool:
        async with house.cloud.db.read() as session:
            rows = (await session.exec(select(Notification))).all()
        told = [row.body["about"]["state"] for row in rows if row.handled_at is not None]
        return told == ["succeeded"] * 4

    await house.run(all_told)
    assert (await house.again(order)).paid_fen == 7600
