"""Buying alone and in teams: never more than there is, each payment one effect, nobody's money lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from cloud_api.groupbuy import back, buy, campaigns, seats
from cloud_api.groupbuy.models import Campaign, Team
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.payments import service as payments
from cloud_api.vouchers.models import Voucher
from tests.cloud_api.factories import customer, make_customer
from tests.cloud_api.groupbuy.conftest import Club


async def test_who_pays_gets_vouchers_once(club: Club) -> None:
    campaign = await club.campaign()
    (one, *_) = club.people
    order = await club.buy(campaign, one, 2)
    assert (order.status, order.total_fen) == ("pending_payment", 11600)
    club.house.till.faults(notify_duplicate=3)
    await club.pay(order, one)
    await club.until(order, "issued")
    await club.house.quiet()
    made = await club.vouchers(order)
    assert [(v.value_fen, v.state, v.account_id) for v in made] == [(5800, "issued", one.id)] * 2
    assert len({v.code for v in made}) == 2
    assert (await club.row(Campaign, campaign.id)).taken == 2


async def test_a_team_gets_its_vouchers_when_it_is_full(club: Club) -> None:
    campaign = await club.campaign(team_size=3)
    first = await club.buy(campaign, club.people[0])
    await club.pay(first, club.people[0])
    await club.until(first, "paid")
    team = await club.team(first)
    assert (team.paid, team.reserved, team.state) == (1, 1, "open")
    orders = [first]
    for one in club.people[1:3]:
        assert await club.vouchers(first) == []
        order = await club.buy(campaign, one, team_token=team.token)
        await club.pay(order, one)
        await club.until(order, "paid", "issued")
        orders.append(order)
    for order in orders:
        assert (await club.again(order)).status == "issued"
        assert [v.state for v in await club.vouchers(order)] == ["issued"]
    assert (await club.team(first)).state == "full"
    with pytest.raises(Conflict) as full:
        await club.buy(campaign, club.people[3], team_token=team.token)
    assert full.value.code == "team.full"


async def test_a_team_that_is_not_full_in_time_gets_its_money_back(club: Club) -> None:
    campaign = await club.campaign(team_size=3, team_hours=2, stock=10)
    order = await club.buy(campaign, club.people[0])
    await club.pay(order, club.people[0])
    await club.until(order, "paid")
    club.house.passes(2 * 3600 + 1)
    await club.until(order, "refunding", "refunded")
    await club.house.finish_all()
    done = await club.again(order)
    assert (done.status, done.refunded_fen) == ("refunded", 5800)
    assert (await club.row(Campaign, campaign.id)).taken == 0
    assert await club.vouchers(order) == []
    with pytest.raises(Conflict) as over:
        await club.buy(campaign, club.people[1], team_token=(await club.team(order)).token)
    assert over.value.code == "team.over"


async def test_a_team_may_be_completed_anyway(club: Club) -> None:
    campaign = await club.campaign(team_size=3, team_hours=2, on_fail="complete")
    order = await club.buy(campaign, club.people[0])
    await club.pay(order, club.people[0])
    await club.until(order, "paid")
    club.house.passes(2 * 3600 + 1)
    assert (await club.until(order, "issued")).status == "issued"
    assert (await club.team(order)).state == "full"


async def test_who_does_not_pay_holds_nothing_up(club: Club) -> None:
    campaign = await club.campaign(team_size=2, stock=2, most_per_customer=1)
    first = await club.buy(campaign, club.people[0])
    await club.pay(first, club.people[0])
    await club.until(first, "paid")
    token = (await club.team(first)).token
    idle = await club.buy(campaign, club.people[1], team_token=token)
    with pytest.raises(Conflict) as sold:
        await club.buy(campaign, club.people[2])
    assert (sold.value.code, sold.value.extra["left"]) == ("campaign.sold_out", 0)
    club.house.passes(16 * 60)
    await club.until(idle, "cancelled")
    second = await club.buy(campaign, club.people[2], team_token=token)
    await club.pay(second, club.people[2])
    assert (await club.until(second, "issued")).status == "issued"


async def test_money_that_comes_late_gets_its_seat_or_goes_back(club: Club) -> None:
    campaign = await club.campaign(stock=1)
    one, two, three, *_ = club.people
    late = await club.buy(campaign, one)
    payment = await buy.pay(club.cloud, customer(one), late.id, provider="cashier")
    club.house.passes(16 * 60)
    await club.until(late, "cancelled")
    club.house.till.pay(payment.number, late=True)
    assert (await club.until(late, "issued")).status == "issued"  # it was still to be had

    campaign = await club.campaign(stock=1)
    late = await club.buy(campaign, two)
    payment = await buy.pay(club.cloud, customer(two), late.id, provider="cashier")
    club.house.passes(16 * 60)
    await club.until(late, "cancelled")
    await club.bought(campaign, three)
    club.house.till.pay(payment.number, late=True)

    async def refunded() -> bool:
        async with club.cloud.db.read() as session:
            asked = await payments.refunds_of(session, buy.pays(late.id))
        return [(r.state, r.amount_fen) for r in asked] == [("succeeded", 5800)]

    for _ in range(20):
        await club.house.quiet()
        club.house.passes(60)
        await asyncio.sleep(0.05)
        if await refunded():
            break
    assert await refunded()
    assert await club.vouchers(late) == []


@pytest.mark.parametrize("guarded", [True, False], ids=["", "without_the_condition"])
async def test_stock_limits_and_seats_hold_under_a_crowd(
    club: Club, guarded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Forty want the ten that there are, and a seat at one table. Without the condition: too many."""
    campaign = await club.campaign(stock=10, most_per_customer=2, most_per_order=3, team_size=4)
    async with club.cloud.db.write() as session:
        crowd = [await make_customer(session, club.cloud.clocks.now) for _ in range(20)]
    opener = await club.buy(campaign, club.people[0])
    token = (await club.team(opener)).token
    if not guarded:

        async def as_read(session: Any, found: Campaign, count: int) -> bool:
            await asyncio.sleep(0)
            return found.stock is None or found.taken + count <= found.stock

        monkeypatch.setattr(seats, "take_stock", as_read)
    said: Counter[str] = Counter()

    async def one(n: int) -> None:
        for how in ({"team_token": token}, {"alone": True}):
            try:
                await club.buy(campaign, crowd[n % 20], 1 + n % 3, **how)
                said["ok"] += 1
            except KaimenError as error:
                said[error.code] += 1

    await asyncio.gather(*(one(n) for n in range(40)))
    team: Team = await club.row(Team, opener.team_id or "")
    assert team.reserved == 4
    sold = await club.row(Campaign, campaign.id)
    async with club.cloud.db.read() as session:
        from sqlmodel import col, func, select

        from cloud_api.groupbuy.models import GroupOrder

        held = (await session.exec(select(func.sum(col(GroupOrder.quantity))))).one()
        by_person = await session.exec(
            select(col(GroupOrder.account_id), func.sum(col(GroupOrder.quantity))).group_by(
                col(GroupOrder.account_id)
            )
        )
        assert max(count for _, count in by_person.all()) <= 2
    assert said["team.full"] > 0
    assert said["campaign.limit"] > 0
    if guarded:
        assert held == sold.taken == 10
    else:
        assert held > 10


async def test_nobody_sits_twice_at_one_table(club: Club) -> None:
    campaign = await club.campaign(team_size=3)
    first = await club.buy(campaign, club.people[0])
    with pytest.raises(Conflict) as twice:
        await club.buy(campaign, club.people[0], team_token=(await club.team(first)).token)
    assert twice.value.code == "team.joined"
    assert (await club.row(Campaign, campaign.id)).taken == 1  # nothing of the second try stayed


async def test_a_voucher_not_used_goes_back_and_one_that_ran_out_too(club: Club) -> None:
    campaign = await club.campaign(valid_days=10, stock=5)
    one = club.people[0]
    kept, returned = await club.bought(campaign, one, 2)
    async with club.cloud.db.write() as session:
        await back.give_back(session, customer(one), returned.id, club.cloud.clocks)
        await back.give_back(session, customer(one), returned.id, club.cloud.clocks)  # twice
    club.house.passes(10 * 86400 + 1)

    async def settled() -> bool:
        states = [(await club.row(Voucher, v.id)).state for v in (kept, returned)]
        return states == ["refunded", "refunded"]

    for _ in range(30):
        await club.house.quiet()
        if await settled():
            break
        club.house.passes(60)
        await asyncio.sleep(0.05)
    assert await settled()
    assert sorted(r["amount_fen"] for r in club.house.till.refunds().values()) == [5800, 5800]
    assert (await club.row(Campaign, campaign.id)).taken == 0


async def test_what_was_sold_keeps_its_terms(club: Club) -> None:
    campaign = await club.campaign(story='<p onclick="x()">好</p><script>alert(1)</script>')
    assert campaign.story == "<p>好</p>"
    await club.bought(campaign, club.people[0])
    async with club.cloud.db.write() as session:
        with pytest.raises(Conflict) as sold:
            await campaigns.edit(
                session, club.owner, campaign.id, club.terms(price_fen=100), club.cloud.clocks
            )
        assert (sold.value.code, sold.value.extra["field"]) == ("campaign.sold", "price_fen")
        made = await campaigns.copy(session, club.owner, campaign.id, club.cloud.clocks)
        assert (made.state, made.taken, made.price_fen) == ("draft", 0, 5800)
        await campaigns.turn(session, club.owner, campaign.id, "ended", club.cloud.clocks)
    with pytest.raises(Conflict) as closed:
        await club.buy(campaign, club.people[1])
    assert closed.value.code == "campaign.closed"
    soon = await club.campaign(starts_at=club.cloud.clocks.now + timedelta(days=1))
    with pytest.raises(Conflict) as early:
        await club.buy(soon, club.people[1])
    assert early.value.code == "campaign.closed"
