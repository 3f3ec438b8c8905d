"""Money finds whoever sold the thing, and who keeps books hears of it first."""

from __future__ import annotations

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.orders import differences
from cloud_api.orders.sums import recount
from cloud_api.orders.transitions import system_lock
from cloud_api.payments import dispatch
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.records import lock_payment
from cloud_api.payments.transitions import note as note_payment
from tests.cloud_api.house import House


async def test_a_difference_is_collected_counted_and_given_back_in_the_order_it_came(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []

    async def settle(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
        payment = await session.get_one(PaymentAttempt, payment_id)
        order = await system_lock(session, dispatch.ref_of(payment.part_of))
        payment = await lock_payment(session, payment_id)
        if payment.applied is None:
            heard.append("extension")
            await note_payment(session, payment, applied="extension")
            await recount(session, order)

    async def book(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
        heard.append("books")

    monkeypatch.setattr(dispatch, "_kinds", dict(dispatch._kinds))
    monkeypatch.setattr(dispatch, "_observers", {})
    order = await house.paid_order()
    dispatch._kinds.pop("extension", None)
    dispatch.register("extension", settle=settle)
    dispatch.observe("books", settle=book)
    cloud = house.cloud
    async with cloud.db.write() as session:
        locked = await system_lock(session, order.id)
        payment = await differences.collect(
            session,
            cloud,
            locked,
            pays="extension:e1",
            amount_fen=3000,
            subject="续时",
            expires_at=cloud.clocks.now.replace(year=2099),
            provider="cashier",
        )
        again = await differences.collect(
            session,
            cloud,
            locked,
            pays="extension:e1",
            amount_fen=3000,
            subject="续时",
            expires_at=cloud.clocks.now.replace(year=2099),
            provider="cashier",
        )
    assert again.id == payment.id
    assert payment.number == f"{order.number}-E1"
    await payments.begin(cloud, payment.id)
    house.till.pay(payment.number)

    async def counted() -> bool:
        return (await house.again(order)).paid_fen == 7600 + 3000

    await house.run(counted)
    assert heard == ["books", "extension"]
    asked: list[RefundAttempt] = []
    async with cloud.db.write() as session:
        locked = await system_lock(session, order.id)
        for _ in range(2):  # the same giving back twice asks once
            asked = await differences.give_back(
                session, locked, 8000, tag="d1", reason="换小间", by="system", clocks=cloud.clocks
            )
        await recount(session, locked)
    assert [one.amount_fen for one in asked] == [7600, 400]
    assert (await house.again(order)).refunding_fen == 8000
    with pytest.raises(ValueError, match="registered"):
        dispatch.register("extension", settle=book)
