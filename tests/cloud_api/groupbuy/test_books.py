"""What vouchers owe is what the books say, at every step (I9)."""

from __future__ import annotations

import asyncio

from cloud_api.groupbuy import back, redeem
from tests.cloud_api.factories import customer
from tests.cloud_api.groupbuy.conftest import Club


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
