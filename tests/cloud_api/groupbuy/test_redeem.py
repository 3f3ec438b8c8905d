"""Redeeming in every way: the room, the order and the voucher happen together or not at all."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

from cloud_api.groupbuy import desk, redeem, report
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.orders import cancel
from cloud_api.orders.models import Order, OrderLine
from cloud_api.vouchers import codes
from cloud_api.vouchers import service as vouchers
from cloud_api.vouchers.models import Redemption, Voucher
from store_link.clock import ManualClock
from tests.cloud_api.factories import customer
from tests.cloud_api.groupbuy.conftest import Club
from tests.cloud_api.orders import test_refund_wait as store


async def use(club: Club, voucher: Voucher, room: int = 0, **how: Any) -> redeem.Redeemed:
    async with club.cloud.db.write() as session:
        return await redeem.redeem(
            session,
            how.pop("who", None) or customer(club.people[0]),
            room_id=club.house.shop.rooms[room].id,
            clocks=club.cloud.clocks,
            voucher_id=None if "text" in how else voucher.id,
            **how,
        )


async def test_a_guest_at_the_door_of_a_free_room_goes_in(club: Club) -> None:
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    done = await use(club, voucher, way="door", nonce="n1")
    order: Order = await club.row(Order, done.order.id)
    assert (order.status, order.total_fen) == ("ready", 0)
    assert order.ends_at - order.starts_at == timedelta(hours=3)
    assert (await club.house.claim(order)).state == "confirmed"
    await club.house.quiet()
    assert club.house.granted == [order.id]  # the door opens for it
    async with club.cloud.db.read() as session:
        query = select(OrderLine).where(col(OrderLine.order_id) == order.id)
        lines = (await session.exec(query.order_by(col(OrderLine.position)))).all()
    assert [line.amount_fen for line in lines] == [5800, -5800]  # the lines make the total (I9)
    again = await use(club, voucher, nonce="n1")  # the same try
    assert again.order.id == order.id
    with pytest.raises(Conflict) as used:
        await use(club, voucher, room=1, nonce="n2")
    assert used.value.code == "voucher.used"
    assert used.value.extra["room"] == "竹间"
    assert used.value.extra["order"] == order.number


async def test_the_desk_redeems_by_code_and_by_scan(club: Club) -> None:
    first, second = await club.bought(await club.campaign(), club.people[0], 2)
    typed = codes.grouped(first.code).replace(" ", "-")
    async with club.cloud.db.read() as session:
        seen = await desk.look(session, club.owner, typed, None, club.cloud.clocks)
    assert (seen.voucher.state, seen.used) == ("待使用", None)
    assert [room.fits for room in seen.rooms] == [True, True, True]
    await use(club, first, who=club.owner, text=typed, way="code")
    scanned = codes.qr_text(second.id, club.cloud.clocks.real.timestamp())
    await use(club, second, room=1, who=club.owner, text=scanned, way="scan")
    async with club.cloud.db.read() as session:
        seen = await desk.look(session, club.owner, typed, None, club.cloud.clocks)
        assert seen.used is not None
        assert seen.used["room"] == "竹间"
        log = await desk.log_of(
            session, club.owner, store_id=None, campaign_id=None, day=None, cursor=None, limit=10
        )
        day = club.cloud.clocks.now.date()
        told = await report.report(
            session, club.owner, day - timedelta(days=1), day + timedelta(days=1), "way"
        )
    assert [(one.way, one.room) for one in log.items] == [("scan", "梅间"), ("code", "竹间")]
    assert {row.name: row.redeemed for row in told.rows} == {"扫码核销": 1, "输码核销": 1}
    assert told.liability_fen == 0


async def test_without_a_free_room_the_voucher_stays_whole(club: Club) -> None:
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    await club.house.order(in_h=1, hours=2)
    with pytest.raises(Conflict) as no:
        await use(club, voucher)
    assert no.value.code == "voucher.no_room"
    assert "券没有动" in no.value.message
    assert no.value.extra["next_free"] is not None
    assert (await club.row(Voucher, voucher.id)).state == "issued"


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({"weekdays": 1 << 6}, "voucher.other_time"),
        ({"from_minute": 0, "until_minute": 60}, "voucher.other_time"),
        ({"room_ids": "second"}, "voucher.other_room"),
    ],
)
async def test_a_refusal_says_why(club: Club, terms: dict[str, object], code: str) -> None:
    if terms.get("room_ids") == "second":
        terms = {"room_ids": [club.house.shop.rooms[1].id]}
    (voucher,) = await club.bought(await club.campaign(**terms), club.people[0])
    with pytest.raises(Conflict) as no:
        await use(club, voucher)
    assert no.value.code == code


async def test_a_redemption_is_undone_once_and_the_voucher_is_whole(club: Club) -> None:
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    done = await use(club, voucher, who=club.owner, text=voucher.code, way="code")
    async with club.cloud.db.write() as session:
        await redeem.undo(session, club.owner, done.redemption.id, "开错了包间", club.cloud.clocks)
    order: Order = await club.row(Order, done.order.id)
    assert order.status == "cancelled"
    with pytest.raises(Conflict) as waits:  # the guest stands at the door: the store is asked first
        await use(club, voucher, room=1)
    assert (waits.value.code, waits.value.extra["waits"]) == ("voucher.used", True)
    await store.nobody_went_in(club.house, order)
    assert (await club.row(Voucher, voucher.id)).state == "issued"
    async with club.cloud.db.write() as session:
        with pytest.raises(Conflict) as twice:
            await redeem.undo(session, club.owner, done.redemption.id, "再来", club.cloud.clocks)
    assert twice.value.code == "voucher.undone"
    later = await use(club, voucher, room=1)
    club.house.passes(31 * 60)
    async with club.cloud.db.write() as session:
        with pytest.raises(Conflict) as late:
            await redeem.undo(session, club.owner, later.redemption.id, "太晚", club.cloud.clocks)
    assert late.value.code == "voucher.undo_late"


async def test_a_guest_who_cancels_in_time_has_the_voucher_back(club: Club) -> None:
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    start = club.cloud.clocks.now + timedelta(hours=6)
    done = await use(club, voucher, starts_at=start)
    async with club.cloud.db.write() as session:
        await cancel.cancel(session, customer(club.people[0]), done.order.id, club.cloud.clocks)
    assert (await club.row(Voucher, voucher.id)).state == "issued"
    async with club.cloud.db.read() as session:
        kinds = (await session.exec(select(col(Redemption.kind), col(Redemption.amount_fen)))).all()
    assert sorted(kinds) == [("redeem", 5800), ("undo", -5800)]


async def test_a_present_belongs_to_who_takes_it_first(club: Club) -> None:
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    giver, friend, other = (customer(one) for one in club.people[:3])
    late = Clocks(ManualClock(voucher.valid_until), club.cloud.clocks.wire)
    async with club.cloud.db.write() as session:
        token = await vouchers.offer(session, giver, voucher.id)
        with pytest.raises(NotFound):  # over, though no job has said so yet
            await vouchers.take_gift(session, friend, token, late)
        with pytest.raises(Conflict):
            await vouchers.take_gift(session, giver, token, club.cloud.clocks)
        await vouchers.take_gift(session, friend, token, club.cloud.clocks)
    async with club.cloud.db.write() as session:
        with pytest.raises(NotFound):
            await vouchers.take_gift(session, other, token, club.cloud.clocks)
        with pytest.raises(NotFound):
            await redeem.redeem(
                session,
                giver,
                voucher_id=voucher.id,
                room_id=club.house.shop.rooms[0].id,
                clocks=club.cloud.clocks,
            )
    done = await use(club, voucher, who=friend)
    assert done.order.account_id == friend.account_id


async def test_a_photograph_of_the_qr_is_worth_nothing_soon(club: Club) -> None:
    (voucher,) = await club.bought(await club.campaign(), club.people[0])
    seen = codes.qr_text(voucher.id, club.cloud.clocks.real.timestamp())
    club.house.passes(150)
    with pytest.raises(KaimenError) as old:
        await use(club, voucher, who=club.owner, text=seen)
    assert old.value.code == "voucher.old_qr"
    forged = seen[:-1] + ("0" if seen[-1] != "0" else "1")
    with pytest.raises(KaimenError) as bad:
        await use(club, voucher, who=club.owner, text=forged)
    assert bad.value.code == "voucher.bad_qr"


async def test_staff_extend_what_expired(club: Club) -> None:
    campaign = await club.campaign(valid_days=2, refund_on_expiry=False)
    (voucher,) = await club.bought(campaign, club.people[0])
    club.house.passes(2 * 86400 + 1)
    await club.house.quiet()
    assert (await club.row(Voucher, voucher.id)).state == "expired"
    with pytest.raises(Conflict) as no:
        await use(club, voucher)
    assert no.value.code == "voucher.expired"
    until = club.cloud.clocks.now + timedelta(days=5)
    async with club.cloud.db.write() as session:
        await vouchers.extend(session, club.owner, voucher.id, until, club.cloud.clocks)
    assert (await use(club, voucher)).order.status == "ready"
