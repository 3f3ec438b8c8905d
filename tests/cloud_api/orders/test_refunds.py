"""What staff do about a refund that the provider refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import update
from sqlmodel import select

from cloud_api.audit.models import AuditEntry
from cloud_api.kit.actor import Limits, Staff
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError, NotFound
from cloud_api.kit.models import AlarmSignal
from cloud_api.orders import refunds
from cloud_api.orders.cancel import cancel
from cloud_api.orders.models import Order
from cloud_api.orders.words import word
from cloud_api.payments.models import RefundAttempt
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House


async def refused_order(house: House, state: str = "refused") -> tuple[Order, str]:
    """A cancelled order whose 76 yuan the provider does not give back; and the refund's number."""
    house.till.faults(refund_state=state)
    order = await house.paid_order(in_h=3)
    async with house.cloud.db.write() as session:
        await cancel(session, house.who, order.id, house.cloud.clocks)
    await house.quiet()
    [refund] = await house.refunds(order)
    assert refund.state == ("failed" if state == "refused" else "abnormal")
    return await house.again(order), refund.number


async def clerk(house: House, *permissions: str, limits: Limits | None = None) -> Staff:
    async with house.cloud.db.write() as session:
        member = await make_staff(session, house.shop, house.cloud.clocks.now)
    made = staff(member, frozenset(permissions or {"order.read", "order.refund"}))
    return made if limits is None else replace(made, limits=limits)


async def arrived(house: House, order: Order) -> bool:
    house.passes(1)
    return (await house.again(order)).refunded_fen == 7600


async def alarms(house: House) -> dict[str, bool]:
    async with house.cloud.db.read() as session:
        return {row.kind: row.active for row in (await session.exec(select(AlarmSignal))).all()}


async def test_asked_again_under_another_number_it_arrives(house: House) -> None:
    order, number = await refused_order(house)
    assert await alarms(house) == {"refund.refused": True}
    house.till.faults()
    who = await clerk(house)
    await refunds.retry(house.cloud, who, order.id, number, "对方账户已补足")
    again = await house.again(order)
    assert (again.refunding_fen, again.refunded_fen, word(again)) == (7600, 0, "refunding")
    await house.run(lambda: arrived(house, order))
    again = await house.again(order)
    assert (again.refunding_fen, again.refunded_fen, word(again)) == (0, 7600, "refunded")
    assert {r.number: r.state for r in await house.refunds(order)} == {
        number: "failed",
        f"{number}x2": "succeeded",
    }
    assert await alarms(house) == {"refund.refused": False}
    async with house.cloud.db.read() as session:
        [entry] = (
            await session.exec(select(AuditEntry).where(AuditEntry.action == "refund.retry"))
        ).all()
    assert (entry.by, entry.why) == (who.ref, "对方账户已补足")


async def test_twice_the_same_is_once(house: House) -> None:
    order, number = await refused_order(house)
    who = await clerk(house)
    for _ in range(2):
        await refunds.retry(house.cloud, who, order.id, number, "再试一次")
    await house.quiet()
    assert len(await house.refunds(order)) == 2
    assert (await house.again(order)).refunding_fen == 7600  # refused again: owed once, not twice


async def test_paid_by_hand_with_proof(house: House) -> None:
    order, number = await refused_order(house)
    who = await clerk(house)
    with pytest.raises(KaimenError) as missing:
        await refunds.paid_by_hand(house.cloud, who, order.id, number, "账户注销", " ")
    assert (missing.value.code, missing.value.field) == ("refund.proof", "proof")
    for _ in range(2):
        await refunds.paid_by_hand(
            house.cloud, who, order.id, number, "账户注销", "银行转账 20261123001"
        )
    again = await house.again(order)
    assert (again.refunding_fen, again.refunded_fen, word(again)) == (0, 7600, "refunded")
    with pytest.raises(Conflict) as late:
        await refunds.retry(house.cloud, who, order.id, number, "再试一次")
    assert late.value.code == "refund.not_refused"


async def test_one_that_went_through_after_all_is_not_paid_twice(house: House) -> None:
    order, number = await refused_order(house, "stuck")
    async with house.cloud.db.write() as session:  # we heard that it failed
        await session.exec(update(RefundAttempt).values(state="failed"))
    house.till.set_refund(number, "done")  # and so it did not
    who = await clerk(house)
    with pytest.raises(Conflict) as there:
        await refunds.retry(house.cloud, who, order.id, number, "再试一次")
    assert there.value.code == "refund.not_refused"
    await house.quiet()
    assert (await house.again(order)).refunded_fen == 7600
    assert len(await house.refunds(order)) == 1


async def test_who_may(house: House) -> None:
    order, number = await refused_order(house)
    with pytest.raises(Forbidden):
        await refunds.retry(
            house.cloud, await clerk(house, "order.read"), order.id, number, "再试一次"
        )
    small = await clerk(house, limits=Limits(refund_fen=7599))
    with pytest.raises(KaimenError) as over:
        await refunds.retry(house.cloud, small, order.id, number, "再试一次")
    assert over.value.code == "staff.limit"
    who = await clerk(house)
    with pytest.raises(KaimenError) as wordless:
        await refunds.retry(house.cloud, who, order.id, number, " ")
    assert wordless.value.code == "refund.why"
    with pytest.raises(NotFound):
        await refunds.retry(house.cloud, who, order.id, number + "9", "再试一次")
    with pytest.raises(NotFound):
        await refunds.retry(house.cloud, who, "01NOSUCHORDER", number, "再试一次")
