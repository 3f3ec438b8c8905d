"""Cards through the whole of the cloud: the order, the notification's door, refunds; on both databases.

The gateways are real servers that sign; what they say wrongly, late or twice moves money at most once.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.orders import pay
from cloud_api.orders.models import Order
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt, ProviderAccount
from cloud_api.payments.providers.unionpay.bill import order_id
from cloud_api.payments.providers.unionpay.gateway import back_url
from tests.cloud_api.house import House
from tests.support.card_simulators import Cards, Gateway, running_cards, running_gateway


@pytest.fixture
def bank(clocks: Clocks) -> Iterator[Gateway]:
    def now() -> float:
        return clocks.real.timestamp()

    with running_gateway(now=now) as running:
        yield running


@pytest.fixture
def cards(clocks: Clocks) -> Iterator[Cards]:
    def now() -> float:
        return clocks.real.timestamp()

    with running_cards(now=now) as running:
        yield running


async def _account(house: House, provider: str, credentials: dict[str, Any]) -> ProviderAccount:
    async with house.cloud.db.write() as session:
        return await payments.add_account(
            session,
            merchant_id=house.shop.merchant.id,
            provider=provider,
            name=provider,
            credentials=json.dumps(credentials),
            clocks=house.cloud.clocks,
        )


@pytest.fixture
async def house(bank: Gateway, cards: Cards, house: House) -> House:
    await _account(house, "unionpay", bank.account())
    credentials = cards.account(currency="cny")
    account = await _account(house, "stripe", credentials)
    path = payments.notify_path("stripe", account.id)
    cards.endpoint(credentials["secret_key"], house.cloud.settings.public_url + path)
    return house


async def _open(house: House, order: Order, provider: str) -> PaymentAttempt:
    return await pay.pay(house.cloud, house.who, order.id, provider=provider)


async def _submitted(house: House, bank: Gateway, order: Order) -> PaymentAttempt:
    payment = await _open(house, order, "unionpay")
    assert payment.step is not None
    page = bank.submit(payment.step["url"], payment.step["fields"])
    assert page.status_code == 200, page.text
    return payment


async def test_unionpay_tells_us_twice_and_in_vain_lies(house: House, bank: Gateway) -> None:
    """Signed wrongly, by a stranger, about another merchant; then truly, three times."""
    order = await house.order()
    payment = await _submitted(house, bank, order)
    assert payment.state == "pending"
    bank.faults(
        notify_bad_signature=1, notify_stranger=1, notify_wrong_merchant=1, notify_duplicate=2
    )
    bank.pay(order_id(payment.number))

    async def told() -> bool:
        house.passes(1)  # the ladder of notifications goes by their clock, which is ours
        return (await house.again(order)).status == "ready"

    await house.run(told)
    (attempt,) = await house.payments(order)
    assert (attempt.state, attempt.applied) == ("succeeded", "order")
    assert attempt.provider_txn is not None
    await house.quiet()
    assert len(await house.payments(order)) == 1
    assert (await house.again(order)).paid_fen == order.total_fen


async def test_without_a_notification_the_watch_asks(house: House, bank: Gateway) -> None:
    order = await house.order()
    payment = await _submitted(house, bank, order)
    bank.faults(notify_drop=-1, unclear=1)
    bank.pay(order_id(payment.number))

    async def ready() -> bool:
        house.passes(3)
        return (await house.again(order)).status == "ready"

    await house.run(ready)


async def test_another_way_only_once_the_first_can_never_be_paid(
    house: House, bank: Gateway
) -> None:
    """UnionPay cannot close: until its five minutes are over, the API says so and opens nothing."""
    order = await house.order()
    payment = await _submitted(house, bank, order)
    assert payment.expires_at < order.hold_expires_at
    with pytest.raises(Conflict) as elsewhere:
        await _open(house, order, "stripe")
    assert elsewhere.value.code == "payment.pending_elsewhere"
    with pytest.raises(Conflict) as refused:
        await pay.close(house.cloud, house.who, order.id)
    assert refused.value.code == "payment.not_closed"
    assert refused.value.extra["until"] == payment.expires_at.isoformat()
    house.passes(6 * 60)
    await pay.close(house.cloud, house.who, order.id)
    assert (await house.payments(order))[0].state in {"closed", "failed"}
    second = await _open(house, order, "stripe")
    assert (second.state, second.provider) == ("pending", "stripe")
    await pay.close(house.cloud, house.who, order.id)  # Stripe can, at once
    assert [one.state for one in await house.payments(order)][1] == "closed"
    again = await house.pay(order)
    assert again.provider == "cashier"


async def test_paid_in_the_moment_of_changing_ones_mind(house: House, bank: Gateway) -> None:
    order = await house.order()
    payment = await _submitted(house, bank, order)
    bank.faults(notify_drop=-1)
    bank.pay(order_id(payment.number))
    await pay.close(house.cloud, house.who, order.id)
    assert (await house.again(order)).status == "ready"


async def test_a_card_payment_is_refunded_where_it_came_from(house: House, bank: Gateway) -> None:
    order = await house.order()
    payment = await _submitted(house, bank, order)
    bank.pay(order_id(payment.number))

    async def ready() -> bool:
        return (await house.again(order)).status == "ready"

    await house.run(ready)
    async with house.cloud.db.write() as session:
        await payments.ask_refund(
            session, payment.id, tag="a", amount_fen=1000, reason="测试", clocks=house.cloud.clocks
        )

    async def back() -> bool:
        house.passes(2)
        (refund,) = await house.refunds(order)
        return refund.state == "succeeded"

    await house.run(back)
    trade = bank.trades()[order_id(f"{payment.number}-Ra")]
    assert (trade["kind"], trade["amount_fen"], trade["code"]) == ("04", 1000, "00")


async def test_stripe_pays_an_order_and_its_event_is_believed_once(
    house: House, cards: Cards
) -> None:
    order = await house.order()
    payment = await _open(house, order, "stripe")
    assert payment.step is not None
    assert payment.step["kind"] == "redirect"
    cards.faults(notify_bad_signature=1, notify_stale=1, notify_other_mode=1, notify_duplicate=1)
    cards.pay(payment.number)

    async def ready() -> bool:
        house.passes(1)
        return (await house.again(order)).status == "ready"

    await house.run(ready)
    (attempt,) = await house.payments(order)
    assert str(attempt.provider_txn).startswith("pi_")


async def test_changed_notifications_move_nothing(house: House, bank: Gateway) -> None:
    """What UnionPay really sent, with one field changed, posted to the open door by anybody."""
    order = await house.order()
    payment = await _submitted(house, bank, order)
    account = payment.account_ref
    door = house.cloud.settings.public_url + payments.notify_path("unionpay", account)
    answer = bank.http.post(
        "/gateway/api/queryTrans.do", data={"merId": "777290058110097", "orderId": "x" * 9}
    )
    told = dict(part.partition("=")[::2] for part in answer.text.split("&"))
    forged = told | {
        "txnType": "01",
        "orderId": order_id(payment.number),
        "respCode": "00",
        "txnAmt": str(payment.amount_fen),
        "queryId": "1" * 21,
    }
    async with httpx.AsyncClient(trust_env=False) as http:
        for body in (forged, {}, {"signature": "x"}):
            got = await http.post(door, data=body)
            assert got.status_code == 400
    await house.quiet()
    assert [one.state for one in await house.payments(order)] == ["pending"]


async def test_amounts_beyond_the_limits_are_refused_by_name(house: House) -> None:
    async with house.cloud.db.write() as session:
        for account in await payments.accounts_of(session, house.shop.store, "stripe"):
            account.max_fen = 100
            session.add(account)
    order = await house.order()
    with pytest.raises(KaimenError) as refused:
        await _open(house, order, "stripe")
    assert (refused.value.code, refused.value.extra["max_fen"]) == ("payment.amount", 100)


def test_the_way_back_is_a_page_of_ours() -> None:
    url = urlsplit(back_url("https://shop.test/orders/1/pay"))
    assert (url.path, parse_qs(url.query)) == ("/pay/back", {"to": ["/orders/1/pay"]})
