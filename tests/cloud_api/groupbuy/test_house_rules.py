"""Vouchers where the house's booking rules meet them: who does not come, and who has to confirm."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from cloud_api.claims.models import BookingRule
from cloud_api.groupbuy import redeem
from cloud_api.kit.errors import Conflict
from cloud_api.orders import cancel, change_service, views
from cloud_api.orders.models import Order
from cloud_api.orders.service import get_order
from cloud_api.payments import service as payments
from cloud_api.vouchers.models import Voucher
from tests.cloud_api.factories import customer
from tests.cloud_api.groupbuy.conftest import Club


async def _rules(club: Club, **rules: Any) -> None:
    async with club.cloud.db.write() as session:
        store = club.house.shop.store
        session.add(
            BookingRule(
                id=store.id, merchant_id=store.merchant_id, store_id=store.id, rules=rules,
                updated_at=club.cloud.clocks.now,
            )
        )  # fmt: skip


@pytest.mark.parametrize(
    ("per_cent", "state", "kept"),
    [(100, "redeemed", 5800), (50, "redeemed", 2900), (0, "issued", 0)],
)
async def test_who_does_not_come_on_a_voucher_pays_with_it(
    club: Club, per_cent: int, state: str, kept: int
) -> None:
    """A room's rule keeps the whole price of who does not come. Who had booked with a voucher got the
    voucher back, whole: the fee was a share of the order's total, which a voucher makes nothing. So
    one voucher kept a room empty as often as one liked.
    """
    await _rules(club, no_show_minutes=30, no_show_per_cent=per_cent)
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    async with club.cloud.db.write() as session:
        done = await redeem.redeem(
            session, customer(club.people[0]), room_id=club.house.shop.room.id,
            clocks=club.cloud.clocks, voucher_id=voucher.id,
        )  # fmt: skip
    club.house.passes(31 * 60)
    await club.house.quiet()
    order: Order = await club.row(Order, done.order.id)
    assert (order.status, order.cancel_why) == ("cancelled", "no_show")
    assert (await club.row(Voucher, voucher.id)).state == state
    books = await club.balanced()
    assert books.get("revenue.voucher", 0) == kept
    assert books.get("voucher", 0) == (0 if kept else voucher.value_fen)
    async with club.cloud.db.read() as session:
        back = await payments.refunds_of(session, voucher.source)
    assert sum(one.amount_fen for one in back) == (voucher.value_fen - kept if kept else 0)


async def test_cancelling_late_costs_what_the_tiers_say(club: Club) -> None:
    """Cancelled an hour before its start, an order costs half by the store's tiers; paid with a voucher it
    cost nothing, the voucher was whole again.
    """
    tiers = [{"minutes": 120, "per_cent": 0}, {"minutes": 0, "per_cent": 50}]
    await _rules(club, cancel_tiers=tiers)
    guest, clocks = customer(club.people[0]), club.cloud.clocks
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    used = voucher
    for hours, fate, state in ((3, "whole", "issued"), (1, "part", "redeemed")):
        starts = clocks.now + timedelta(hours=hours)
        async with club.cloud.db.write() as session:
            done = await redeem.redeem(
                session, guest, room_id=club.house.shop.room.id, clocks=clocks,
                voucher_id=voucher.id, starts_at=starts,
            )  # fmt: skip
        async with club.cloud.db.write() as session:
            order = await get_order(session, guest, done.order.id)
            shown = await views.one(session, order, clocks)
            assert (shown.cancel.voucher, shown.cancel.voucher_back_fen) == (
                fate,
                0 if fate == "whole" else 2900,
            )
            await cancel.cancel(session, guest, done.order.id, clocks)
        used = await club.row(Voucher, voucher.id)
        assert used.state == state
    assert (await club.balanced())["revenue.voucher"] == 2900
    with pytest.raises(Conflict) as over:
        async with club.cloud.db.write() as session:
            await redeem.undo(session, club.owner, used.redemption_id or "", "弄错了", clocks)
    assert over.value.code == "voucher.undone"


async def test_a_voucher_redeemed_at_the_desk_waits_for_nobody(club: Club) -> None:
    """Where the house confirms orders, one that staff themselves made by redeeming a voucher waited
    for staff to confirm it: the guest stood at a shut door, and after a while it was cancelled.
    """
    await _rules(club, confirm_minutes=20)
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    async with club.cloud.db.write() as session:
        done = await redeem.redeem(
            session, club.owner, room_id=club.house.shop.room.id, clocks=club.cloud.clocks,
            text=voucher.code, way="code",
        )  # fmt: skip
    assert (await club.row(Order, done.order.id)).status == "ready"
    club.house.passes(21 * 60)
    await club.house.quiet()
    assert (await club.row(Voucher, voucher.id)).state == "redeemed"


async def test_a_time_that_a_voucher_paid_is_not_sold_a_second_time(club: Club) -> None:
    """Moving an order that a voucher paid for asked the price of the hour for the new time, less the
    voucher's value: for the same three hours an hour later its guest had to pay 56 yuan more, and the
    voucher's days, hours and rooms were not asked. Guests cancel and redeem anew; staff move it as it is.
    """
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    guest, rooms, clocks = customer(club.people[0]), club.house.shop.rooms, club.cloud.clocks
    starts = clocks.now + timedelta(hours=4)
    async with club.cloud.db.write() as session:
        done = await redeem.redeem(
            session, guest, room_id=rooms[0].id, clocks=clocks, voucher_id=voucher.id,
            starts_at=starts,
        )  # fmt: skip
    later = starts + timedelta(hours=1)
    with pytest.raises(Conflict) as no:
        await change_service.move(club.cloud, guest, done.order.id, None, later, None)
    assert no.value.code == "change.voucher"
    moved = await change_service.move(
        club.cloud, club.owner, done.order.id, rooms[1].id, later, None
    )
    assert (moved.state, moved.diff_fen) == ("applied", 0)
    order: Order = await club.row(Order, done.order.id)
    assert (order.room_id, order.starts_at, order.total_fen) == (rooms[1].id, later, 0)
