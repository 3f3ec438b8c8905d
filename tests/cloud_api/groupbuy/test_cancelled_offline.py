"""A voucher whose order is cancelled while the store cannot hear of it waits for the store's word (I3)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_api.kit.errors import Conflict
from cloud_api.orders import views
from cloud_api.orders.models import Order
from cloud_api.vouchers.models import Voucher
from tests.cloud_api.factories import customer
from tests.cloud_api.groupbuy.conftest import Club
from tests.cloud_api.groupbuy.test_redeem import use
from tests.cloud_api.orders import test_refund_wait as store


async def _cancelled(club: Club) -> tuple[Voucher, Order]:
    """A voucher used for a time in six hours, and its order cancelled with the store offline."""
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    club.house.guest = club.people[0]
    done = await use(club, voucher, starts_at=club.cloud.clocks.now + timedelta(hours=6))
    await store.goes_offline(club.house)
    async with club.cloud.db.read() as session:
        shown = await views.one(session, done.order, club.cloud.clocks)
    assert (shown.cancel.allowed, shown.cancel.waits) == (True, True)
    order = await store.cancelled(club.house, done.order)
    assert order.status == "cancelled"
    return voucher, order


@pytest.mark.parametrize("entered", [False, True])
async def test_it_is_whole_again_once_the_store_says_that_nobody_went_in(
    club: Club, entered: bool
) -> None:
    voucher, order = await _cancelled(club)
    await club.balanced()
    assert (await club.row(Voucher, voucher.id)).state == "redeemed"
    with pytest.raises(Conflict) as refused:
        await use(club, voucher, room=1)
    assert refused.value.code == "voucher.used"
    if entered:  # on the pass that the store had not yet heard revoked
        club.house.passes(6 * 3600)
        await store.enters(club.house, order)
    await store.revoked_in(club.house, order, 7)
    for _ in range(2):
        await store.reports(club.house, rev=7)
    assert (await club.row(Voucher, voucher.id)).state == ("redeemed" if entered else "issued")
    async with club.cloud.db.read() as session:
        told = [event.text for event in (await views.one(session, order, club.cloud.clocks)).events]
    assert "券等门店确认没有使用后还给你" in told
    assert ("门店听到取消以前人已进房，订单照用" in told) is entered
    held = await club.balanced()
    assert held["revenue.voucher" if entered else "voucher"] == voucher.value_fen


async def test_a_time_that_passed_unused_gives_it_back_and_the_tier_is_that_of_the_cancelling(
    club: Club,
) -> None:
    """Six hours before costs nothing, however long the store was silent afterwards."""
    voucher, order = await _cancelled(club)
    club.house.passes((order.ends_at - club.cloud.clocks.now).total_seconds() + 3600)
    await store.reports(club.house, rev=1)
    await club.house.quiet()
    assert (await club.row(Voucher, voucher.id)).state == "issued"
    assert customer(club.people[0]).account_id == (await club.row(Voucher, voucher.id)).account_id
    await club.balanced()
