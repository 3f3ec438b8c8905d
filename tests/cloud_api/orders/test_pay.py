"""Paying an order through the real cashier."""

from __future__ import annotations

import asyncio

import pytest

from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.orders import pay
from cloud_api.payments import service as payments
from tests.cloud_api.house import House


async def test_paying_makes_an_order_ready(house: House) -> None:
    order = await house.order()
    assert (order.status, order.total_fen) == ("pending_payment", 7600)
    payment = await house.pay(order)
    assert payment.state == "pending"
    assert payment.redirect_url is not None

    page = house.till.page(payment.redirect_url)
    assert page.status_code == 200
    assert "76" in page.text
    assert "竹间" in page.text
    pressed = house.till.page(payment.redirect_url, "pay")
    assert pressed.status_code == 303
    assert pressed.headers["location"] == f"{house.base_url}/orders/{order.id}/pay"

    order = await house.until(order, "ready")
    assert (order.paid_fen, order.refunded_fen, order.refunding_fen) == (7600, 0, 0)
    assert (await house.claim(order)).state == "confirmed"
    await house.quiet()
    assert house.granted == [order.id]


async def test_two_taps_open_one_payment(house: House) -> None:
    order = await house.order()
    first, second = await asyncio.gather(house.pay(order), house.pay(order))
    assert first.number == second.number
    assert list(house.till.payments()) == [first.number]


async def test_a_paid_order_cannot_be_paid_again(house: House) -> None:
    order = await house.paid_order()
    with pytest.raises(Conflict) as refused:
        await house.pay(order)
    assert refused.value.code == "order.not_payable"


async def test_after_a_closed_attempt_there_is_a_new_one_with_a_new_number(house: House) -> None:
    order = await house.order()
    first = await house.pay(order)
    house.passes(20)
    assert await payments.settle_or_close(house.cloud, first.id) == "closed"
    second = await house.pay(order)
    assert second.number == f"{order.number}-2"
    house.till.pay(second.number)
    assert (await house.until(order, "ready")).paid_fen == 7600


async def test_back_from_the_page_asks_at_once(house: House) -> None:
    """The callback was lost; the guest is back and must not be told to pay again."""
    house.till.faults(notify_drop=-1)
    order = await house.order()
    payment = await house.pay(order)
    house.till.pay(payment.number)
    await pay.check(house.cloud, house.who, order.id)
    assert (await house.again(order)).status == "ready"


async def test_a_lost_callback_is_made_up_for_by_asking(house: House) -> None:
    house.till.faults(notify_drop=-1)
    order = await house.order()
    payment = await house.pay(order)
    house.till.pay(payment.number)
    await house.quiet()
    assert (await house.again(order)).status == "pending_payment"
    house.passes(3)
    await house.quiet()
    assert (await house.again(order)).status == "ready"


@pytest.mark.parametrize("path", ["https://evil.test/", "//evil.test", "orders", "/\\evil"])
async def test_the_way_back_is_on_this_site(house: House, path: str) -> None:
    order = await house.order()
    with pytest.raises(KaimenError) as refused:
        await pay.pay(house.cloud, house.who, order.id, provider="cashier", return_path=path)
    assert refused.value.code == "pay.return_path"
