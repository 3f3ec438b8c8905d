"""I1 over HTTP: two hundred people at once want overlapping times of ten rooms, through the real app.

Nobody sees a crash, every refusal has a code that a client may rely on, and no room has two owners.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlmodel import col, select

from cloud_api.app import create_app
from cloud_api.claims.models import RoomClaim
from cloud_api.kit.cloud import Cloud
from cloud_api.orders.models import Order
from tests.cloud_api.factories import Shop, bearer, make_customer, make_login, make_store
from tests.concurrency.races import drop_guard, overlaps
from tests.support.ports import free_port
from tests.support.serving import served_here

CLIENTS = 200
ROOMS = 10


@asynccontextmanager
async def _served(app: FastAPI) -> AsyncIterator[str]:
    port = free_port()
    async with served_here(app, port, backlog=512, timeout_keep_alive=60):
        yield f"http://127.0.0.1:{port}/api/v1"


async def _rush(cloud: Cloud, clients: int) -> tuple[Shop, Counter[str]]:
    """Everybody quotes one stretch and orders it; what they were told, as ``quote 409 book.taken``."""
    dice = random.Random(1)
    async with cloud.db.write() as session:
        shop = await make_store(session, cloud.clocks.now, rooms=ROOMS)
        tokens = []
        for _ in range(clients):
            account = await make_customer(session, cloud.clocks.now)
            tokens.append(await make_login(session, account.id, cloud.clocks.real))
    told: Counter[str] = Counter()
    noon = cloud.clocks.now + timedelta(hours=3)

    async def person(index: int, http: httpx.AsyncClient) -> None:
        starts = noon + timedelta(minutes=30 * dice.randrange(4))
        wish = {
            "room_id": shop.rooms[index % ROOMS].id,
            "starts_at": starts.isoformat(),
            "ends_at": (starts + timedelta(hours=3)).isoformat(),
        }
        who = bearer(tokens[index])
        quote = await http.post("/quotes", json=wish, headers=who)
        told[f"quote {quote.status_code} {quote.json().get('code', '')}"] += 1
        if quote.status_code != 200:
            return
        body = {"quote_id": quote.json()["id"]}
        key = {"Idempotency-Key": f"order-{index}"}
        order = await http.post("/orders", json=body, headers=who | key)
        told[f"order {order.status_code} {order.json().get('code', '')}"] += 1

    app = create_app(cloud.settings, clocks=cloud.clocks, cloud=cloud, pages=False)
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)
    async with (
        _served(app) as url,
        httpx.AsyncClient(base_url=url, timeout=300, trust_env=False, limits=limits) as http,
    ):
        await asyncio.gather(*(person(index, http) for index in range(clients)))
    return shop, told


@pytest.mark.timeout(600)  # four hundred requests, on a machine that others may use as well
async def test_ten_rooms_have_ten_owners_and_nobody_sees_a_crash(cloud: Cloud) -> None:
    shop, told = await _rush(cloud, CLIENTS)
    answers = {line.split(" ", 1)[1] for line in told}
    assert answers <= {"200 ", "409 book.taken", "503 busy"}, told
    assert told["quote 200 "] + told["quote 503 busy"] == CLIENTS
    assert told["order 200 "] == ROOMS  # all windows of a room overlap
    assert await overlaps(cloud.db) == 0
    async with cloud.db.read() as session:
        orders = (await session.exec(select(Order))).all()
        live = await session.exec(select(RoomClaim).where(col(RoomClaim.state) != "released"))
        claims = {claim.id: claim for claim in live}
    assert {order.room_id for order in orders} == {room.id for room in shop.rooms}
    assert {order.claim_id for order in orders} == set(claims)
    assert all(claims[order.claim_id].order_id == order.id for order in orders)


async def test_control_without_the_guard_the_same_rush_sells_a_room_twice(cloud: Cloud) -> None:
    """The negative control: it is the database that kept them apart, not luck."""
    await drop_guard(cloud.db)
    _, told = await _rush(cloud, 20)
    assert told["order 200 "] > ROOMS
    assert await overlaps(cloud.db) > 0
