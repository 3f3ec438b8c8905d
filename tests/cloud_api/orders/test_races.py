"""Two acts at the very same moment: one of them wins, the other is told, and no money is lost between."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import col, select

import cloud_api.ledger.jobs  # noqa: F401  books what moves
from cloud_api.auth.models import Account
from cloud_api.claims import moving
from cloud_api.claims import service as claims
from cloud_api.claims.models import RoomClaim
from cloud_api.devices.models import StoreStatus
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.errors import Conflict
from cloud_api.ledger.verify import verify
from cloud_api.orders import cancel, change_service, refund_wait, store_events
from cloud_api.orders.models import Order, OrderChange
from store_link.messages import StayBody, StayState
from tests.cloud_api.factories import make_customer
from tests.cloud_api.house import House
from tests.concurrency.races import drop_guard

ROUNDS = 4  # of each race; either side wins some


async def guest(house: House) -> Account:
    async with house.cloud.db.write() as session:
        return await make_customer(session, house.cloud.clocks.now)


async def outcome(act: Awaitable[Any]) -> str:
    """``done``, or the code of what was refused."""
    try:
        await act
    except Conflict as refused:
        return refused.code
    return "done"


async def overlapping(house: House) -> int:
    """Pairs of live claims of one room that share time."""
    async with house.cloud.db.read() as session:
        query = select(RoomClaim).where(col(RoomClaim.state) != "released")
        live = (await session.exec(query)).all()
    return sum(
        one.id < two.id and one.room_id == two.room_id
        and one.block_from < two.block_until and two.block_from < one.block_until
        for one in live for two in live
    )  # fmt: skip


async def in_order(house: House) -> None:
    async with house.cloud.db.read() as session:
        assert await verify(session, house.shop.merchant.id) == []


async def enter(house: House, order: Order) -> None:
    body = StayBody(
        stay=order.claim_id, room=order.room_id, was=StayState.OPEN, now=StayState.IN_USE,
        why="pass",
    )  # fmt: skip
    clocks = house.cloud.clocks
    async with house.cloud.db.write() as session:
        await store_events.apply_stay(session, house.shop.store, body, clocks.now, clocks)


async def test_a_booking_while_a_hold_expires_and_its_money_comes(house: House) -> None:
    """Who paid in the last moment has the room, or all of the money back; the other has it, or is told."""
    seen = set()
    for n in range(ROUNDS):
        begins, room = 3 + 3 * (n // 3), house.shop.rooms[n % 3]
        order = await house.order(in_h=begins, room=room)
        payment = await house.pay(order)
        other = await guest(house)
        house.passes(601)

        async def ends(number: str = payment.number) -> None:
            house.till.pay(number)
            while await run_due(house.cloud):
                pass

        _, booked = await asyncio.gather(
            ends(), outcome(house.order(in_h=begins, room=room, guest=other))
        )
        order = await house.until(order, "ready", "cancelled")
        if order.status == "cancelled":

            async def back(mine: Order = order) -> bool:
                now = await house.again(mine)
                return now.refunding_fen + now.refunded_fen == now.paid_fen

            await house.run(back)
        seen.add((order.status, booked))
        assert await overlapping(house) == 0
        assert (order.status == "ready") <= (booked == "book.taken"), (order.status, booked)
    assert seen <= {("ready", "book.taken"), ("cancelled", "done"), ("cancelled", "book.taken")}


async def test_an_extension_races_a_booking(house: House) -> None:
    for n in range(ROUNDS):
        room, begins = house.shop.rooms[n % 3], 3 + 6 * (n // 3)
        order = await house.paid_order(in_h=begins, hours=2, room=room)
        other = await guest(house)
        more, booked = await asyncio.gather(
            outcome(change_service.extend(house.cloud, house.who, order.id, 60)),
            outcome(house.order(in_h=begins + 2.5, hours=1, room=room, guest=other)),
        )
        assert sorted((more == "done", booked == "done")) == [False, True], (more, booked)
        assert await overlapping(house) == 0


async def test_control_without_guard_and_queue_both_get_the_time(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the look whether it is free comes before the other's booking."""
    order = await house.paid_order(in_h=3, hours=2)
    other = await guest(house)
    await drop_guard(house.cloud.db)
    looked = moving.hold_pieces

    async def late(*args: Any) -> list[str]:
        await claims.hold(
            args[0], args[1], None, order.ends_at + timedelta(minutes=30),
            order.ends_at + timedelta(hours=1), house.cloud.clocks,
        )  # fmt: skip
        return await looked(*args)

    monkeypatch.setattr(moving, "hold_pieces", late)
    assert other.id
    assert await outcome(change_service.extend(house.cloud, house.who, order.id, 60)) == "done"
    assert await overlapping(house) > 0


async def test_a_cancel_races_a_check_in(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is first: the guest is in and cannot cancel, or cancelled and pays for going in, and then has
    the room again where it is free. Either way the house has the price, once.
    """
    for n in range(ROUNDS):
        order = await house.paid_order(in_h=0.25, room=house.shop.rooms[n % 3], hours=1)

        async def cancels(mine: Order = order) -> None:
            async with house.cloud.db.write() as session:
                await cancel.cancel(session, house.who, mine.id, house.cloud.clocks)

        said, _ = await asyncio.gather(outcome(cancels()), enter(house, order))
        order = await house.again(order)
        if said == "done":
            ends = {("cancelled", order.paid_fen), ("in_use", 0)}
            assert (order.status, order.cancel_fee_fen) in ends
        else:
            assert (order.status, said) == ("in_use", "cancel.started")
        assert (order.refunded_fen, order.refunding_fen, order.waiting_fen) == (0, 0, 0)
        await in_order(house)
        house.passes(2 * 3600)
        house.noon = house.cloud.clocks.now
        if order.status == "in_use":
            async with house.cloud.db.write() as session:
                claim = await claims.get(session, order.claim_id)
                await claims.end_at(session, claim, claim.ends_at, house.cloud.clocks)

    async def never(*_args: Any) -> bool:
        return False

    # The control: money that does not wait goes to who uses the room.
    monkeypatch.setattr(refund_wait, "needed", never)
    order = await house.paid_order(in_h=0.25, room=house.shop.rooms[0], hours=1)
    async with house.cloud.db.write() as session:
        await cancel.cancel(session, house.who, order.id, house.cloud.clocks)
    await enter(house, order)
    assert (await house.again(order)).refunding_fen > 0


async def test_a_room_change_paid_while_the_store_goes_away(house: House) -> None:
    """The difference was paid when the store could not hear any more: it would open the old room to this
    guest and to whoever books it next. All of it goes back, and the order is what it was.
    """
    order = await house.paid_order(in_h=3)
    other = house.shop.rooms[1]
    until = order.ends_at + timedelta(hours=1)
    one = await change_service.move(house.cloud, house.who, order.id, other.id, None, until)
    payment = await change_service.pay(
        house.cloud, house.who, order.id, one.id, provider="cashier", channel="page",
        return_path=None,
    )  # fmt: skip
    async with house.cloud.db.write() as session:
        status = await session.get_one(StoreStatus, order.store_id)
        status.online, status.nonce = False, None
        session.add(status)
    house.till.pay(payment.number)

    async def over() -> bool:
        async with house.cloud.db.read() as session:
            return (await session.get_one(OrderChange, one.id)).state == "lapsed"

    await house.run(over)
    now = await house.again(order)
    assert (now.status, now.room_id, now.ends_at) == ("ready", order.room_id, order.ends_at)
    assert now.paid_fen - now.refunded_fen - now.refunding_fen == order.total_fen
    stranger = await guest(house)
    await house.order(in_h=3, room=other, guest=stranger)  # what was held is free again
    await in_order(house)
