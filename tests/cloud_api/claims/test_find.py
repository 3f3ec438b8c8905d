"""GET /stores: the nearest first, only those with one room for all that is asked, in pages."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from cloud_api.kit.database import Database
from cloud_api.stores.near import metres
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_login,
    make_order,
    make_staff,
    make_store,
)
from tests.support.statements import statements

HERE = (31.2304, 121.4737)  # 上海 人民广场
TABLE, AC = {"kind": "table", "brand": "雀友"}, {"kind": "ac"}


@pytest.fixture
async def town(db: Database, now: datetime) -> dict[str, Shop]:
    """Three stores with a position, one without, and one of a suspended merchant."""
    places = {
        "静安店": (31.2290, 121.4480),
        "浦东店": (31.2350, 121.5060),
        "苏州店": (31.2990, 120.5853),
        "无名店": (None, None),
        "停业店": HERE,
    }
    shops = {}
    async with db.write() as session:
        for name, (lat, lon) in places.items():
            shops[name] = await make_store(session, now, name=name, rooms=2, lat=lat, lon=lon)
        small, large = shops["静安店"].rooms
        small.equipment, small.capacity = [TABLE, AC], 4
        large.equipment, large.capacity = [TABLE], 8
        (wide, _), (_, sold_off) = shops["浦东店"].rooms, shops["苏州店"].rooms
        wide.equipment, wide.capacity, sold_off.selling = [TABLE, AC], 8, "off"
        shops["停业店"].merchant.suspended_at = now
        account = await make_customer(session, now)
        await make_order(session, shops["静安店"], account, now, now=now, status="in_use")
        await make_order(
            session, shops["浦东店"], account, now + timedelta(hours=4), now=now, minutes=120
        )
        session.add_all([small, large, wide, sold_off, shops["停业店"].merchant])
    return shops


async def ask(client: httpx.AsyncClient, **params: Any) -> dict[str, Any]:
    answer = await client.get("/api/v1/stores", params=params)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def names(client: httpx.AsyncClient, **params: Any) -> list[str]:
    return [one["name"] for one in (await ask(client, **params))["items"]]


async def test_the_nearest_come_first_with_their_distance(
    client: httpx.AsyncClient, town: dict[str, Shop]
):
    place = {"lat": HERE[0], "lng": HERE[1]}
    found = (await ask(client, **place))["items"]
    assert [one["name"] for one in found] == ["静安店", "浦东店", "苏州店", "无名店"]
    for one in found[:3]:
        assert one["distance_m"] == metres(HERE, (one["lat"], one["lon"]))
    assert 2400 < found[0]["distance_m"] < 2500
    assert found[3]["distance_m"] is None
    assert await names(client, **place, within_m=10_000) == ["静安店", "浦东店"]
    assert await names(client, **place, q="苏州店") == ["苏州店"]
    # From the other side of the date line a store at 179.9° is a neighbour, not a world away.
    east = await client.get("/api/v1/stores", params={"lat": 31.2, "lng": -179.9, "limit": 1})
    assert [one["name"] for one in east.json()["items"]] == ["浦东店"]
    half = await client.get("/api/v1/stores", params={"lat": 31.2})
    assert (half.status_code, half.json()["code"], half.json()["field"]) == (
        422, "stores.half_place", "lng",
    )  # fmt: skip


async def test_pages_follow_each_other_by_name_and_by_distance(
    client: httpx.AsyncClient, town: dict[str, Shop]
):
    for place in ({}, {"lat": HERE[0], "lng": HERE[1]}):
        whole, seen, cursor = await names(client, **place), [], None
        for _ in range(len(whole)):
            page = await ask(client, **place, limit=1, **({"cursor": cursor} if cursor else {}))
            seen += [one["name"] for one in page["items"]]
            cursor = page["next_cursor"]
        assert (seen, cursor) == (whole, None)
        for bad in ("x", "WzEsMl0", "WyJcdTAwMDAiLCJhIl0", "WyJcdWQ4MDAiLCJhIl0"):
            refused = await client.get("/api/v1/stores", params=place | {"cursor": bad})
            assert (refused.status_code, refused.json()["code"]) == (422, "cursor.bad"), bad


async def test_one_room_has_to_meet_all_that_is_asked(
    client: httpx.AsyncClient, town: dict[str, Shop], now: datetime
):
    assert await names(client, seats=8) == ["浦东店", "静安店"]
    assert await names(client, seats=8, facility="ac") == ["浦东店"]
    assert await names(client, facility=["ac", "table"], max_fen=3800) == ["浦东店", "静安店"]
    assert await names(client, max_fen=3799) == []
    # 静安's only room for air conditioning is in use; its other room is free.
    assert await names(client, facility="ac", free_now=True) == ["浦东店"]
    (jingan,) = (await ask(client, q="静安店", free_now=True))["items"]
    assert (jingan["rooms_total"], jingan["rooms_free"]) == (2, 1)
    assert [room["name"] for room in jingan["rooms"]] == ["梅间"]
    assert (jingan["price_from_fen"], jingan["online"]) == (3800, True)
    # At four o'clock the wide room of 浦东 is taken, at six plus cleaning it is free again.
    later = {"seats": 8, "facility": "ac"}
    at = [(now + timedelta(minutes=m)).isoformat() for m in (240, 375, 370)]
    assert await names(client, **later, free_at=at[0]) == []
    assert await names(client, **later, free_at=at[1], minutes=120) == ["浦东店"]
    assert await names(client, **later, free_at=at[2]) == []
    # Ending at four is not free: the room is cleaned before the next guest.
    three = (now + timedelta(hours=3)).isoformat()
    assert await names(client, **later, free_at=three, minutes=60) == []
    (gone,) = (await ask(client, q="浦东店"))["items"]
    assert gone["next_free_at"] == now.isoformat().replace("+00:00", "Z")
    assert await names(client, free_at=(now + timedelta(days=40)).isoformat()) == []


async def test_more_stores_cost_no_more_statements(
    client: httpx.AsyncClient, db: Database, now: datetime, town: dict[str, Shop]
):
    async def count() -> int:
        with statements(db) as told:
            await ask(client, lat=HERE[0], lng=HERE[1], free_now=True, limit=50)
        return len(told)

    few = await count()
    async with db.write() as session:
        for n in range(12):
            await make_store(session, now, name=f"分店 {n}", rooms=1, lat=31.0, lon=121.0)
    assert await count() == few


async def test_lists_of_the_console_are_read_in_pages(
    client: httpx.AsyncClient, db: Database, now: datetime, shop: Shop
):
    async with db.write() as session:
        for n in range(3):
            await make_store(session, now, merchant=shop.merchant, name=f"分店 {n}", rooms=1)
        members = [await make_staff(session, shop, now) for _ in range(3)]
        headers = bearer(await make_login(session, members[0].account_id, now))
    for path, total in (("stores", 4), ("staff", 3)):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            answer = await client.get(
                f"/api/v1/console/{path}", params={"limit": "2"} | cursor, headers=headers
            )
            assert len(answer.json()["items"]) <= 2
            seen += [one["id"] for one in answer.json()["items"]]
            if answer.json()["next_cursor"] is None:
                break
            cursor = {"cursor": answer.json()["next_cursor"]}
        assert len(seen) == len(set(seen)) == total
