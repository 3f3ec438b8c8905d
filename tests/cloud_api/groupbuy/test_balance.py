"""A balance pays for vouchers, alone or beside another way; what goes back goes to where it came from."""

from __future__ import annotations

import asyncio

import pytest

import cloud_api.stored_value.jobs  # noqa: F401  it registers its handlers
from cloud_api.auth.models import Account
from cloud_api.groupbuy import back, buy, routes
from cloud_api.groupbuy.models import GroupOrder
from cloud_api.kit.errors import Conflict
from cloud_api.stored_value import office, service
from cloud_api.stored_value.models import Wallet
from cloud_api.stored_value.schemas import AdjustIn
from tests.cloud_api.factories import customer
from tests.cloud_api.groupbuy.conftest import Club


async def _fill(club: Club, who: Account, fen: int) -> None:
    async with club.cloud.db.write() as session:
        body = AdjustIn(store_id=club.house.shop.store.id, amount_fen=fen, why="开业送的")
        await office.adjust(session, club.owner, who.id, body, club.cloud.clocks)


async def _has(club: Club, who: Account) -> Wallet:
    async with club.cloud.db.read() as session:
        found = await service.wallet_of(session, club.house.shop.merchant.id, who.id)
    assert found is not None
    return found


async def _ways(club: Club, order: GroupOrder) -> list[tuple[str, int]]:
    async with club.cloud.db.read() as session:
        told = await routes.pay_with(session, order, club.cloud.clocks.real)
    return [(one.provider, one.balance_fen) for one in told]


async def test_a_balance_pays_alone_or_beside_another_and_gets_its_part_back(club: Club) -> None:
    campaign, (one, two, *_) = await club.campaign(), club.people
    await _fill(club, one, 15_000)
    whole = await club.buy(campaign, one)
    assert (await _ways(club, whole))[0] == ("balance", 0)
    paid = await buy.pay(club.cloud, customer(one), whole.id, provider="balance")
    assert (paid.state, (await club.again(whole)).status) == ("succeeded", "issued")
    assert (await _has(club, one)).total_fen == 9_200

    # The rest does not reach for two: it pays what it can, the cashier the other part.
    both = await club.buy(campaign, one, 2)
    assert ("cashier", 9_200) in await _ways(club, both)
    part = await buy.pay(club.cloud, customer(one), both.id, provider="cashier", balance_fen=9_200)
    assert part.amount_fen == 2_400
    held = await _has(club, one)
    assert (held.total_fen, held.held_gift_fen) == (0, 9_200)
    club.house.till.pay(part.number)
    await club.until(both, "issued")
    assert (await club.balanced())["voucher"] == 3 * 5_800

    first, second = await club.vouchers(both)
    for voucher in (first, second):
        async with club.cloud.db.write() as session:
            await back.give_back(session, customer(one), voucher.id, club.cloud.clocks)
    for _ in range(40):
        if "refund_payable" not in await club.balanced():
            break
        club.house.passes(60)
        await asyncio.sleep(0.05)
    assert (await club.again(both)).refunded_fen == 11_600
    assert {v.state for v in await club.vouchers(both)} == {"refunded"}
    assert (await _has(club, one)).total_fen == 9_200  # the cashier's 24 yuan went to the cashier

    poor = await club.buy(campaign, two)
    assert [way for way in await _ways(club, poor) if way[0] == "balance" or way[1]] == []
    with pytest.raises(Conflict) as little:
        await buy.pay(club.cloud, customer(two), poor.id, provider="balance")
    assert little.value.code == "balance.too_little"
    assert (await club.again(poor)).status == "pending_payment"


async def test_a_hold_that_ends_lets_the_held_part_go(club: Club) -> None:
    """And when the other part comes too late, after the balance was spent, all of it goes back."""
    campaign, one = await club.campaign(), club.people[0]
    await _fill(club, one, 3_000)
    order = await club.buy(campaign, one)
    payment = await buy.pay(
        club.cloud, customer(one), order.id, provider="cashier", balance_fen=3_000
    )
    club.house.passes(16 * 60)
    await club.until(order, "cancelled")

    async def free() -> bool:
        return (await _has(club, one)).total_fen == 3_000

    await club.house.run(free)
    await _fill(club, one, -3_000)
    club.house.till.pay(payment.number, late=True)

    async def gone() -> bool:
        return (
            "refund_payable" not in await club.balanced()
            and (await club.row(type(payment), payment.id)).applied == "late_refunded"
        )

    for _ in range(60):
        if await gone():
            break
        club.house.passes(60)
        await asyncio.sleep(0.05)
    assert await gone()
    assert (await club.again(order)).status == "cancelled"
    assert await club.vouchers(order) == []
