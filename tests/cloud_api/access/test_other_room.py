"""A lock that does not answer: another room for the rest of the time, free, once, and only for a real failure."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import col, select, update

from cloud_api.audit.models import AuditEntry
from cloud_api.claims.models import RoomClaim
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.orders.models import Order, OrderChange
from cloud_api.stores.models import Room
from tests.cloud_api.access.conftest import Guest
from tests.cloud_api.answers import answering
from tests.cloud_api.factories import Shop, make_customer, make_order


@pytest.fixture
async def rooms(db: Database, shop: Shop) -> None:
    """All rooms take as many people."""
    async with db.write() as session:
        await session.exec(
            update(Room).where(col(Room.store_id) == shop.store.id).values(capacity=4)
        )


async def ask(guest: Guest, order: Order, room: Room) -> httpx.Response:
    return await guest.client.post(
        f"/api/v1/orders/{order.id}/other-room", headers=guest.headers, json={"room_id": room.id}
    )


async def fails(cloud: Cloud, guest: Guest, shop: Shop, state: str = "failed") -> None:
    reason = "device_timeout" if state == "failed" else None
    store = answering(cloud, state, reason)
    assert (await guest.tap(shop.door.token)).status_code == 200
    await store


def refused(answer: httpx.Response) -> tuple[int, Any]:
    return answer.status_code, answer.json()["code"]


async def test_a_door_that_did_not_open_gives_another_room_free_and_once(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, now: datetime, rooms: None
):
    """The guest stood outside with a phone number and nothing else, and paid for the time."""
    assert refused(await ask(guest, order, shop.rooms[1])) == (409, "other_room.lock_answers")
    await fails(cloud, guest, shop)
    answer = await ask(guest, order, shop.rooms[1])
    assert answer.status_code == 200, answer.text
    async with db.read() as session:
        moved = await session.get_one(Order, order.id)
        (one,) = (await session.exec(select(OrderChange))).all()
        claim = await session.get_one(RoomClaim, moved.claim_id)
        audited = select(AuditEntry).where(col(AuditEntry.action) == "order.change")
        entry = (await session.exec(audited)).one()
    assert (moved.room_id, moved.total_fen) == (shop.rooms[1].id, order.total_fen)
    assert (moved.starts_at, moved.ends_at) == (order.starts_at, order.ends_at)
    assert claim.room_id == shop.rooms[1].id
    assert (one.state, one.diff_fen, one.fee_fen, one.why) == ("applied", 0, 0, entry.why)
    assert entry.why == "门锁没有反应，免费换房"
    assert refused(await ask(guest, moved, shop.rooms[2])) == (409, "other_room.once")


async def test_the_rest_of_the_time_begins_when_the_room_is_changed(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, wire: Any, rooms: None
):
    """Somebody was in the other room until a moment ago: only what is left has to be free."""
    del wire
    async with db.write() as session:
        other = await make_customer(session, cloud.clocks.now)
        before = await make_order(
            session, shop, other, order.starts_at, now=cloud.clocks.now,
            room=shop.rooms[1], minutes=30, status="completed", claim_state="released",
        )  # fmt: skip
        await session.exec(
            update(Order)
            .where(col(Order.id) == order.id)
            .values(starts_at=cloud.clocks.now - timedelta(minutes=20))
        )
    assert before.room_id == shop.rooms[1].id
    await fails(cloud, guest, shop)
    answer = await ask(guest, order, shop.rooms[1])
    assert answer.status_code == 200, answer.text
    async with db.read() as session:
        moved = await session.get_one(Order, order.id)
    assert moved.starts_at == cloud.clocks.now
    assert moved.ends_at == order.ends_at


async def test_a_lock_that_opened_after_all_is_no_reason(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, rooms: None
):
    """The answer came late: the row is done, and the guest can go in."""
    await fails(cloud, guest, shop)
    async with db.write() as session:
        await session.exec(update(DeviceCommand).values(state="done"))
    assert refused(await ask(guest, order, shop.rooms[1])) == (409, "other_room.lock_answers")


async def test_an_unanswered_tap_is_a_reason_once_it_can_open_nothing_any_more(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, rooms: None
):
    await fails(cloud, guest, shop, "unknown")
    assert refused(await ask(guest, order, shop.rooms[1])) == (409, "other_room.lock_answers")
    real = cloud.clocks.real
    async with db.write() as session:
        await session.exec(
            update(DeviceCommand).values(
                created_at=real - timedelta(seconds=11), expires_at=real - timedelta(seconds=1)
            )
        )
    assert (await ask(guest, order, shop.rooms[1])).status_code == 200


async def test_old_failures_and_other_peoples_taps_are_no_reason(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, rooms: None
):
    await fails(cloud, guest, shop)
    real = cloud.clocks.real
    for change in (
        {"created_at": real - timedelta(minutes=11)},
        {"created_at": real, "order_id": None},
    ):
        async with db.write() as session:
            await session.exec(update(DeviceCommand).values(**change))
        assert refused(await ask(guest, order, shop.rooms[1])) == (409, "other_room.lock_answers")


async def test_rooms_that_are_smaller_taken_or_not_sold_are_not_given(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, now: datetime, rooms: None
):
    await fails(cloud, guest, shop)
    async with db.write() as session:
        other = await make_customer(session, now)
        await make_order(
            session, shop, other, order.starts_at + timedelta(hours=1), now=now, room=shop.rooms[1]
        )
        await session.exec(
            update(Room).where(col(Room.id) == shop.rooms[2].id).values(capacity=2)
        )  # fmt: skip
    for room in (shop.rooms[0], shop.rooms[1], shop.rooms[2]):
        answer = await ask(guest, order, room)
        assert refused(answer) == (409, "other_room.not_free")
        assert answer.json()["rooms"] == []


async def test_who_is_inside_or_somebody_else_changes_nothing(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, now: datetime, rooms: None
):
    await fails(cloud, guest, shop)
    async with db.write() as session:
        await session.exec(update(Order).values(account_id=(await make_customer(session, now)).id))
    assert (await ask(guest, order, shop.rooms[1])).status_code == 404
    async with db.write() as session:
        await session.exec(update(Order).values(account_id=guest.account.id, status="in_use"))
    assert refused(await ask(guest, order, shop.rooms[1])) == (409, "other_room.over")
