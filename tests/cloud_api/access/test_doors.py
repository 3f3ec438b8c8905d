"""Doors over HTTP and the database: what is shown, what is sent, what is refused."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import httpx
from sqlmodel import col, select, update

from cloud_api.access import service as access
from cloud_api.access.models import Grant
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit.actor import Customer
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.models import OutboxRow
from cloud_api.orders.models import Order
from cloud_api.stores.models import Room
from tests.cloud_api.access.conftest import Guest
from tests.cloud_api.answers import answering
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    reported,
)


async def commands(db: Database) -> list[DeviceCommand]:
    async with db.read() as session:
        query = select(DeviceCommand).order_by(col(DeviceCommand.id))
        return list((await session.exec(query)).all())


async def test_looking_opens_nothing(db: Database, shop: Shop, guest: Guest, order: Order):
    view = await guest.look(shop.door.token)
    assert view["case"] == "ready"
    assert view["can_unlock"] is True
    assert view["message"] == "到了，请进"
    assert view["order_id"] == order.id
    assert view["room"]["name"] == "竹间"
    assert view["opens_at"] == "2026-11-23T03:55:00Z"
    assert len(view["pin"]) == 6
    assert view["pass"].startswith("K1:")
    assert await commands(db) == []


async def test_nobody_logged_in_sees_the_door_and_may_nothing(
    client: httpx.AsyncClient, shop: Shop, order: Order
):
    view = (await client.get(f"/api/v1/doors/{shop.door.token}")).json()
    assert (view["case"], view["can_unlock"]) == ("login", False)
    for secret in ("pin", "pass", "order_id", "starts_at"):
        assert view[secret] is None
    refused = await client.post(f"/api/v1/doors/{shop.door.token}/unlock")
    assert refused.status_code == 401


async def test_one_tap_is_one_command_with_the_stores_answer(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order
):
    store = answering(cloud, "done")
    answer = await guest.tap(shop.door.token)
    await store
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["state"], body["message"], body["again"]) == ("done", "开了，请推门", False)
    assert body["evidence"] == {"f": 1}
    (command,) = await commands(db)
    async with db.read() as session:
        grant = (await session.exec(select(Grant))).one()
        rows = (await session.exec(select(OutboxRow))).all()
    assert command.target == shop.door.id
    assert command.action == "unlock"
    assert command.args == {"grant": grant.id}
    assert command.by == f"customer:{guest.account.id}"
    assert command.expires_at - command.created_at == timedelta(seconds=10)
    assert [(r.topic, r.body, r.expires_at) for r in rows] == [
        ("command", {"command_id": command.id}, command.expires_at)
    ]


async def test_a_double_tap_is_one_command(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, wire
):
    """Five fingers at once, then once more just after it opened: the lock is told once."""
    store = answering(cloud, "done")
    answers = await asyncio.gather(*(guest.tap(shop.door.token) for _ in range(5)))
    await store
    assert {a.json()["command_id"] for a in answers} == {(await commands(db))[0].id}
    assert sum(not a.json()["again"] for a in answers) == 1
    wire.pass_time(2.9)
    assert (await guest.tap(shop.door.token)).json()["again"] is True
    assert len(await commands(db)) == 1
    wire.pass_time(0.1)
    store = answering(cloud, "done")
    later = await guest.tap(shop.door.token)
    await store
    assert later.json()["again"] is False
    assert len(await commands(db)) == 2


async def test_two_taps_at_once_at_a_door_open_to_all_are_one_command(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, clocks: Clocks
):
    """The second tap arrives while the first is not yet written down: it waits, and sees it."""
    async with db.write() as session:
        await session.exec(update(Room).values(mode="open"))
    actor = Customer(account_id=guest.account.id)

    async def tap() -> tuple[DeviceCommand, bool]:
        async with db.write() as session:
            return await access.unlock(session, actor, shop.door.token, clocks, "test")

    async with db.write() as session:
        first, _ = await access.unlock(session, actor, shop.door.token, clocks, "test")
        second = asyncio.create_task(tap())
        await asyncio.wait([second], timeout=0.3)
    command, again = await second
    assert (command.id, again) == (first.id, True)
    assert len(await commands(db)) == 1


async def test_unknown_is_not_pulsed_again_before_it_expired(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, wire
):
    store = answering(cloud, "unknown", "restarted")
    first = await guest.tap(shop.door.token)
    await store
    assert first.json()["message"] == "没收到门的回话，可能已经开了，推一下试试"
    wire.pass_time(9.9)
    assert (await guest.tap(shop.door.token)).json()["again"] is True
    wire.pass_time(0.1)
    store = answering(cloud, "done")
    assert (await guest.tap(shop.door.token)).json()["again"] is False
    await store


async def test_the_same_key_is_the_same_answer(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, wire
):
    store = answering(cloud, "done")
    first = await guest.tap(shop.door.token, **{"Idempotency-Key": "tap-1"})
    await store
    wire.pass_time(60)
    again = await guest.tap(shop.door.token, **{"Idempotency-Key": "tap-1"})
    assert again.json() == first.json()
    assert len(await commands(db)) == 1


async def test_no_answer_is_unknown_and_never_done(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, monkeypatch
):
    monkeypatch.setattr("cloud_api.access.service.UNLOCK_VALID_S", 0.3)
    monkeypatch.setattr("cloud_api.devices.service.ON_ITS_WAY", timedelta(0))
    answer = await guest.tap(shop.door.token)
    body = answer.json()
    assert (body["state"], body["reason"], body["final"]) == ("unknown", "no_answer", True)
    assert (await commands(db))[0].state == "created"  # a late answer still counts


async def test_an_answer_through_another_process_is_found(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order
):
    """Its acknowledgement resolves no future here; the row is looked at."""
    store = answering(cloud, "failed", "device_offline")
    cloud.waiters.resolve = lambda *_: None  # type: ignore[method-assign]
    answer = await guest.tap(shop.door.token)
    await store
    assert answer.json()["message"] == "门锁没有反应"


async def test_why_not(
    db: Database, shop: Shop, guest: Guest, order: Order, clocks: Clocks, business, now: datetime
):
    """Each refusal has its code, its sentence and its facts; nothing is sent."""
    business.step(-3600)
    early = await guest.tap(shop.door.token)
    assert (early.status_code, early.json()["code"]) == (409, "door.early")
    assert early.json()["detail"] == "早到了，11:55 起可以进"
    assert early.json()["opens_at"] == "2026-11-23T03:55:00Z"
    business.step(3600)

    other = await guest.tap(shop.doors[1].token)
    assert other.json()["code"] == "door.other_room"
    assert other.json()["detail"] == "这间不是你的，你订的是竹间"
    view = await guest.look(shop.doors[1].token)
    assert view["right_room"] == {"id": shop.room.id, "name": "竹间", "door_name": "竹间门"}

    async with db.write() as session:
        await session.exec(update(StoreStatus).values(online=False, nonce=None))
    offline = await guest.tap(shop.door.token)
    assert (offline.status_code, offline.json()["code"]) == (409, "store.offline")
    view = await guest.look(shop.door.token)
    assert view["case"] == "store_offline"
    assert view["pin"]
    assert view["pass"]

    business.pass_time(10 * 60 + 2 * 3600)
    assert (await guest.tap(shop.door.token)).json()["code"] == "door.ended"
    assert await commands(db) == []


async def test_anothers_order_opens_nothing(db: Database, shop: Shop, guest: Guest, now: datetime):
    async with db.write() as session:
        somebody = await make_customer(session, now)
        await make_order(session, shop, somebody, now, now=now)
    view = await guest.look(shop.door.token)
    assert view["case"] == "none_taken"
    assert view["order_id"] is None
    assert view["starts_at"] is None  # not a word of the other's booking
    assert {r["name"] for r in view["other_rooms"]} == {"梅间", "听雨"}
    assert (await guest.tap(shop.door.token)).json()["code"] == "door.none_taken"


async def test_a_free_room_says_until_when_and_for_how_much(
    db: Database, shop: Shop, guest: Guest, now: datetime
):
    async with db.write() as session:
        somebody = await make_customer(session, now)
        await make_order(session, shop, somebody, now + timedelta(hours=3), now=now)
    view = await guest.look(shop.door.token)
    assert view["case"] == "none_free"
    assert view["free_until"] == "2026-11-23T06:45:00Z"  # cleaning taken off
    assert view["price_from_fen"] == 3800


async def test_unpaid_says_until_when_and_how_much(
    db: Database, shop: Shop, guest: Guest, now: datetime
):
    async with db.write() as session:
        await make_order(session, shop, guest.account, now, now=now, status="pending_payment")
    view = await guest.look(shop.door.token)
    assert (view["case"], view["due_fen"]) == ("unpaid", 7600)
    assert view["held_until"] == "2026-11-23T04:10:00Z"
    assert view["pin"] is None
    assert (await guest.tap(shop.door.token)).json()["code"] == "door.unpaid"


async def test_cleaning_and_maintenance(
    db: Database, shop: Shop, guest: Guest, now: datetime, business
):
    async with db.write() as session:
        somebody = await make_customer(session, now)
        await make_order(
            session, shop, somebody, now - timedelta(hours=2), now=now, status="in_use"
        )
        await session.exec(
            update(Room).where(col(Room.id) == shop.rooms[1].id).values(mode="maintenance")
        )
    view = await guest.look(shop.door.token)
    assert (view["case"], view["busy_until"]) == ("cleaning", "2026-11-23T04:15:00Z")
    assert view["message"] == "正在保洁，12:15 后可以用"
    assert (await guest.look(shop.doors[1].token))["case"] == "maintenance"


async def test_the_door_waits_for_the_cleaning_before(
    db: Database, shop: Shop, guest: Guest, now: datetime, business
):
    """Another's stay until 12:00, cleaned until 12:10: ours from 12:15 opens at 12:10, not at 12:00."""
    async with db.write() as session:
        somebody = await make_customer(session, now)
        await make_order(
            session,
            shop,
            somebody,
            now - timedelta(hours=2),
            now=now,
            status="in_use",
            cleaning_s=600,
        )
        await make_order(session, shop, guest.account, now + timedelta(minutes=15), now=now)
    view = await guest.look(shop.door.token)
    assert (view["case"], view["opens_at"]) == ("early", "2026-11-23T04:10:00Z")
    business.pass_time(599)
    assert (await guest.look(shop.door.token))["case"] == "early"
    business.pass_time(1)
    assert (await guest.look(shop.door.token))["case"] == "ready"


async def test_a_dead_lock_is_said_and_heals(
    cloud: Cloud, db: Database, shop: Shop, guest: Guest, order: Order, wire
):
    store = answering(cloud, "failed", "device_offline")
    await guest.tap(shop.door.token)
    await store
    view = await guest.look(shop.door.token)
    assert (view["case"], view["can_unlock"]) == ("lock_dead", True)
    assert view["lock_failed_at"] == "2026-11-23T04:00:00Z"
    wire.pass_time(30)

    async def report(state: str) -> None:
        boards = [{"id": b.id, "state": "online", "detail": ""} for b in shop.boards]
        boards[0]["state"] = state
        said = reported(shop, cloud.clocks.real, boards=boards)
        async with db.write() as session:
            await session.exec(
                update(StoreStatus).values(reported=said, reported_at=cloud.clocks.real)
            )

    await report("offline")
    assert (await guest.look(shop.door.token))["case"] == "lock_dead"
    await report("online")  # newer than the failure
    assert (await guest.look(shop.door.token))["case"] == "ready"


async def test_taps_are_limited(db: Database, shop: Shop, guest: Guest):
    for _ in range(20):
        assert (await guest.tap(shop.door.token)).json()["code"] == "door.none_free"
    refused = await guest.tap(shop.door.token)
    assert (refused.status_code, refused.json()["code"]) == (429, "too_often")


# ------------------------------------------------------------------------------- staff from afar


async def test_staff_opens_from_afar_with_a_reason(
    cloud: Cloud, db: Database, client: httpx.AsyncClient, shop: Shop, now: datetime
):
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        headers = bearer(await make_login(session, member.account_id, now))
    path = f"/api/v1/console/doors/{shop.door.id}/unlock"
    missing = await client.post(path, json={"why": " 急 "}, headers=headers)
    assert (missing.status_code, missing.json()["code"]) == (422, "why.missing")
    assert await commands(db) == []
    store = answering(cloud, "done")
    answer = await client.post(path, json={"why": "客人忘带手机"}, headers=headers)
    await store
    assert answer.json()["state"] == "done"
    (command,) = await commands(db)
    assert (command.by, command.why) == (f"staff:{member.id}", "客人忘带手机")
    assert command.args == {}


async def test_stickers_carry_the_doors_address(
    db: Database, client: httpx.AsyncClient, shop: Shop, now: datetime
):
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        headers = bearer(await make_login(session, member.account_id, now))
    answer = await client.get(f"/api/v1/console/stores/{shop.store.id}/stickers", headers=headers)
    urls = [item["url"] for item in answer.json()["items"]]
    assert f"http://kaimen.test/d/{shop.door.token}" in urls
    assert len(urls) == 4
