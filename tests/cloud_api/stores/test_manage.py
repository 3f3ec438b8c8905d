"""Setting stores and rooms up through the API: facts, hours, order, giving rooms up."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from sqlmodel import col, select

from cloud_api.audit.models import AuditEntry
from cloud_api.kit.database import Database
from cloud_api.pricing.rules import is_open
from cloud_api.stores.hours import coming_exceptions, in_words, opening_intervals
from cloud_api.stores.models import Store
from tests.cloud_api.factories import Shop


async def test_a_store_and_its_rooms_are_set_up(
    client: httpx.AsyncClient, db: Database, shop: Shop, owner: dict[str, str]
) -> None:
    store = f"/api/v1/console/stores/{shop.store.id}"
    sent = {
        "lat": 31.23, "lon": 121.45, "wifi_name": "kaimen", "wifi_password": "secret99",
        "hours": [[["10:00", "14:00"], ["17:00", "02:00"]]] * 5 + [[["00:00", "00:00"]]] * 2,
        "days": {"2027-02-06": {"name": "春节", "hours": []}},
    }  # fmt: skip
    answer = await client.patch(store, json=sent, headers=owner)
    assert answer.status_code == 200, answer.text
    assert answer.json()["hours_text"] == "周一至周五 10:00–14:00、17:00–02:00，周六至周日 24 小时"
    told = (await client.get(store, headers=owner)).json()
    assert (told["wifi_password"], told["days"]["2027-02-06"]["hours"]) == ("secret99", [])
    public = (await client.get(f"/api/v1/stores/{shop.store.id}")).json()
    assert "wifi" not in str(public)
    bad = await client.patch(
        store, json={"hours": [[["10:00", "14:00"], ["13:00", "18:00"]]] * 7}, headers=owner
    )
    assert (bad.status_code, bad.json()["code"]) == (422, "store.hours_overlap")
    assert (await client.patch(store, json={"tz": "Mars/Base"}, headers=owner)).status_code == 422

    body = {
        "name": "云间", "capacity": 8, "kind": "大包", "tags": ["临窗"],
        "equipment": [{"kind": "table", "brand": "雀友", "model": "T8"}, {"kind": "air"}],
        "facilities": ["新风", "茶具"],
    }  # fmt: skip
    made = (await client.post(f"{store}/rooms", json=body, headers=owner)).json()
    assert (made["index"], made["texts"]) == (3, ["麻将机 雀友 T8", "新风", "茶具"])
    same = await client.post(f"{store}/rooms", json=body, headers=owner)
    assert same.json()["code"] == "room.name_taken"
    ids = [made["id"], *(room.id for room in shop.rooms)]
    ordered = await client.put(f"{store}/room-order", json={"room_ids": ids}, headers=owner)
    assert [room["id"] for room in ordered.json()["items"]] == ids
    wrong = await client.put(f"{store}/room-order", json={"room_ids": ids[1:]}, headers=owner)
    assert wrong.json()["code"] == "room.order"
    room = f"/api/v1/console/rooms/{made['id']}"
    edited = await client.patch(room, json={"selling": "walk_up"}, headers=owner)
    assert edited.json()["selling"] == "walk_up"
    ask = {
        "room_id": made["id"], "starts_at": "2026-11-24T18:00:00+08:00",
        "ends_at": "2026-11-24T20:00:00+08:00",
    }  # fmt: skip
    assert (await client.post("/api/v1/quotes", json=ask)).json()["code"] == "room.walk_up_only"
    assert (await client.post(f"{room}/retire", headers=owner)).json()["retired_at"]
    seen = (await client.get(f"/api/v1/stores/{shop.store.id}/rooms")).json()["items"]
    assert made["id"] not in [one["id"] for one in seen]
    assert (await client.post("/api/v1/quotes", json=ask)).json()["code"] == "room.not_sold"
    own = (await client.get(f"{store}/rooms", headers=owner)).json()
    assert [one["name"] for one in own["retired"]] == ["云间"]
    await client.post(f"{room}/restore", headers=owner)
    next_one = await client.post(f"{store}/rooms", json=body | {"name": "松间"}, headers=owner)
    assert next_one.json()["index"] == 4  # a pass's bit is never another room's
    async with db.read() as session:
        acts = (await session.exec(select(AuditEntry).order_by(col(AuditEntry.seq)))).all()
    assert [one.action for one in acts][:2] == ["store.edit", "room.make"]
    assert "secret99" not in str([one.after for one in acts])


async def test_a_new_store(client: httpx.AsyncClient, owner: dict[str, str]) -> None:
    body = {"name": "雀友会·徐汇店", "address": "漕溪北路 1 号", "phone": "021-1"}
    made = await client.post("/api/v1/console/stores", json=body, headers=owner)
    assert (made.status_code, made.json()["tz"]) == (201, "Asia/Shanghai")
    names = [one["name"] for one in (await client.get("/api/v1/stores")).json()["items"]]
    assert "雀友会·徐汇店" in names


def _store(**values: Any) -> Store:
    return Store(
        merchant_id="m",
        name="s",
        address="",
        phone="",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        **values,
    )


def test_hours_with_exceptions_and_several_spans() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    week = [[["10:00", "14:00"], ["17:00", "02:00"]] for _ in range(7)]
    store = _store(
        hours=week,
        days={
            "2026-11-24": {"name": "盘点", "hours": []},
            "2026-11-25": {"name": "", "hours": [["00:00", "00:00"]]},
        },
    )

    def at(day: int, hour: int, minute: int = 0) -> datetime:
        return datetime(2026, 11, day, hour, minute, tzinfo=zone)

    assert is_open(store, at(23, 22), at(24, 2))  # Monday's night runs into the closed day
    assert not is_open(store, at(24, 10), at(24, 11))
    assert is_open(store, at(25, 3), at(25, 23))
    assert not is_open(store, at(23, 13), at(23, 18))
    assert len(opening_intervals(store, date(2026, 11, 23))) == 2
    assert in_words(store) == "10:00–14:00、17:00–02:00"
    assert coming_exceptions(store, date(2026, 11, 23)) == [
        (date(2026, 11, 24), "盘点", "休息"), (date(2026, 11, 25), "", "24 小时"),
    ]  # fmt: skip
