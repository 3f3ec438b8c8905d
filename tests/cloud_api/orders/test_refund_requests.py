"""A guest asks for money back, staff decide within their limit; deposits are held, claimed, returned; cash."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlmodel.ext.asyncio.session import AsyncSession

import cloud_api.ledger.jobs
import cloud_api.stored_value.jobs  # noqa: F401  registers its handlers
from cloud_api.kit.actor import Limits, Staff
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.ledger import cash, verify
from cloud_api.members.profiles import profile_of
from cloud_api.orders import (
    books,
    deposit_claims,
    deposits,
    desk,
    refund_requests,
    refund_rules,
    store_events,
)
from cloud_api.orders.models import Deposit, Order
from cloud_api.staff.permissions import ALL
from tests.cloud_api.factories import make_staff, staff
from tests.cloud_api.house import House


async def _staff(house: House, limit: int | None = None) -> Staff:
    async with house.cloud.db.write() as session:
        return await _staff_in(session, house, limit)


async def _staff_in(session: AsyncSession, house: House, limit: int | None) -> Staff:
    member = staff(await make_staff(session, house.shop, house.noon), ALL)
    limits = Limits(refund_fen=limit)
    return Staff(**{f: getattr(member, f) for f in member.__slots__} | {"limits": limits})


async def _used(house: House, order: Order) -> Order:
    house.passes(30 * 3600)
    async with house.cloud.db.write() as session:
        await store_events.complete_forgotten(session, order.id, house.cloud.clocks)
    return await house.again(order)


async def _sound(house: House) -> None:
    async with house.cloud.db.read() as session:
        assert await verify.verify(session, house.shop.merchant.id) == []


async def test_a_request_is_reviewed_within_limits_and_part_of_it_goes_back(house: House) -> None:
    order = await _used(house, await house.paid_order())
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        with pytest.raises(KaimenError) as why:
            await refund_requests.ask(session, house.who, order.id, " ", None, clocks)
        assert why.value.field == "why"
        asked = await refund_requests.ask(session, house.who, order.id, "空调坏了", None, clocks)
        twice = await refund_requests.ask(session, house.who, order.id, "空调坏了", None, clocks)
    assert (asked.id, asked.asked_fen) == (twice.id, 7_600)
    assert asked.proposal_text == "门店没有看到有人进门"
    small, big = await _staff(house, 5_000), await _staff(house)
    async with house.cloud.db.write() as session:
        with pytest.raises(KaimenError) as limit:
            await refund_requests.approve(session, small, asked.id, 6_000, "协商", clocks)
        assert limit.value.code == "staff.limit"
        await refund_requests.pass_up(session, small, asked.id, "超过我的额度", clocks)
        with pytest.raises(KaimenError) as part:
            await refund_requests.approve(session, big, asked.id, 6_000, "", clocks)
        assert part.value.code == "refund.why"
        done = await refund_requests.approve(session, big, asked.id, 6_000, "协商", clocks)
        with pytest.raises(Conflict):
            await refund_requests.decline(session, big, asked.id, "不行", clocks)
    assert (done.state, done.approved_fen) == ("approved", 6_000)
    assert (await house.again(order)).refunding_fen == 6_000
    await house.finish_all()
    order = await house.again(order)
    assert (order.status, order.refunded_fen, order.refunding_fen) == ("completed", 6_000, 0)
    await house.quiet()
    async with (
        house.cloud.db.read() as session
    ):  # a refund moved no status: it was counted as spent
        profile = await profile_of(session, order.merchant_id, order.account_id)
    assert profile is not None
    assert profile.spent_fen == 1_600
    async with (
        house.cloud.db.write() as session
    ):  # somebody who may approve nothing asks for a guest
        clerk = await _staff_in(session, house, 0)
        theirs = await refund_requests.ask_for(session, clerk, order.id, "客人来电", 600, clocks)
        again = await refund_requests.ask_for(session, clerk, order.id, "客人来电", 600, clocks)
        assert (again.id, theirs.asked_fen, theirs.account_id) == (theirs.id, 600, order.account_id)
        with pytest.raises(KaimenError) as none:
            await refund_requests.approve(session, clerk, theirs.id, 600, "", clocks)
        assert none.value.code == "staff.limit"
        await refund_requests.decline(session, big, theirs.id, "已退过一次", clocks)
    async with house.cloud.db.write() as session:  # what is left can be asked for, once more
        more = await refund_requests.ask(session, house.who, order.id, "还是不满意", None, clocks)
        assert more.asked_fen == 1_600
        await refund_requests.decline(session, big, more.id, "已退过一次", clocks)
    await _sound(house)


async def test_approving_before_the_start_cancels_the_order(house: House) -> None:
    order = await house.paid_order()
    who = await _staff(house)
    async with house.cloud.db.write() as session:
        asked = await refund_requests.ask(
            session, house.who, order.id, "来不了", None, house.cloud.clocks
        )
        await refund_requests.approve(session, who, asked.id, 7_600, "", house.cloud.clocks)
    await house.finish_all()
    order = await house.again(order)
    assert (order.status, order.refunded_fen) == ("cancelled", 7_600)
    assert (await house.claim(order)).state == "released"
    assert house.revoked == [order.id]
    await _sound(house)


def test_the_rule_proposes_what_was_not_used() -> None:
    start = datetime.fromisoformat("2026-11-23T10:00:00+00:00")
    order = Order(
        merchant_id="m",
        store_id="s",
        room_id="r",
        account_id="a",
        claim_id="c",
        quote_id="q",
        number="n",
        hold_expires_at=start,
        created_at=start,
        status="completed",
        starts_at=start,
        ends_at=start + timedelta(hours=4),
        entered_at=start,
        ended_at=start + timedelta(hours=1),
        total_fen=16_000,
        paid_fen=16_000,
        refunded_fen=0,
        refunding_fen=0,
    )
    assert refund_rules.propose(order, start).amount_fen == 12_000
    order.ended_at = order.ends_at
    assert refund_rules.propose(order, start).amount_fen == 0


async def _deposit(house: House, order: Order) -> Deposit:
    async with house.cloud.db.read() as session:
        found = await books.deposit_of(session, order.id)
    assert found is not None
    return found


async def _with_deposit(house: House, fen: int = 10_000) -> Staff:
    who = await _staff(house)
    async with house.cloud.db.write() as session:
        await deposits.put_rule(
            session, who, house.shop.store.id, None, fen, 30, house.cloud.clocks
        )
    return who


async def test_a_deposit_is_paid_with_the_order_and_comes_back_by_itself(house: House) -> None:
    await _with_deposit(house)
    order = await house.paid_order()
    assert (order.paid_fen, (await house.payments(order))[0].amount_fen) == (7_600, 17_600)
    assert (await _deposit(house, order)).state == "held"
    await _sound(house)
    order = await _used(house, order)
    house.passes(31 * 60)
    await house.finish_all()
    deposit = await _deposit(house, order)
    assert (deposit.state, deposit.returned_fen) == ("settled", 10_000)
    order = await house.again(order)
    assert (order.paid_fen, order.refunded_fen) == (7_600, 0)  # the price was not refunded
    assert [r.amount_fen for r in await house.refunds(order)] == [10_000]
    await _sound(house)


async def test_damage_is_claimed_disputed_and_decided_by_somebody_else(house: House) -> None:
    who, boss = await _with_deposit(house), await _staff(house)
    order = await _used(house, await house.paid_order())
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        with pytest.raises(KaimenError) as photo:
            await deposit_claims.claim(session, who, order.id, 3_000, "桌面烫坏", "", clocks)
        assert photo.value.code == "deposit.photo"
        with pytest.raises(Conflict) as much:
            await deposit_claims.claim(session, who, order.id, 10_001, "桌面烫坏", "p/1", clocks)
        assert much.value.extra["held_fen"] == 10_000
        first = await deposit_claims.claim(session, who, order.id, 3_000, "桌面烫坏", "p/1", clocks)
        second = await deposit_claims.claim(
            session, who, order.id, 2_000, "杯子碎了", "p/2", clocks
        )
        await deposit_claims.object_to(session, house.who, order.id, first.id, "本来就坏了", clocks)
        with pytest.raises(Conflict) as own:
            await deposit_claims.decide(session, who, order.id, first.id, True, "看得出", clocks)
        assert own.value.code == "deposit.own_claim"
        await deposit_claims.decide(session, boss, order.id, first.id, False, "说得对", clocks)
    house.passes(25 * 3600)  # nobody objects to the second
    await house.finish_all()
    await house.finish_all()
    deposit = await _deposit(house, order)
    assert (deposit.state, deposit.damage_fen, deposit.returned_fen) == ("settled", 2_000, 8_000)
    assert second.amount_fen == 2_000
    await _sound(house)


async def test_a_cancelled_order_gives_its_deposit_back_too(house: House) -> None:
    who = await _with_deposit(house)
    order = await house.paid_order()
    async with house.cloud.db.write() as session:
        asked = await refund_requests.ask(
            session, house.who, order.id, "来不了", 5_000, house.cloud.clocks
        )
        await refund_requests.approve(session, who, asked.id, 5_000, "", house.cloud.clocks)
    await house.finish_all()
    order = await house.again(order)
    assert (order.status, order.refunded_fen) == ("cancelled", 5_000)
    assert sorted(r.amount_fen for r in await house.refunds(order)) == [5_000, 10_000]
    await _sound(house)


async def test_cash_at_the_desk_moves_the_order_and_is_handed_back(house: House) -> None:
    who, clocks = await _staff(house), house.cloud.clocks
    order = await house.order()
    await house.pay(order)  # an attempt is open; the guest pays cash instead
    async with house.cloud.db.write() as session:
        await desk.take_cash(session, who, order.id, "微信付不了", clocks)
        assert await cash.expected(session, house.shop.store.id) == 7_600
    order = await house.again(order)
    assert (order.status, order.paid_fen) == ("ready", 7_600)
    async with house.cloud.db.write() as session:
        asked = await refund_requests.ask(session, house.who, order.id, "来不了", None, clocks)
        await refund_requests.approve(session, who, asked.id, 7_600, "", clocks)
    await house.finish_all()
    refund = (await house.refunds(order))[0]
    assert refund.state == "submitted"  # until somebody hands it over
    async with house.cloud.db.write() as session:
        for _ in range(2):
            await desk.hand_back(session, who, order.id, refund.number, "退给本人", clocks)
    await house.finish_all()
    assert (await house.again(order)).refunded_fen == 7_600
    async with house.cloud.db.read() as session:
        assert await cash.expected(session, house.shop.store.id) == 0
    await _sound(house)
