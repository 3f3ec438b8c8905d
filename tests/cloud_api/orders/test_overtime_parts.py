"""Overtime is taken from the deposit, then from the balance, as far as each reaches; the rest is due."""

from __future__ import annotations

import pytest

import cloud_api.ledger.jobs
import cloud_api.stored_value.jobs  # noqa: F401  they register their handlers
from cloud_api.kit.errors import Conflict
from cloud_api.ledger.verify import verify
from cloud_api.orders import deposits, desk
from cloud_api.orders.books import deposit_of
from cloud_api.staff.permissions import ALL
from cloud_api.stored_value import office, service
from cloud_api.stored_value.schemas import AdjustIn
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House
from tests.cloud_api.orders.test_overtime import charges, rule, shown, stayed

COSTS = 1200  # 19 minutes at ¥6 the begun quarter


@pytest.mark.parametrize(
    ("deposit", "balance", "from_deposit", "from_balance"),
    [(500, 0, 500, 0), (500, 300, 500, 300), (500, 5000, 500, 700), (2000, 5000, 1200, 0)],
)
async def test_deposit_then_balance_then_due(
    house: House, deposit: int, balance: int, from_deposit: int, from_balance: int
) -> None:
    cloud, clocks = house.cloud, house.cloud.clocks
    await rule(house)
    async with cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, clocks.now), ALL)
        await deposits.put_rule(session, owner, house.shop.store.id, None, deposit, 30, clocks)
        if balance:
            body = AdjustIn(store_id=house.shop.store.id, amount_fen=balance, why="开业送的")
            await office.adjust(session, owner, house.guest.id, body, clocks)
    order = await stayed(house)  # told twice: charged once
    left = COSTS - from_deposit - from_balance

    async def books() -> tuple[int, int, list[str]]:
        async with cloud.db.read() as session:
            held = await deposit_of(session, order.id)
            wallet = await service.wallet_of(session, order.merchant_id, house.guest.id)
            wrong = await verify(session, order.merchant_id)
        return (
            held.overtime_fen if held is not None else 0,
            balance - wallet.total_fen if wallet is not None else 0,
            wrong,
        )

    await house.quiet()
    assert await books() == (from_deposit, from_balance, [])
    [owed] = await charges(house)
    assert (owed.state, owed.owed_fen) == ("due" if left else "paid", left)
    assert owed.covered_fen == COSTS - left
    told = await shown(house, order)
    assert told.overtime is not None
    assert told.to_pay_fen == left
    assert [event.kind for event in told.events if "overtime" in event.kind] == [
        *(["overtime_from_deposit"] if from_deposit else []),
        *(["overtime_from_balance"] if from_balance else []),
        *(["overtime_due"] if left else []),
    ]
    if not left:
        assert (await house.order(in_h=40)).status == "pending_payment"
        return
    assert "已扣" in told.overtime.text
    with pytest.raises(Conflict) as refused:
        await house.order(in_h=30)
    assert refused.value.code == "order.overtime_due"
    assert refused.value.extra["amount_fen"] == left
    if from_balance:
        async with cloud.db.write() as session:
            await desk.take_cash(session, owner, order.id, "在店里付了", clocks)
    else:
        payment = await house.pay(order)
        assert payment.amount_fen == left
        house.till.pay(payment.number)

    async def settled() -> bool:
        return (await charges(house))[0].state == "paid"

    await house.run(settled)
    await house.quiet()
    assert await books() == (from_deposit, from_balance, [])
    assert (await house.order(in_h=40)).status == "pending_payment"
