"""The JSON API of quotes, availability, orders and the console, over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.cloud_api.factories import make_customer, make_login, make_staff
from tests.cloud_api.house import House


@pytest.fixture
async def http(house: House) -> AsyncIterator[httpx.AsyncClient]:
    """The guest's client."""
    async with house.cloud.db.write() as session:
        token = await make_login(session, house.guest.id, house.cloud.clocks.real)
    async with _client(house, token) as client:
        yield client


def _client(house: House, token: str | None = None) -> httpx.AsyncClient:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.AsyncClient(
        base_url=f"{house.base_url}/api/v1", headers=headers, trust_env=False, timeout=10
    )


async def _staff_client(house: House, role: str) -> httpx.AsyncClient:
    now = house.cloud.clocks.real
    async with house.cloud.db.write() as session:
        member = await make_staff(session, house.shop, now, role=role)
        token = await make_login(session, member.account_id, now)
    return _client(house, token)


def _ask(house: House, in_h: float = 3, hours: float = 2) -> dict[str, Any]:
    start = house.noon + timedelta(hours=in_h)
    return {
        "room_id": house.shop.room.id,
        "starts_at": start.isoformat(),
        "ends_at": (start + timedelta(hours=hours)).isoformat(),
    }


async def test_from_quote_to_ready_order(house: House, http: httpx.AsyncClient) -> None:
    quote = (await http.post("/quotes", json=_ask(house, 5))).json()
    assert quote["total_fen"] == 8600
    tariff = quote["lines"][1]["tariff_id"]
    assert quote["lines"][1] == {
        "kind": "room_time",
        "quantity": 1,
        "ref": tariff,
        "text": "晚间 18:00–19:00",
        "from": "2026-11-23T10:00:00Z",
        "to": "2026-11-23T11:00:00Z",
        "minutes": 60,
        "hourly_fen": 4800,
        "amount_fen": 4800,
        "tariff_id": tariff,
    }
    key = {"Idempotency-Key": "k1"}
    order = (await http.post("/orders", json={"quote_id": quote["id"]}, headers=key)).json()
    again = (await http.post("/orders", json={"quote_id": quote["id"]}, headers=key)).json()
    assert again == order
    assert (order["state"], order["word"], order["words"]) == (
        "pending_payment",
        "unpaid",
        "待支付",
    )
    assert order["hold_expires_at"] == "2026-11-23T04:10:00Z"
    assert order["next"] == {"action": "pay", "label": "去支付"}
    (way,) = order["pay_with"]
    assert (way["provider"], way["channel"], way["name"]) == ("cashier", "page", "收银台")

    paid = (await http.post(f"/orders/{order['id']}/pay", json={"provider": "cashier"})).json()
    assert paid["state"] == "pending"
    house.till.page(paid["redirect_url"], "pay")
    order = (await http.post(f"/orders/{order['id']}/check-payment")).json()
    assert (order["state"], order["words"], order["paid_fen"]) == ("ready", "待使用", 8600)
    assert [event["text"] for event in order["events"]] == [
        "提交订单，房间已为你保留",
        "打开收银台",
        "支付成功",
        "房间已确认，等你来",
    ]
    assert order["next"]["action"] == "wait"
    assert order["cancel"]["allowed"] is True
    assert (await http.get("/orders")).json()["items"][0]["id"] == order["id"]


async def test_taken_says_what_is_free(house: House, http: httpx.AsyncClient) -> None:
    await house.order(in_h=4)  # 16:00–18:00, blocked until 18:15
    quote = (await http.post("/quotes", json=_ask(house, 2, 3))).json()
    refused = await http.post("/orders", json={"quote_id": quote["id"]})
    assert refused.status_code == 409
    body = refused.json()
    assert body["code"] == "book.taken"
    assert body["free_until"] == "2026-11-23T07:45:00Z"  # cleaning before the next guest
    assert body["next_free"] == "2026-11-23T10:30:00Z"
    assert [room["name"] for room in body["other_rooms"]] == ["梅间", "听雨"]


async def test_another_guest_sees_nothing(house: House, http: httpx.AsyncClient) -> None:
    order = await house.order()
    async with house.cloud.db.write() as session:
        other = await make_customer(session, house.cloud.clocks.now)
        token = await make_login(session, other.id, house.cloud.clocks.real)
    async with _client(house, token) as stranger:
        for method, path in (
            ("GET", ""),
            ("POST", "/pay"),
            ("POST", "/cancel"),
            ("POST", "/finish"),
            ("POST", "/check-payment"),
        ):
            answer = await stranger.request(method, f"/orders/{order.id}{path}", json={})
            assert (answer.status_code, answer.json()["code"]) == (404, "order.not_found")
        assert (await stranger.get("/orders")).json()["items"] == []
    async with _client(house) as anyone:
        assert (await anyone.get(f"/orders/{order.id}")).status_code == 401
    assert (await http.get(f"/orders/{order.id}")).status_code == 200


async def test_a_quote_is_ordered_by_one_guest(house: House, http: httpx.AsyncClient) -> None:
    quote = (await http.post("/quotes", json=_ask(house))).json()
    await http.post("/orders", json={"quote_id": quote["id"]})
    async with house.cloud.db.write() as session:
        other = await make_customer(session, house.cloud.clocks.now)
        token = await make_login(session, other.id, house.cloud.clocks.real)
    async with _client(house, token) as stranger:
        refused = await stranger.post("/orders", json={"quote_id": quote["id"]})
    assert (refused.status_code, refused.json()["code"]) == (409, "quote.used")


async def test_nobody_blocks_the_house_without_paying(
    house: House, http: httpx.AsyncClient
) -> None:
    codes = []
    for i in range(4):
        quote = (await http.post("/quotes", json=_ask(house, 3 + 3 * i))).json()
        answer = await http.post("/orders", json={"quote_id": quote["id"]})
        codes.append(answer.json().get("code"))
    assert codes == [None, None, None, "order.too_many_unpaid"]


async def test_availability_has_no_gap_and_nothing_personal(
    house: House, http: httpx.AsyncClient
) -> None:
    order = await house.paid_order(in_h=4)
    async with _client(house) as anyone:
        room = house.shop.room.id
        span = {"from": "2026-11-23T06:00:00Z", "to": "2026-11-23T12:00:00Z"}
        found = (await anyone.get(f"/rooms/{room}/availability", params=span)).json()
        assert [(s["starts_at"][11:16], s["state"]) for s in found["spans"]] == [
            ("06:00", "free"),
            ("08:00", "booked"),
            ("10:00", "cleaning"),
            ("10:15", "free"),
        ]
        assert set(found["spans"][0]) == {"starts_at", "ends_at", "state"}
        path = f"/stores/{house.shop.store.id}/availability"
        day = (await anyone.get(path, params={"day": "2026-11-23"})).json()
        wrong = await anyone.get(
            f"/rooms/{room}/availability",
            params={"from": "2026-11-23T06:00:00Z", "to": "2027-11-23T06:00:00Z"},
        )
        assert wrong.json()["code"] == "availability.range"
    assert (day["from"], day["to"]) == ("2026-11-22T16:00:00Z", "2026-11-23T16:00:00Z")
    assert len(day["rooms"]) == 3
    for row in day["rooms"]:
        assert row["spans"][0]["starts_at"] == day["from"]
        assert row["spans"][-1]["ends_at"] == day["to"]
        for before, after in zip(row["spans"], row["spans"][1:], strict=False):
            assert before["ends_at"] == after["starts_at"]
    assert order.id not in str(day)


async def test_the_console_sees_orders_and_the_day(house: House) -> None:
    order = await house.paid_order(in_h=4)
    async with await _staff_client(house, "manager") as manager:
        listed = (await manager.get("/console/orders", params={"status": "ready"})).json()
        assert [item["id"] for item in listed["items"]] == [order.id]
        assert listed["items"][0]["phone_tail"] == house.guest.phone_tail
        path = f"/console/stores/{house.shop.store.id}/timeline"
        day = (await manager.get(path, params={"day": "2026-11-23"})).json()
        booked = [s for s in day["rooms"][0]["spans"] if s["state"] == "booked"]
        assert booked[0]["order"]["number"] == order.number
        assert booked[0]["order"]["words"] == "待使用"
        cancelled = await manager.post(
            f"/console/orders/{order.id}/cancel", json={"why": "空调坏了"}
        )
        assert (cancelled.json()["state"], cancelled.json()["words"]) == ("cancelled", "退款中")
        assert cancelled.json()["events"][-2]["text"] == "店家取消了订单"
    async with await _staff_client(house, "cleaner") as cleaner:
        refused = await cleaner.get("/console/orders")
        assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


async def test_pages_of_orders(house: House, http: httpx.AsyncClient) -> None:
    ids = [(await house.order(in_h=3 + 3 * i)).id for i in range(3)]
    first = (await http.get("/orders", params={"limit": 2})).json()
    assert [item["id"] for item in first["items"]] == ids[:0:-1]
    second = (await http.get("/orders", params={"limit": 2, "cursor": first["next_cursor"]})).json()
    assert [item["id"] for item in second["items"]] == ids[:1]
    assert second["next_cursor"] is None


async def test_leaving_early_over_http(house: House, http: httpx.AsyncClient) -> None:
    order = await house.paid_order(in_h=1)
    house.passes(3600)
    answer = (await http.post(f"/orders/{order.id}/finish")).json()
    assert answer["command_id"] is not None
    assert answer["order"]["finished_early"] is True
    assert datetime.fromisoformat(answer["order"]["ends_at"]) == order.ends_at
