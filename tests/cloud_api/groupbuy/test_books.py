"""What vouchers owe is what the books say, at every step (I9)."""

from __future__ import annotations

import asyncio

from sqlmodel import col, select

from cloud_api.groupbuy import back, books, redeem
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.providers.base import Back, RefundView
from cloud_api.payments.records import foreign_refund, record_refund
from cloud_api.vouchers.models import Voucher
from tests.cloud_api.factories import customer
from tests.cloud_api.groupbuy.conftest import Club
from tests.cloud_api.orders import test_refund_wait as store
from tests.support.statements import statements


async def test_a_voucher_is_owed_until_it_is_used_or_given_back(club: Club) -> None:
    campaign = await club.campaign(valid_days=10)
    guest = club.people[0]
    used, returned, kept = await club.bought(campaign, guest, 3)
    assert await club.balanced() == {"clearing": 17400, "voucher": 17400}
    async with club.cloud.db.write() as session:
        done = await redeem.redeem(
            session,
            club.owner,
            voucher_id=used.id,
            room_id=club.house.shop.room.id,
            clocks=club.cloud.clocks,
        )
    assert await club.balanced() == {"clearing": 17400, "voucher": 11600, "revenue.voucher": 5800}
    async with club.cloud.db.write() as session:
        await redeem.undo(session, club.owner, done.redemption.id, "开错了", club.cloud.clocks)
    await store.nobody_went_in(club.house, done.order)
    assert await club.balanced() == {"clearing": 17400, "voucher": 17400}
    async with club.cloud.db.write() as session:
        await back.give_back(session, customer(guest), returned.id, club.cloud.clocks)
    for _ in range(40):
        if "refund_payable" not in await club.balanced():
            break
        club.house.passes(60)
        await asyncio.sleep(0.05)
    assert await club.balanced() == {"clearing": 11600, "voucher": 11600}
    del kept


async def test_the_books_of_many_purchases_are_looked_at_together(club: Club) -> None:
    """The nightly look costs by the five hundred, not by the purchase; what is off is found all the same."""
    campaign, cost = await club.campaign(), []
    merchant = club.house.shop.merchant.id
    for more in (1, 3):
        for _ in range(more):
            await club.bought(campaign, club.people[0])
        await club.house.quiet()
        async with club.cloud.db.snapshot() as session:
            with statements(club.cloud.db) as told:
                assert await books.check(session, merchant) == []
        cost.append(len([one for one in told if not one.startswith("BEGIN")]))
    assert cost[0] == cost[1] <= 6
    async with club.cloud.db.write() as session:
        (first, *_rest) = (await session.exec(select(Voucher).order_by(col(Voucher.id)))).all()
        first.value_fen -= 1
        session.add(first)
    async with club.cloud.db.snapshot() as session:
        found = await books.check(session, merchant)
    assert sorted(one.partition(": ")[2] for one in found) == [
        "advance is off by -1",
        "voucher is off by 1",
    ]


async def test_what_expires_without_a_refund_is_revenue(club: Club) -> None:
    campaign = await club.campaign(valid_days=2, refund_on_expiry=False)
    await club.bought(campaign, club.people[0])
    club.house.passes(2 * 86400 + 1)
    assert await club.balanced() == {"clearing": 5800, "revenue.voucher_expired": 5800}


async def test_a_team_that_forms_is_an_advance(club: Club) -> None:
    campaign = await club.campaign(team_size=2)
    order = await club.buy(campaign, club.people[0])
    await club.pay(order, club.people[0])
    await club.until(order, "paid")
    assert await club.balanced() == {"clearing": 5800, "advance": 5800}


async def test_what_was_given_back_in_the_providers_console_ends_refunds_here_too(
    club: Club,
) -> None:
    """All of the money was refunded there; then the team failed, and a voucher was given back. Nothing was
    left to ask for, so nothing was heard any more: both stayed "refunding" for ever.
    """
    cloud, (first, second) = club.cloud, club.people[:2]
    teams = await club.campaign(team_size=2, team_hours=1)
    waiting = await club.buy(teams, first)
    numbers = [await club.pay(waiting, first)]
    await club.until(waiting, "paid")
    order = await club.buy(await club.campaign(), second)
    numbers.append(await club.pay(order, second))
    await club.until(order, "issued")
    for number in numbers:
        async with cloud.db.write() as session:
            found = select(PaymentAttempt).where(col(PaymentAttempt.number) == number)
            payment = (await session.exec(found)).one()
            made = await foreign_refund(session, payment.id, f"T{number}", 5800, cloud.clocks)
            assert made is not None
            seen = RefundView(Back.SUCCEEDED, made.number, amount_fen=5800)
            await record_refund(session, made.id, seen, cloud.clocks)
    await club.house.quiet()
    club.house.passes(3601)
    assert (await club.until(waiting, "refunded")).refunded_fen == 5800
    (voucher,) = await club.vouchers(order)
    async with cloud.db.write() as session:
        await back.give_back(session, customer(second), voucher.id, cloud.clocks)
    await club.house.quiet()
    (voucher,) = await club.vouchers(order)
    assert voucher.state == "refunded"
    assert await club.balanced() == {}
    assert club.house.till.refunds() == {}
