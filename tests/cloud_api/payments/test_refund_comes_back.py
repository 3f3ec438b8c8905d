"""A refund that arrived and came back: the guest is owed it again, and everybody sees it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sqlmodel import select

import cloud_api.ledger.jobs  # noqa: F401  the books hear of money
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.models import AlarmSignal
from cloud_api.ledger.service import holds
from cloud_api.ledger.verify import verify
from cloud_api.orders import cancel, pay, refunds
from cloud_api.orders.models import Order
from cloud_api.payments import service as payments
from cloud_api.staff.permissions import ALL
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House
from tests.support.card_simulators import Cards, running_cards


@pytest.fixture
def cards(clocks: Clocks) -> Iterator[Cards]:
    def now() -> float:
        return clocks.real.timestamp()

    with running_cards(now=now) as running:
        yield running


async def _state(house: House, order: Order, *states: str) -> None:
    async def there() -> bool:
        house.passes(2)
        return {one.state for one in await house.refunds(order)} == set(states)

    await house.run(there)
    await house.quiet()


async def _seen(house: House, order: Order) -> tuple[int, int, bool, dict[str, int]]:
    """Refunded, on its way back, whether an alarm stands, what the books hold of it."""
    again = await house.again(order)
    async with house.cloud.db.read() as session:
        rows = (await session.exec(select(AlarmSignal))).all()
        assert await verify(session, house.shop.merchant.id) == []
        held = await holds(session, f"order:{order.id}")
    books: dict[str, int] = {}
    for (account, _), fen in held.items():
        books[str(account.value)] = books.get(str(account.value), 0) + fen
    alarm = any(row.kind == "refund.refused" and row.active for row in rows)
    return again.refunded_fen, again.refunding_fen, alarm, {k: v for k, v in books.items() if v}


async def test_a_refund_that_the_bank_sends_back_is_owed_again(house: House, cards: Cards) -> None:
    """A Stripe refund "may fail days later": after ``succeeded``. That word was thrown away (the
    state was final): no alarm, nothing to retry, the order and the books said "given back", and the
    guest had nothing. Now it is owed again, rings, and can be asked anew or paid by hand.

    Old news that come late change nothing: the provider is asked which of the two holds.
    """
    credentials = cards.account(currency="cny")
    async with house.cloud.db.write() as session:
        account = await payments.add_account(
            session, merchant_id=house.shop.merchant.id, provider="stripe", name="Stripe",
            credentials=json.dumps(credentials), clocks=house.cloud.clocks,
        )  # fmt: skip
        owner = staff(await make_staff(session, house.shop, house.cloud.clocks.now), ALL)
    path = payments.notify_path("stripe", account.id)
    cards.endpoint(credentials["secret_key"], house.cloud.settings.public_url + path)
    order = await house.order()
    payment = await pay.pay(house.cloud, house.who, order.id, provider="stripe")
    cards.pay(payment.number)

    async def ready() -> bool:
        house.passes(1)
        return (await house.again(order)).status == "ready"

    await house.run(ready)
    async with house.cloud.db.write() as session:
        await cancel.cancel(session, house.who, order.id, house.cloud.clocks)
    await _state(house, order, "succeeded")
    assert await _seen(house, order) == (7600, 0, False, {})

    (refund,) = await house.refunds(order)
    cards.finish(refund.number, "failed")
    await _state(house, order, "failed")
    owed = {"clearing": 7600, "refund_payable": -7600}
    assert await _seen(house, order) == (0, 7600, True, owed)

    cards.faults()
    await refunds.retry(house.cloud, owner, order.id, refund.number, "银行退回来了")
    await _state(house, order, "failed", "succeeded")
    assert await _seen(house, order) == (7600, 0, False, {})

    again = next(one for one in await house.refunds(order) if one.state == "succeeded")
    cards.finish(again.number, "failed")
    await _state(house, order, "failed")
    await refunds.paid_by_hand(
        house.cloud, owner, order.id, again.number, "又退回来了", "转账 20261126-1"
    )
    await _state(house, order, "failed", "by_hand")
    refunded, refunding, alarm, held = await _seen(house, order)
    assert (refunded, refunding, alarm, held["clearing"]) == (7600, 0, False, 7600)
    assert sum(held.values()) == 0
