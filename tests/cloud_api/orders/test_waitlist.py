"""Waiting for a taken time: first come, first offered; what is let go by goes to the next in line."""

from __future__ import annotations

from datetime import timedelta

import pytest

from cloud_api.auth.models import Account
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict
from cloud_api.orders import cancel, waitlist
from cloud_api.orders.models import Order, WaitEntry
from tests.cloud_api.factories import customer, make_customer
from tests.cloud_api.house import House


async def _wait(house: House, who: Account, order: Order, *, any_room: bool = False) -> WaitEntry:
    async with house.cloud.db.write() as session:
        return await waitlist.join(
            session, customer(who), order.store_id, None if any_room else order.room_id,
            order.starts_at, order.ends_at, house.cloud.clocks,
        )  # fmt: skip


async def _again(house: House, entry: WaitEntry) -> WaitEntry:
    async with house.cloud.db.read() as session:
        return await session.get_one(WaitEntry, entry.id)


async def test_who_waited_longest_is_offered_first_then_the_next(house: House) -> None:
    order = await house.paid_order(in_h=5)
    async with house.cloud.db.write() as session:
        people = [await make_customer(session, house.cloud.clocks.now) for _ in range(2)]
    entries = []
    for who in people:
        entries.append(await _wait(house, who, order))
        house.passes(1)
        await house.quiet()
    assert (await _wait(house, people[0], order)).id == entries[0].id  # again is once
    assert [(await _again(house, one)).state for one in entries] == ["waiting", "waiting"]
    async with house.cloud.db.write() as session:
        await cancel.cancel(session, house.who, order.id, house.cloud.clocks)
    await house.quiet()
    assert [(await _again(house, one)).state for one in entries] == ["offered", "waiting"]
    with pytest.raises(Conflict):  # what is offered is nobody else's
        await house.order(in_h=5)
    async with house.cloud.db.write() as session:
        with pytest.raises(Conflict) as refused:
            await waitlist.take(session, customer(people[1]), entries[1].id, house.cloud.clocks)
    assert refused.value.code == "wait.no_offer"
    house.passes(15 * 60)
    await house.quiet()
    house.passes(1)
    await house.quiet()
    assert [(await _again(house, one)).state for one in entries] == ["waiting", "offered"]
    async with house.cloud.db.write() as session:
        second = customer(people[1])
        got = await waitlist.take(session, second, entries[1].id, house.cloud.clocks)
        again = await waitlist.take(session, second, entries[1].id, house.cloud.clocks)
        assert again.id == got.id
    assert (got.status, got.source, got.starts_at) == (
        "pending_payment",
        "waitlist",
        order.starts_at,
    )
    claim = await house.claim(got)
    assert claim.block_until == order.ends_at + timedelta(minutes=15)
    # Not paid in time: the room goes to who let it go by once.
    house.passes(700)
    await house.finish_all()
    house.passes(1)
    await house.quiet()
    assert (await _again(house, entries[0])).state == "offered"


async def test_leaving_gives_the_place_on_and_a_time_that_began_is_over(house: House) -> None:
    order = await house.paid_order(in_h=5)
    free = await _wait(house, house.guest, order, any_room=True)
    await house.quiet()
    offered = await _again(house, free)
    assert (offered.state, offered.offered_room_id) == ("offered", house.shop.rooms[1].id)
    async with house.cloud.db.write() as session:
        await waitlist.leave(session, house.who, free.id, house.cloud.clocks)
    assert (await _again(house, free)).state == "left"
    await house.order(room=house.shop.rooms[1], in_h=5)
    late = await _wait(house, house.guest, order)
    house.passes(6 * 3600)
    async with house.cloud.db.read() as session:  # also before anybody looked: it takes no place
        assert await waitlist.mine(session, house.who, house.cloud.clocks) == []
    async with house.cloud.db.write() as session:
        await schedule(
            session, merchant_id=order.merchant_id, kind="waitlist.look", ref=order.store_id,
            run_at=house.cloud.clocks.now,
        )  # fmt: skip
    await house.quiet()
    assert (await _again(house, late)).state == "over"
