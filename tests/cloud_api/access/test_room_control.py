"""A guest steering the room of a running stay: what is theirs, while it runs, and not a minute longer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import httpx
from sqlmodel import col, select, update

from cloud_api.access.room_control import let_go
from cloud_api.devices.models import Binding, Board, DeviceCommand, StoreStatus
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.orders import followers
from cloud_api.orders.models import Order
from cloud_api.worker import register_jobs
from tests.cloud_api.access.conftest import Guest
from tests.cloud_api.answers import answering
from tests.cloud_api.factories import Shop, bearer, make_customer, make_login


async def begin(db: Database, order: Order) -> None:
    async with db.write() as session:
        row = await session.get_one(Order, order.id)
        row.status, row.entered_at = "in_use", row.starts_at
        session.add(row)


async def steer(guest: Guest, order: Order, binding: Binding, **body: Any) -> httpx.Response:
    path = f"/api/v1/orders/{order.id}/devices/{binding.id}/actions"
    return await guest.client.post(path, json=body, headers=guest.headers)


async def commands(db: Database) -> list[DeviceCommand]:
    async with db.read() as session:
        query = select(DeviceCommand).order_by(col(DeviceCommand.created_at), col(DeviceCommand.id))
        return list((await session.exec(query)).all())


async def test_a_guest_switches_until_the_stay_ends_and_it_is_let_go_then(
    cloud: Cloud, db: Database, clocks: Clocks, shop: Shop, guest: Guest, order: Order
):
    table = shop.bindings["竹间.table"]
    early = await steer(guest, order, table, on=False)
    assert (early.status_code, early.json()["code"]) == (409, "stay.not_running")
    await begin(db, order)
    store = answering(cloud, "done")
    answer = await steer(guest, order, table, on=False)
    await store
    assert answer.json()["state"] == "done"
    (made,) = await commands(db)
    assert (made.action, made.target, made.order_id) == ("set", table.id, order.id)
    # Their own paid power, so the store is told that it may be cut; to the end of the stay alone.
    assert made.args == {"on": False, "force": True, "for_s": 130 * 60}
    async with db.write() as session:
        row = await session.get_one(Order, order.id)
        row.status = "completed"
        await let_go(session, row, "in_use", "store", clocks)
        await let_go(session, row, "ready", "store", clocks)
    assert [(c.action, c.target) for c in await commands(db)] == [
        ("set", table.id),
        ("clear", table.id),
    ]
    register_jobs()
    assert "access.room_control" in followers._followers


async def test_what_is_not_of_the_room_is_not_there(
    db: Database, shop: Shop, guest: Guest, order: Order, client: httpx.AsyncClient, clocks: Clocks
):
    await begin(db, order)
    async with db.write() as session:
        stranger = await make_customer(session, clocks.now)
        token = await make_login(session, stranger.id, clocks.now)
        shared = await session.get_one(Binding, shop.bindings["竹间.ac"].id)
        shared.rooms = [shop.rooms[0].id, shop.rooms[1].id]
        session.add(shared)
    for name in ("竹间.lock", "梅间.table", "竹间.ac"):
        refused = await steer(guest, order, shop.bindings[name], on=True)
        assert (refused.status_code, refused.json()["code"]) == (404, "device.not_found"), name
    path = f"/api/v1/orders/{order.id}/devices/{shop.bindings['竹间.table'].id}/actions"
    theirs = await client.post(path, json={"on": True}, headers=bearer(token))
    assert theirs.status_code == 404
    for body in ({}, {"setpoint": 24}, {"on": True, "setpoint": 24}, {"on": "yes"}):
        assert (await steer(guest, order, shop.bindings["竹间.table"], **body)).status_code == 422
    async with db.write() as session:
        await session.exec(update(StoreStatus).values(online=False, nonce=None))
    away = await steer(guest, order, shop.bindings["竹间.table"], on=True)
    assert (away.status_code, away.json()["code"]) == (409, "store.offline")
    assert await commands(db) == []


async def test_degrees_within_what_the_device_takes(
    cloud: Cloud, db: Database, clocks: Clocks, shop: Shop, guest: Guest, order: Order
):
    await begin(db, order)
    own: dict[str, Any] = {
        "merchant_id": shop.merchant.id,
        "store_id": shop.store.id,
        "created_at": clocks.now,
    }
    async with db.write() as session:
        board = Board(name="空调", profile="haier.ycj-a002", port="ac-1", **own)
        session.add(board)
        await session.flush()
        air = Binding(
            board_id=board.id, name="空调温度", capability="climate.set", role="ac",
            rooms=[shop.room.id], **own,
        )  # fmt: skip
        session.add(air)
    cold = await steer(guest, order, air, setpoint=5)
    assert (cold.status_code, cold.json()["code"]) == (422, "climate.out_of_range")
    store = answering(cloud, "done")
    assert (await steer(guest, order, air, setpoint=24)).json()["state"] == "done"
    await store
    (made,) = await commands(db)
    assert (made.action, made.args["setpoint"]) == ("climate", 24)
    assert made.args["for_s"] == timedelta(minutes=130).total_seconds()
