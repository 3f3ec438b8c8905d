"""What staff do about refunds that a provider refused or is stuck with, whatever was paid for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlmodel import col, select

import cloud_api.groupbuy.jobs
import cloud_api.ledger.jobs
import cloud_api.stored_value.jobs  # noqa: F401  they register their handlers
from cloud_api.audit.models import AuditEntry
from cloud_api.groupbuy import back, campaigns
from cloud_api.groupbuy import buy as groupbuy
from cloud_api.groupbuy.models import GroupOrder
from cloud_api.groupbuy.schemas import CampaignIn
from cloud_api.kit.actor import Limits, Staff
from cloud_api.kit.errors import Conflict, Forbidden, KaimenError, NotFound
from cloud_api.kit.models import AlarmSignal
from cloud_api.ledger.verify import verify
from cloud_api.orders.cancel import cancel
from cloud_api.payments import refund_desk
from cloud_api.payments.models import RefundAttempt
from cloud_api.payments.providers.base import Back, RefundView
from cloud_api.payments.records import record_refund
from cloud_api.staff.permissions import ALL
from cloud_api.stored_value import office, topup
from cloud_api.stored_value.models import Topup
from cloud_api.stored_value.schemas import PayOutIn, PlanIn
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Voucher
from tests.cloud_api.factories import make_staff, make_store, staff
from tests.cloud_api.house import House

Make = Callable[[House, Staff], Awaitable[str]]


async def _owner(house: House) -> Staff:
    async with house.cloud.db.write() as session:
        return staff(await make_staff(session, house.shop, house.cloud.clocks.now), ALL)


async def _of_order(house: House, _owner: Staff) -> str:
    """A cancelled order; what its refund is part of."""
    order = await house.paid_order(in_h=3)
    async with house.cloud.db.write() as session:
        await cancel(session, house.who, order.id, house.cloud.clocks)
    return f"order:{order.id}"


async def _of_group(house: House, owner: Staff) -> str:
    """A voucher bought and given back."""
    cloud, now = house.cloud, house.cloud.clocks.now
    terms = CampaignIn.model_validate(
        {
            "name": "四人三小时",
            "price_fen": 7600,
            "list_fen": 8800,
            "minutes": 180,
            "starts_at": now - timedelta(hours=1),
            "ends_at": now + timedelta(days=30),
            "store_ids": [house.shop.store.id],
        }
    ).model_dump()
    async with cloud.db.write() as session:
        made = await campaigns.create(session, owner, terms, cloud.clocks)
        await campaigns.turn(session, owner, made.id, "published", cloud.clocks)
        order = await groupbuy.buy(session, house.who, made.id, 1, cloud.clocks)
    house.till.pay((await groupbuy.pay(cloud, house.who, order.id, provider="cashier")).number)

    async def issued() -> bool:
        async with cloud.db.read() as session:
            return (await session.get_one(GroupOrder, order.id)).status == "issued"

    await house.run(issued)
    async with cloud.db.write() as session:
        [voucher] = await vouchers.of_source(session, groupbuy.pays(order.id))
        await back.give_back(session, house.who, voucher.id, cloud.clocks)
    return groupbuy.pays(order.id)


async def _of_topup(house: House, owner: Staff) -> str:
    """A balance bought and paid out again."""
    cloud = house.cloud
    async with cloud.db.write() as session:
        plan = await topup.put_plan(
            session, owner, None, PlanIn(name="充 76", pay_fen=7600, gift_fen=0), cloud.clocks
        )
    made, payment = await topup.buy(
        cloud, house.who, store_id=house.shop.store.id, plan_id=plan.id, provider="cashier"
    )
    house.till.pay(payment.number)

    async def done() -> bool:
        async with cloud.db.read() as session:
            return (await session.get_one(Topup, made.id)).state == "done"

    await house.run(done)
    body = PayOutIn(amount_fen=7600, why="会员不来了")
    async with cloud.db.write() as session:
        await office.pay_out(session, owner, house.guest.id, body, cloud.clocks)
    return f"topup:{made.id}"


MAKES: dict[str, Make] = {"order": _of_order, "groupbuy": _of_group, "topup": _of_topup}


async def _refused(house: House, what: str, state: str = "refused") -> tuple[Staff, RefundAttempt]:
    """Something sold and given back, whose 76 yuan the provider does not give; who may see to it."""
    house.till.faults(refund_state=state)
    owner = await _owner(house)
    part_of = await MAKES[what](house, owner)
    await house.quiet()
    async with house.cloud.db.read() as session:
        [found] = await refund_desk.stuck(session, owner)
    assert found.payment.part_of == part_of
    assert found.refund.state == ("failed" if state == "refused" else "abnormal")
    assert await _alarm(house)
    return owner, found.refund


async def _alarm(house: House, what: str = "refund.refused") -> bool:
    async with house.cloud.db.read() as session:
        kind = col(AlarmSignal.kind) == what
        return any(
            row.active for row in (await session.exec(select(AlarmSignal).where(kind))).all()
        )


async def _row(house: House, refund_id: str) -> RefundAttempt:
    async with house.cloud.db.read() as session:
        return await session.get_one(RefundAttempt, refund_id)


async def _over(house: House, owner: Staff) -> None:
    """Nothing is left to see to, the books balance, and what was sold knows it."""
    await house.quiet()
    assert not await _alarm(house)
    async with house.cloud.db.read() as session:
        assert await refund_desk.stuck(session, owner) == []
        assert await verify(session, house.shop.merchant.id) == []
        for order in (await session.exec(select(GroupOrder))).all():
            assert order.refunded_fen == 7600
        for voucher in (await session.exec(select(Voucher))).all():
            assert voucher.state == "refunded"


@pytest.mark.parametrize("what", MAKES)
async def test_asked_again_it_arrives(house: House, what: str) -> None:
    owner, refund = await _refused(house, what)
    house.till.faults()
    first, _payment = await refund_desk.retry(house.cloud, owner, refund.id, "账户已补足")
    again, _payment = await refund_desk.retry(house.cloud, owner, refund.id, "账户已补足")
    assert first.id == again.id  # a second tap is the same
    assert again.number == f"{refund.number}x2"

    async def arrived() -> bool:
        house.passes(1)
        return (await _row(house, again.id)).state == "succeeded"

    await house.run(arrived)
    await _over(house, owner)
    async with house.cloud.db.read() as session:
        acts = select(AuditEntry).where(col(AuditEntry.action) == "refund.retry")
        entry = (await session.exec(acts)).all()[0]
    assert (entry.by, entry.why) == (owner.ref, "账户已补足")
    assert entry.subject.startswith(f"{what}:")


@pytest.mark.parametrize("what", MAKES)
async def test_paid_by_hand_with_proof(house: House, what: str) -> None:
    owner, refund = await _refused(house, what)
    with pytest.raises(KaimenError) as missing:
        await refund_desk.paid_by_hand(house.cloud, owner, refund.id, "账户注销", " ")
    assert (missing.value.code, missing.value.field) == ("refund.proof", "proof")
    with pytest.raises(KaimenError) as silent:
        await refund_desk.paid_by_hand(house.cloud, owner, refund.id, "", "转账 1")
    assert (silent.value.code, silent.value.field) == ("refund.why", "why")
    for _ in range(2):
        await refund_desk.paid_by_hand(house.cloud, owner, refund.id, "账户注销", "银行转账 2611")
    done = await _row(house, refund.id)
    assert (done.state, done.proof) == ("by_hand", "银行转账 2611")
    await _over(house, owner)
    with pytest.raises(Conflict) as late:
        await refund_desk.retry(house.cloud, owner, refund.id, "再试一次")
    assert late.value.code == "refund.not_refused"


async def test_one_that_the_provider_is_stuck_with(house: House) -> None:
    """A dead card: asked again it is the same refund, under its own number; or it is paid by hand."""
    owner, refund = await _refused(house, "topup", "stuck")
    again, _payment = await refund_desk.retry(house.cloud, owner, refund.id, "收款方说处理了")
    assert (again.id, again.state) == (refund.id, "abnormal")
    house.till.set_refund(refund.number, "done")
    again, _payment = await refund_desk.retry(house.cloud, owner, refund.id, "收款方说处理了")
    assert (again.id, again.state) == (refund.id, "succeeded")
    await _over(house, owner)


async def test_one_that_is_stuck_may_be_paid_by_hand_unless_it_went_through(house: House) -> None:
    owner, refund = await _refused(house, "order", "stuck")
    await refund_desk.paid_by_hand(house.cloud, owner, refund.id, "卡已停用", "银行转账 2612")
    assert (await _row(house, refund.id)).state == "by_hand"
    await _over(house, owner)
    assert not await _alarm(house, "refund.twice")
    there = RefundView(Back.SUCCEEDED, refund.number, amount_fen=7600)
    async with house.cloud.db.write() as session:  # and then the bank lets it through after all
        await record_refund(session, refund.id, there, house.cloud.clocks)
    assert await _alarm(house, "refund.twice")  # it was a line in a log
    owner, second = await _refused(house, "topup", "stuck")
    house.till.set_refund(second.number, "done")
    with pytest.raises(Conflict) as went:
        await refund_desk.paid_by_hand(house.cloud, owner, second.id, "卡已停用", "银行转账 2613")
    assert went.value.code == "refund.not_refused"
    assert (await _row(house, second.id)).state == "succeeded"


async def test_paid_by_hand_it_is_not_submitted_as_well(house: House) -> None:
    """Saying that it was paid by hand asked the provider first, and where that knew nothing of the refund the asking
    submitted it: the guest got the money twice. Only asking again submits.
    """
    owner, cloud = await _owner(house), house.cloud
    for in_h, by_hand in ((3, True), (6, False)):
        order = await house.paid_order(in_h=in_h)
        async with cloud.db.write() as session:
            await cancel(session, house.who, order.id, cloud.clocks)
            await session.exec(
                update(RefundAttempt)
                .where(col(RefundAttempt.state) == "created")
                .values(state="abnormal")
            )
        await house.quiet()
        [refund] = await house.refunds(order)
        assert (refund.state, house.till.refunds()) == ("abnormal", {})
        if by_hand:
            await refund_desk.paid_by_hand(cloud, owner, refund.id, "卡已停用", "银行转账 2614")
        else:
            await refund_desk.retry(cloud, owner, refund.id, "收款方说处理了")
        house.passes(3600)
        await house.quiet()
        assert list(house.till.refunds()) == ([] if by_hand else [refund.number])


async def test_who_may(house: House) -> None:
    owner, refund = await _refused(house, "groupbuy")
    cloud = house.cloud
    clerk = replace(owner, permissions=ALL - {"order.refund"})
    with pytest.raises(Forbidden):
        async with cloud.db.read() as session:
            await refund_desk.stuck(session, clerk)
    with pytest.raises(Forbidden):
        await refund_desk.retry(cloud, clerk, refund.id, "再试一次")
    small = replace(owner, limits=Limits(refund_fen=7599))
    with pytest.raises(KaimenError) as much:
        await refund_desk.paid_by_hand(cloud, small, refund.id, "账户注销", "转账 1")
    assert much.value.code == "staff.limit"
    async with cloud.db.write() as session:
        other = await make_store(session, cloud.clocks.now)
        stranger = staff(await make_staff(session, other, cloud.clocks.now), ALL)
    async with cloud.db.read() as session:
        assert await refund_desk.stuck(session, stranger) == []
    with pytest.raises(NotFound):
        await refund_desk.retry(cloud, stranger, refund.id, "再试一次")
    assert (await _row(house, refund.id)).replaced_by is None
