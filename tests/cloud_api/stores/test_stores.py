"""Stores, rooms and doors: what everybody sees, when a store is open, what an owner changes."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import httpx
import pytest
from sqlmodel import select

from cloud_api.kit.database import Database
from cloud_api.kit.models import OutboxRow
from cloud_api.stores.hours import opening_intervals
from cloud_api.stores.models import Store
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff


def store(**values: Any) -> Store:
    made = datetime(2026, 1, 1, tzinfo=UTC)
    return Store(merchant_id="m", name="s", address="", phone="", created_at=made, **values)


@pytest.mark.parametrize(
    ("values", "day", "opens", "closes"),
    [
        ({}, "2026-11-23", "2026-11-22T16:00", "2026-11-23T16:00"),
        (
            {"opens": "10:00", "closes": "22:00"},
            "2026-11-23",
            "2026-11-23T02:00",
            "2026-11-23T14:00",
        ),
        (
            {"opens": "10:00", "closes": "02:00"},
            "2026-11-23",
            "2026-11-23T02:00",
            "2026-11-23T18:00",
        ),
        (
            {"opens": "08:00", "closes": "08:00"},
            "2026-11-23",
            "2026-11-23T00:00",
            "2026-11-24T00:00",
        ),
        # a night on which the clocks go back is an hour longer
        (
            {"tz": "America/New_York", "opens": "22:00", "closes": "04:00"},
            "2026-10-31",
            "2026-11-01T02:00",
            "2026-11-01T09:00",
        ),
        ({"tz": "America/New_York"}, "2026-11-01", "2026-11-01T04:00", "2026-11-02T05:00"),
    ],
)
def test_opening_hours(values: dict[str, object], day: str, opens: str, closes: str):
    ((start, end),) = opening_intervals(store(**values), date.fromisoformat(day))
    assert (start.isoformat()[:16], end.isoformat()[:16]) == (opens, closes)


async def test_everybody_sees_stores_and_rooms_without_tokens(
    client: httpx.AsyncClient, shop: Shop
):
    listed = (await client.get("/api/v1/stores")).json()["items"]
    assert [s["name"] for s in listed] == ["雀友会·静安店"]
    one = await client.get(f"/api/v1/stores/{shop.store.id}")
    assert one.json()["rules"]["lead_s"] == 900
    rooms = await client.get(f"/api/v1/stores/{shop.store.id}/rooms")
    assert [r["name"] for r in rooms.json()["items"]] == ["竹间", "梅间", "听雨"]
    room = await client.get(f"/api/v1/rooms/{shop.room.id}")
    assert room.json()["mode"] == "normal"
    for answer in (one, rooms, room):
        assert "token" not in answer.text
        assert shop.merchant.id not in answer.text
    assert (await client.get("/api/v1/stores/none/rooms")).status_code == 404
    assert (await client.get("/api/v1/rooms/none")).status_code == 404


async def test_an_owner_changes_rules_and_the_store_is_told(
    client: httpx.AsyncClient, shop: Shop, db: Database, now: datetime
):
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        headers = bearer(await make_login(session, member.account_id, now))
    path = f"/api/v1/console/stores/{shop.store.id}"
    done = await client.patch(
        path, json={"grace_s": 300, "opens": "10:00", "closes": "02:00"}, headers=headers
    )
    assert (done.json()["rules"]["grace_s"], done.json()["opens"]) == (300, "10:00")
    async with db.read() as session:
        assert [r.topic for r in (await session.exec(select(OutboxRow))).all()] == ["desired"]
    for body, code in (
        ({"min_minutes": 900}, "store.min_above_max"),
        ({"opens": None}, "store.half_hours"),
        ({"lead_s": -1}, "invalid"),
        ({"opens": "25:00"}, "invalid"),
        ({"id": "x"}, "invalid"),
    ):
        refused = await client.patch(path, json=body, headers=headers)
        assert (refused.status_code, refused.json()["code"]) == (422, code), refused.text
    allday = await client.patch(path, json={"opens": None, "closes": None}, headers=headers)
    assert allday.json()["opens"] is None
