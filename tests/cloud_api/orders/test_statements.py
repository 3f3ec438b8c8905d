"""What a quote and an order cost in statements, and that fewer of them tell and keep as much."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlmodel import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.database import Database
from cloud_api.kit.models import IdempotencyKey
from cloud_api.ledger.many import Moved, moved
from cloud_api.orders import books_check
from cloud_api.orders.models import Order
from tests.cloud_api.factories import Shop, bearer, make_customer, make_login
from tests.cloud_api.house import House
from tests.support.statements import statements

QUOTE, ORDER = 5, 8  # the login's own included
ROWS = 4  # that an order's one INSERT writes beside the order, one by one on SQLite


async def guest(db: Database, now: datetime) -> dict[str, str]:
    async with db.write() as session:
        return bearer(await make_login(session, (await make_customer(session, now)).id, now))


def wish(shop: Shop, now: datetime, hours: int) -> dict[str, Any]:
    starts = now + timedelta(hours=hours)
    ends = starts + timedelta(hours=1)
    return {"room_id": shop.room.id, "starts_at": starts.isoformat(), "ends_at": ends.isoformat()}


async def test_an_order_takes_few_statements_and_tells_what_a_look_tells(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime
):
    headers = await guest(db, now)
    with statements(db) as quoting:
        quote = await client.post("/api/v1/quotes", json=wish(shop, now, 2), headers=headers)
    body = {"quote_id": quote.json()["id"]}
    keyed = headers | {"Idempotency-Key": "tap"}
    with statements(db) as ordering:
        placed = await client.post("/api/v1/orders", json=body, headers=keyed)
    assert placed.status_code == 200, placed.text
    for told, most in ((quoting, QUOTE), (ordering, ORDER + ROWS * db.is_sqlite)):
        told = [one for one in told if not one.startswith(("BEGIN", "SAVEPOINT", "RELEASE"))]
        assert len(told) <= most, told
    looked = await client.get(f"/api/v1/orders/{placed.json()['id']}", headers=headers)
    assert looked.json() == placed.json()
    again = await client.post("/api/v1/orders", json=body, headers=keyed)
    assert again.json() == placed.json()
    assert again.headers["Idempotent-Replayed"] == "true"


async def test_the_same_tap_twice_at_once_is_one_order_with_one_answer(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime
):
    """Key, act and answer are one transaction: who comes second waits and is told the same."""
    headers = await guest(db, now) | {"Idempotency-Key": "tap"}
    quote = await client.post("/api/v1/quotes", json=wish(shop, now, 2), headers=headers)
    body = {"quote_id": quote.json()["id"]}
    taps = [client.post("/api/v1/orders", json=body, headers=headers | {"Idempotency-Key": "o"})]
    taps += [client.post("/api/v1/orders", json=body, headers=headers | {"Idempotency-Key": "o"})]
    one, two = await asyncio.gather(*taps)
    assert one.json() == two.json()
    assert [one.status_code, two.status_code] == [200, 200]
    # A refusal takes its key back: the same tap is judged anew once the room is free.
    other = await guest(db, now)
    late = (await client.post("/api/v1/quotes", json=wish(shop, now, 2), headers=other)).json()
    taken = {"quote_id": late["id"]}
    keyed = other | {"Idempotency-Key": "mine"}
    for _ in range(2):
        refused = await client.post("/api/v1/orders", json=taken, headers=keyed)
        assert (refused.status_code, refused.json()["code"]) == (409, "book.taken")
        assert refused.json()["next_free"] is not None
        assert "Idempotent-Replayed" not in refused.headers
    async with db.read() as session:
        assert (await session.exec(select(func.count()).select_from(Order))).one() == 1
        kept = (await session.exec(select(IdempotencyKey.key, IdempotencyKey.status))).all()
    assert sorted(kept) == [("o", 200), ("tap", 200)]


async def test_the_books_of_many_orders_are_looked_at_together(house: House, db: Database):
    """The nightly look at all orders costs by the five hundred, not by the order."""
    cost = []
    for hours in (0, 4):
        for more in range(3 if hours else 1):
            await house.paid_order(in_h=3 + hours + 3 * more)
        await house.quiet()
        async with db.read() as session:
            with statements(db) as told:
                assert await books_check.check(session, house.shop.merchant.id) == []
        cost.append(len(told))
    assert cost[0] == cost[1] <= 6


@pytest.mark.parametrize("still", [True, False], ids=["snapshot", "control"])
async def test_an_order_paid_while_the_books_are_looked_at_is_no_error(
    house: House, db: Database, monkeypatch: pytest.MonkeyPatch, still: bool
):
    """The nightly look read order, books and payments one after the other: on PostgreSQL, where each of
    them saw the moment, an order that was paid in between raised the alarm that the books are broken.
    """
    order = await house.order()

    async def meanwhile(session: AsyncSession, parts: Iterable[str]) -> dict[str, Moved]:
        if (await house.again(order)).status == "pending_payment":
            house.till.pay((await house.pay(order)).number)
            await house.until(order, "ready")
        return await moved(session, parts)

    monkeypatch.setattr("cloud_api.orders.books_check.moved", meanwhile)
    async with db.snapshot() if still else db.read() as session:
        found = await books_check.check(session, house.shop.merchant.id)
    assert (await house.again(order)).status == "ready"
    assert (found == []) == (still or db.is_sqlite)
    async with db.snapshot() as session:
        assert await books_check.check(session, house.shop.merchant.id) == []
