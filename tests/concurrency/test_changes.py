"""An extension racing a booking, a cancellation racing the guests at the door: one of the two, whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.orders import cancel, change_service, store_events
from store_link.messages import StayBody, StayState
from tests.cloud_api.factories import Shop, make_customer
from tests.cloud_api.house import House, running_house
from tests.concurrency.races import drop_guard, overlaps
from tests.support.cashier import Till, running_till


@pytest.fixture
def till(clocks: Clocks) -> Iterator[Till]:
    def now() -> float:
        return clocks.real.timestamp()

    with running_till(now=now) as running:
        yield running


@pytest.fixture
async def house(cloud: Cloud, shop: Shop, till: Till) -> AsyncIterator[House]:
    async with running_house(cloud, shop, till) as running:
        yield running


async def test_an_extension_and_a_booking_of_the_same_time_have_one_winner(house: House) -> None:
    orders = [await house.paid_order(room=room, in_h=3, hours=2) for room in house.shop.rooms]
    async with house.cloud.db.write() as session:
        strangers = [await make_customer(session, house.cloud.clocks.now) for _ in orders]

    async def extend(index: int) -> str:
        try:
            await change_service.extend(house.cloud, house.who, orders[index].id, 60)
        except Conflict as refused:
            return refused.code
        return "held"

    async def book(index: int) -> str:
        try:
            await house.order(
                room=house.shop.rooms[index], in_h=5.5, hours=1, guest=strangers[index]
            )
        except Conflict as refused:
            return refused.code
        return "held"

    told = await asyncio.gather(
        *(act(index) for index in range(len(orders)) for act in (extend, book))
    )
    for index in range(len(orders)):
        assert [told[2 * index], told[2 * index + 1]].count("held") == 1
    assert await overlaps(house.cloud.db) == 0


async def test_control_without_the_guard_a_booking_goes_over_an_extension(house: House) -> None:
    """The negative control: it is the database that kept the two apart."""
    order = await house.paid_order(in_h=3, hours=2)
    await drop_guard(house.cloud.db)
    await change_service.extend(house.cloud, house.who, order.id, 60)
    async with house.cloud.db.write() as session:
        stranger = await make_customer(session, house.cloud.clocks.now)
    await house.order(in_h=5.5, hours=1, guest=stranger)
    assert await overlaps(house.cloud.db) > 0


async def test_cancelling_while_the_guests_go_in_is_one_or_the_other(house: House) -> None:
    """Never money back for a room in use, nor a room in use that was sold again."""
    orders = [await house.paid_order(room=room, in_h=0.5) for room in house.shop.rooms]
    house.passes(20 * 60)

    refusals: set[str] = set()

    async def give_up(index: int) -> None:
        try:
            async with house.cloud.db.write() as session:
                await cancel.cancel(session, house.who, orders[index].id, house.cloud.clocks)
        except KaimenError as refused:
            refusals.add(refused.code)

    async def go_in(index: int) -> None:
        order = orders[index]
        body = StayBody(
            stay=order.claim_id, room=order.room_id, was=StayState.OPEN, now=StayState.IN_USE,
            why="unlock",
        )  # fmt: skip
        async with house.cloud.db.write() as session:
            await store_events.apply_stay(
                session, house.shop.store, body, house.cloud.clocks.now, house.cloud.clocks
            )

    await asyncio.gather(*(act(i) for i in range(len(orders)) for act in (give_up, go_in)))
    assert refusals <= {"cancel.started"}
    for order in orders:
        after, claim = await house.again(order), await house.claim(order)
        assert (after.status, claim.state, after.refunding_fen > 0) in {
            ("cancelled", "released", True),
            ("in_use", "in_use", False),
        }
    assert order.starts_at - house.cloud.clocks.now == timedelta(minutes=10)
