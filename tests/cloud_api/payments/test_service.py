"""Calls around the transactions: numbers first, the same number again, refunds that cannot exceed."""

from __future__ import annotations

import json

import pytest

from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.payments import service as payments
from cloud_api.payments.models import RefundAttempt
from cloud_api.payments.providers.cashier import CashierAccount
from tests.cloud_api.house import House


async def test_the_number_is_in_the_books_before_the_provider_hears_it(house: House) -> None:
    """The answer to the first call is lost: the retry uses the number that was written before it."""
    house.till.faults(lose={"create": 1})
    order = await house.order()
    payment = await house.pay(order)
    assert payment.state == "unknown"
    assert list(house.till.payments()) == [payment.number]
    again = await house.pay(order)
    assert (again.number, again.state) == (payment.number, "pending")
    assert list(house.till.payments()) == [payment.number]


async def test_a_bad_signature_on_an_answer_is_no_answer(house: House) -> None:
    house.till.faults(answer_bad_signature={"create": -1})
    order = await house.order()
    assert (await house.pay(order)).state == "unknown"


async def test_a_payment_that_never_reached_the_provider_is_begun_by_the_watch(
    house: House,
) -> None:
    house.till.faults(fail={"create": 1})
    order = await house.order()
    assert (await house.pay(order)).state == "unknown"
    house.passes(3)
    await house.quiet()
    assert [p.state for p in await house.payments(order)] == ["pending"]


async def test_refunds_of_a_payment_never_exceed_it(house: House) -> None:
    order = await house.paid_order()
    payment = (await house.payments(order))[0]

    async def ask(tag: str, fen: int) -> RefundAttempt:
        async with house.cloud.db.write() as session:
            return await payments.ask_refund(
                session,
                payment.id,
                tag=tag,
                amount_fen=fen,
                reason="test",
                clocks=house.cloud.clocks,
            )

    first = await ask("a", 5000)
    assert (await ask("a", 5000)).id == first.id
    with pytest.raises(Conflict) as refused:
        await ask("b", 2601)
    assert refused.value.code == "refund.too_much"
    assert (await ask("b", 2600)).amount_fen == 2600


async def test_nothing_is_given_back_of_what_was_not_paid(house: House) -> None:
    order = await house.order()
    payment = await house.pay(order)
    async with house.cloud.db.write() as session:
        with pytest.raises(Conflict) as refused:
            await payments.ask_refund(
                session,
                payment.id,
                tag="1",
                amount_fen=1,
                reason="",
                clocks=house.cloud.clocks,
            )
    assert refused.value.code == "refund.not_paid"


async def test_a_wrong_amount_in_the_providers_own_books_is_left_to_a_person(
    house: House,
) -> None:
    house.till.faults(query_amount_off_fen=-1, notify_amount_off_fen=-1)
    order = await house.order()
    payment = await house.pay(order)
    house.till.pay(payment.number)

    async def noticed() -> bool:
        found = (await house.payments(order))[0]
        return "amount differs" in (found.last_error or "")

    await house.run(noticed)
    assert (await house.payments(order))[0].state == "unknown"
    assert (await house.again(order)).status == "pending_payment"
    house.passes(700)
    await house.quiet()
    assert (await house.claim(order)).state == "held"  # not knowing keeps the room


async def test_an_unknown_provider_is_refused(house: House) -> None:
    async with house.cloud.db.write() as session:
        with pytest.raises(KaimenError) as refused:
            await payments.add_account(
                session,
                merchant_id=house.shop.merchant.id,
                provider="beads",
                name="",
                credentials="{}",
                clocks=house.cloud.clocks,
            )
    assert refused.value.code == "payment.unknown_provider"


async def test_credentials_name_what_is_missing(house: House) -> None:
    with pytest.raises(ValueError, match="cashier_key"):
        CashierAccount.model_validate_json(
            json.dumps({"base_url": "http://x", "merchant": "m", "private_key": "00"})
        )
