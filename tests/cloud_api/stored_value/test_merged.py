"""Balances of two members who become one: nothing that is on its way gets lost or stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

import cloud_api.ledger.jobs
import cloud_api.orders.personal
import cloud_api.stored_value.jobs
import cloud_api.stored_value.personal  # noqa: F401  they register their handlers
from cloud_api.auth.models import Account
from cloud_api.kit import merging as kit_merging
from cloud_api.kit.actor import Staff
from cloud_api.kit.repeat import was_given_up
from cloud_api.ledger import verify
from cloud_api.members import merging
from cloud_api.orders import cancel, guests, pay
from cloud_api.payments.models import PaymentAttempt
from cloud_api.staff.permissions import ALL
from cloud_api.stored_value import service, topup
from cloud_api.stored_value.schemas import PlanIn
from tests.cloud_api.factories import make_customer, make_staff, staff
from tests.cloud_api.house import House


async def _topped_up(house: House, *, settled: bool = True) -> tuple[Staff, Account, str]:
    """The guest pays 100 and gets 20 on top; who may merge, into whom, and the payment."""
    cloud = house.cloud
    async with cloud.db.write() as session:
        owner = staff(await make_staff(session, house.shop, house.noon), ALL)
        plan = await topup.put_plan(
            session,
            owner,
            None,
            PlanIn(name="充值", pay_fen=10_000, gift_fen=2_000, gift_days=3),
            cloud.clocks,
        )
        kept = await make_customer(session, house.noon)
        for one in (house.guest, kept):
            await guests.count(session, house.shop.merchant.id, one.id, cloud.clocks)
    _, payment = await topup.buy(
        cloud, house.who, store_id=house.shop.store.id, plan_id=plan.id, provider="cashier"
    )
    house.till.pay(payment.number)

    async def there() -> bool:
        if settled:
            return await _has(house, house.guest) == (10_000, 2_000)
        async with cloud.db.read() as session:
            return (await session.get_one(PaymentAttempt, payment.id)).state == "succeeded"

    await house.run(there)
    return owner, kept, payment.id


@asynccontextmanager
async def _merging(house: House, owner: Staff, kept: Account) -> AsyncIterator[None]:
    """The guest becomes ``kept``, for everybody else only once the block ends."""
    async with house.cloud.db.write() as session:
        await merging.merge(
            session,
            owner,
            house.guest.id,
            kept.id,
            confirm=house.guest.phone_tail,
            why="换了手机号",
            clocks=house.cloud.clocks,
        )
        yield


async def _has(house: House, who: Account) -> tuple[int, int]:
    async with house.cloud.db.read() as session:
        wallet = await service.wallet_of(session, house.shop.merchant.id, who.id)
    return (0, 0) if wallet is None else (wallet.paid_fen, wallet.gift_fen)


async def _sound(house: House) -> None:
    async with house.cloud.db.read() as session:
        assert await verify.verify(session, house.shop.merchant.id) == []


async def test_what_was_paid_before_a_merge_comes_back_after_it(house: House) -> None:
    """The movement of the payment was looked for in the wallet of who stays, and stands in that of who
    went: the refund's job died, and the guest's money was gone. A gift that was used up stayed behind.
    """
    owner, kept, _ = await _topped_up(house)
    order = await house.order()
    await pay.pay(house.cloud, house.who, order.id, provider="balance")
    assert await _has(house, house.guest) == (4_400, 0)
    async with _merging(house, owner, kept):
        pass
    assert await _has(house, kept) == (4_400, 0)
    async with house.cloud.db.write() as session:
        await cancel.cancel_by_staff(session, owner, order.id, "停电", house.cloud.clocks)
    await house.finish_all()
    order = await house.again(order)
    assert (order.refunded_fen, order.refunding_fen) == (7_600, 0)
    assert await _has(house, kept) == (10_000, 2_000)
    assert await _has(house, house.guest) == (0, 0)
    await _sound(house)
    house.passes(4 * 86400)
    await house.quiet()
    assert await _has(house, kept) == (10_000, 0)  # the gift ends where it is now
    await _sound(house)


async def test_a_top_up_that_settles_while_its_member_is_merged_is_of_who_stays(
    house: House,
) -> None:
    """It waited for the wallet of who goes, and filled that one once the merge was through: on
    PostgreSQL, where the payment had been read before.
    """
    owner, kept, payment = await _topped_up(house, settled=False)

    async def settle() -> None:
        async with house.cloud.db.write() as session:
            await topup.settle(session, payment, house.cloud.clocks)

    async with _merging(house, owner, kept):
        settling = asyncio.create_task(settle())
        await _waits(house)
    await settling
    assert await _has(house, house.guest) == (0, 0)
    assert await _has(house, kept) == (10_000, 2_000)
    await house.quiet()  # the job of the same payment finds it done
    assert await _has(house, kept) == (10_000, 2_000)
    await _sound(house)


@pytest.mark.parametrize("in_turn", [True, False], ids=["in turn", "control"])
async def test_a_merge_waits_for_who_gives_money_back_instead_of_crossing_it(
    house: House, monkeypatch: pytest.MonkeyPatch, in_turn: bool
) -> None:
    """It took the balance first and the orders last, and giving back into a balance does the opposite:
    PostgreSQL ended one of the two, a refund that a guest waited for or a merge that somebody had confirmed.
    """
    owner, kept, _ = await _topped_up(house)
    cloud = house.cloud
    order = await house.order()
    await pay.pay(cloud, house.who, order.id, provider="balance")
    if not in_turn:
        monkeypatch.setattr(kit_merging, "TURNS", ())

    begun = asyncio.Event()

    async def give_back() -> None:
        async with cloud.db.write() as session:
            await cancel.cancel_by_staff(session, owner, order.id, "停电", cloud.clocks)
            begun.set()
            await _waits(house)
            guest = house.guest.id
            await service.lock_wallet(session, house.shop.merchant.id, guest, cloud.clocks)

    async def merge() -> None:
        await begun.wait()
        async with _merging(house, owner, kept):
            pass

    ends = await asyncio.gather(give_back(), merge(), return_exceptions=True)
    lost = [one for one in ends if one is not None]
    assert all(isinstance(one, DBAPIError) and was_given_up(one) for one in lost)
    assert len(lost) == (0 if in_turn or cloud.db.is_sqlite else 1)
    if in_turn:
        await house.finish_all()
        assert await _has(house, house.guest) == (0, 0)
        assert await _has(house, kept) == (10_000, 2_000)
        await _sound(house)


async def _waits(house: House) -> None:
    """Until somebody waits for a row's lock; SQLite lets nobody begin meanwhile."""
    if house.cloud.db.is_sqlite:
        return
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    for _ in range(3_000):
        async with house.cloud.db.read() as session:
            if (await session.exec(waiting)).scalar_one():  # type: ignore[call-overload]
                return
        await asyncio.sleep(0.01)
    raise AssertionError("nobody waits")
