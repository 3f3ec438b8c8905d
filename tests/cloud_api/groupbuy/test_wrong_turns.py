"""Turns that a purchase, a voucher or a campaign may take, in the wrong order or too late."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_api.groupbuy import back, buy, campaigns, desk, longer, redeem, report, views
from cloud_api.groupbuy.models import Campaign
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.i18n import speaking
from cloud_api.payments import service as payments
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Voucher
from tests.cloud_api.factories import customer
from tests.cloud_api.groupbuy.conftest import Club
from tests.cloud_api.orders import test_refund_wait as store


async def test_money_for_a_seat_that_its_owner_has_taken_again_goes_back(club: Club) -> None:
    """Somebody's hold on a seat ran out, the same person joined the same team again and paid. Then the
    money of the first try came: it was given its seat again, a second one for the same person. The
    database refused, the job died, and the money was neither used nor sent back.
    """
    campaign = await club.campaign(team_size=3)
    one, two, *_ = club.people
    opened = await club.buy(campaign, one)
    await club.pay(opened, one)
    await club.until(opened, "paid")
    token = (await club.team(opened)).token
    first = await club.buy(campaign, two, team_token=token)
    late = await buy.pay(club.cloud, customer(two), first.id, provider="cashier")
    club.house.passes(16 * 60)
    await club.until(first, "cancelled")
    second = await club.buy(campaign, two, team_token=token)
    await club.pay(second, two)
    await club.until(second, "paid")
    club.house.till.pay(late.number, late=True)

    async def asked_back() -> bool:
        async with club.cloud.db.read() as session:
            refunds = await payments.refunds_of(session, buy.pays(first.id))
        return [one.amount_fen for one in refunds] == [5800]

    await club.house.run(asked_back)
    assert (await club.again(first)).status == "cancelled"
    assert (await club.team(opened)).paid == 2


async def test_a_team_ends_with_its_campaign_and_takes_no_money_after(club: Club) -> None:
    """A team opened an hour before its campaign ended had a day to fill, and nobody could join it: its
    countdown was not true. And who held a seat could still open a payment when the team was over, only
    to have the money sent back.
    """
    now = club.cloud.clocks.now
    campaign = await club.campaign(team_size=2, ends_at=now + timedelta(hours=1))
    order = await club.buy(campaign, club.people[0])
    team = await club.team(order)
    assert team.deadline == campaign.ends_at
    club.house.passes(59 * 60)
    await club.until(order, "cancelled")
    held = await club.buy(campaign, club.people[1])
    club.house.passes(120)
    with pytest.raises(Conflict) as over:
        await buy.pay(club.cloud, customer(club.people[1]), held.id, provider="cashier")
    assert over.value.code == "team.over"


async def test_what_was_bought_keeps_the_terms_it_was_bought_under(club: Club) -> None:
    """Of a campaign that says that unused vouchers may be given back, one was bought and its team was
    forming. Then the merchant wrote that nothing is given back, and half the days: both held for who
    had paid before.
    """
    (one, two, *_), cloud = club.people, club.cloud
    campaign = await club.campaign(team_size=2, valid_days=60)
    order = await club.buy(campaign, one)
    await club.pay(order, one)
    await club.until(order, "paid")
    async with cloud.db.write() as session:
        terms = club.terms(
            team_size=2, valid_days=30, refundable=False, refund_on_expiry=False, weekdays=1
        )
        terms |= {"starts_at": campaign.starts_at, "ends_at": campaign.ends_at}
        await campaigns.edit(session, club.owner, campaign.id, terms, cloud.clocks)
    other = await club.buy(campaign, two, team_token=(await club.team(order)).token)
    await club.pay(other, two)
    await club.until(other, "issued")
    (mine,), (theirs,) = await club.vouchers(order), await club.vouchers(other)
    facts = [(v.weekdays, v.refundable, v.refund_on_expiry) for v in (mine, theirs)]
    assert facts == [(127, True, True), (1, False, False)]
    assert mine.valid_until - theirs.valid_until == timedelta(days=30)
    async with cloud.db.write() as session:
        given = await back.give_back(session, customer(one), mine.id, cloud.clocks)
        assert given.state == "refunding"
    with pytest.raises(Conflict) as kept:
        async with cloud.db.write() as session:
            await back.give_back(session, customer(two), theirs.id, cloud.clocks)
    assert kept.value.code == "voucher.not_refundable"


async def test_an_expired_voucher_that_staff_extend_is_owed_again(club: Club) -> None:
    """A voucher that had expired without a refund was revenue. Staff extended it: it could be used, but
    the books owed nothing for it.
    """
    (voucher,) = await club.bought(
        await club.campaign(valid_days=2, refund_on_expiry=False), club.people[0]
    )
    club.house.passes(2 * 86400 + 1)
    assert (await club.balanced())["revenue.voucher_expired"] == 5800
    until = club.cloud.clocks.now + timedelta(days=9)
    async with club.cloud.db.write() as session:
        await longer.extend(session, club.owner, voucher.id, until, "生病", club.cloud.clocks)
    assert await club.balanced() == {"clearing": 5800, "voucher": 5800}
    assert (await club.row(Voucher, voucher.id)).state == "issued"


async def test_an_undone_redemption_counts_for_nobody(club: Club) -> None:
    """Staff redeemed a voucher and took it back: by staff the report kept one for who redeemed and
    showed one less than nothing for the system.
    """
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    async with club.cloud.db.write() as session:
        done = await redeem.redeem(
            session, club.owner, room_id=club.house.shop.room.id, clocks=club.cloud.clocks,
            text=voucher.code, way="code",
        )  # fmt: skip
    async with club.cloud.db.write() as session:
        await redeem.undo(session, club.owner, done.redemption.id, "开错了", club.cloud.clocks)
    await store.nobody_went_in(club.house, done.order)
    day = club.cloud.clocks.now.date()
    async with club.cloud.db.read() as session:
        told = await report.report(session, club.owner, day, day + timedelta(days=1), "staff")
        log = await desk.log_of(
            session, club.owner, store_id=None, campaign_id=None, day=None, cursor=None, limit=5
        )
    assert [(row.name, row.redeemed) for row in told.rows if row.redeemed] == []
    undone = next(row for row in log.items if row.kind == "undo")
    assert (undone.by_name, undone.why) == (club.owner.name, "开错了")


async def test_campaigns_stand_in_the_order_their_merchant_gave_them(club: Club) -> None:
    """The form asks for a place on the page, and the page did not look at it."""
    for name, sort in (("三", -1), ("一", 5), ("二", 0)):
        await club.campaign(name=name, sort=sort)
        club.house.passes(1)
    async with club.cloud.db.read() as session:
        pages, cursor = [], None
        for _ in range(3):
            found, cursor = await campaigns.on_sale(
                session, club.house.shop.store.id, club.cloud.clocks, cursor=cursor, limit=1
            )
            pages.append([one.name for one in found])
        elsewhere, _more = await campaigns.on_sale(
            session, "another", club.cloud.clocks, cursor=None, limit=1
        )
    assert (pages, cursor, elsewhere) == ([["一"], ["二"], ["三"]], None, [])


async def test_who_gave_a_voucher_away_cannot_use_it(club: Club) -> None:
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    async with club.cloud.db.write() as session:
        token = await vouchers.offer(session, customer(club.people[0]), voucher.id)
    async with club.cloud.db.write() as session:
        await vouchers.take_gift(session, customer(club.people[1]), token, club.cloud.clocks)
    with pytest.raises(NotFound):
        async with club.cloud.db.write() as session:
            await redeem.redeem(
                session, customer(club.people[0]), room_id=club.house.shop.room.id,
                clocks=club.cloud.clocks, voucher_id=voucher.id,
            )  # fmt: skip
    assert (await club.row(Campaign, voucher.campaign_id)).taken == 1


async def test_words_of_vouchers_are_in_the_readers_language(club: Club) -> None:
    """On English pages a voucher's state, its days and why a room does not fit stood in Chinese."""
    order = await club.buy(await club.campaign(team_size=2), club.people[0])
    (voucher,) = await club.bought(await club.campaign(weekdays=5), club.people[1])
    other = voucher.model_copy(update={"room_ids": ["elsewhere"], "weekdays": 127})
    with speaking("en"):
        async with club.cloud.db.read() as session:
            (shown,) = await views.vouchers(session, [voucher])
            (unpaid,) = await views.orders(session, [order])
            rooms = await desk.rooms_for(session, club.owner, other, None, club.cloud.clocks)
    assert (shown.state, unpaid.state) == ("Ready", "Unpaid")
    assert shown.when == "Mon, Wed"
    assert {room.message for room in rooms} == {
        "This voucher isn't valid in this room. Try another"
    }
