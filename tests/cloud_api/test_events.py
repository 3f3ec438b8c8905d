"""Live events: one's own, in order, nothing lost when a browser comes back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest

from cloud_api import events
from cloud_api.auth.models import Account
from cloud_api.events import FeedTail
from cloud_api.kit import feed
from cloud_api.kit.actor import Customer
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.models import FeedEntry
from tests.cloud_api.factories import Shop, make_customer


@pytest.fixture
async def account(db: Database, now: datetime) -> Account:
    async with db.write() as session:
        return await make_customer(session, now)


async def tell(db: Database, shop: Shop, now: datetime, number: int, account: str | None) -> None:
    async with db.write() as session:
        await feed.tell(
            session,
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            account_id=account,
            topic="order",
            body={"n": number},
            now=now,
        )


def stream(cloud: Cloud, account: Account, last: int | None) -> AsyncIterator[str]:
    who = Customer(account_id=account.id)
    return events._lines(cloud, who, last, lambda e: e.account_id == account.id)


async def take(lines: AsyncIterator[str], count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    async with asyncio.timeout(30):
        async for line in lines:
            if "data: " in line and "event: clock" not in line:
                data = json.loads(line.split("data: ", 1)[1])
                found.append({"id": int(line.split("\n")[0][4:]), "n": data["n"]})
            if len(found) == count:
                return found
    return found


async def test_one_hears_ones_own_live(
    cloud: Cloud, db: Database, shop: Shop, account: Account, now: datetime
):
    lines = stream(cloud, account, None)
    assert (await anext(lines)).startswith("retry:")
    for number in range(6):
        await tell(db, shop, now, number, account.id if number % 2 else "another")
    assert [e["n"] for e in await take(lines, 3)] == [1, 3, 5]
    await lines.aclose()  # type: ignore[attr-defined]
    assert cloud.parts["events.tail"]._task is None  # nobody listens, nobody reads


async def test_the_first_thing_told_is_the_time(
    cloud: Cloud, db: Database, shop: Shop, account: Account
):
    """Bug: a page drawn before the clock jumped, whose stream began after it, kept its old time."""
    lines = stream(cloud, account, None)
    begun = await anext(lines)
    assert json.loads(begun.split("event: clock\ndata: ")[1]) == {
        "now": cloud.clocks.now.isoformat()
    }
    await lines.aclose()  # type: ignore[attr-defined]


async def test_who_comes_back_gets_what_was_missed(
    cloud: Cloud, db: Database, shop: Shop, account: Account, now: datetime
):
    for number in range(4):
        await tell(db, shop, now, number, account.id)
    first = stream(cloud, account, 0)
    seen = await take(first, 2)
    await first.aclose()  # type: ignore[attr-defined]
    await tell(db, shop, now, 4, account.id)
    again = stream(cloud, account, seen[-1]["id"])
    assert [e["n"] for e in await take(again, 3)] == [2, 3, 4]
    await again.aclose()  # type: ignore[attr-defined]


async def test_another_processs_events_are_seen_within_a_second(
    cloud: Cloud, db: Database, shop: Shop, account: Account, now: datetime
):
    lines = stream(cloud, account, None)
    await anext(lines)
    other = Database(db.url)
    await tell(other, shop, now, 7, account.id)
    await other.close()
    assert [e["n"] for e in await take(lines, 1)] == [7]
    await lines.aclose()  # type: ignore[attr-defined]


@pytest.mark.parametrize("db_url", ["postgresql"], indirect=True)  # SQLite has one writer
async def test_an_entry_that_is_committed_late_is_not_passed_over(
    cloud: Cloud, db: Database, shop: Shop, account: Account, now: datetime
):
    """Two transactions on PostgreSQL: the one with the lower id commits second. Both arrive, in order."""
    await tell(db, shop, now, 0, account.id)
    lines = stream(cloud, account, None)
    await anext(lines)
    async with db.write() as slow:
        slow.add(
            FeedEntry(
                merchant_id=shop.merchant.id,
                store_id=shop.store.id,
                account_id=account.id,
                topic="order",
                body={"n": 1},
                at=now,
            )
        )
        await slow.flush()  # has its id, is not committed
        await tell(db, shop, now, 2, account.id)
        await asyncio.sleep(0.3)
    assert [e["n"] for e in await take(lines, 2)] == [1, 2]
    await lines.aclose()  # type: ignore[attr-defined]


async def test_a_gap_that_stays_is_passed(
    cloud: Cloud, db: Database, shop: Shop, account: Account, now: datetime
):
    lines = stream(cloud, account, None)
    await anext(lines)
    await tell(db, shop, now, 0, account.id)
    assert len(await take(lines, 1)) == 1
    async with db.write() as session:
        entry = FeedEntry(merchant_id="x", topic="x", body={}, at=now)
        session.add(entry)
        await session.flush()
        await session.delete(entry)
    async with db.write() as session:
        session.add(
            FeedEntry(
                id=(entry.id or 0) + 5,
                merchant_id=shop.merchant.id,
                account_id=account.id,
                topic="order",
                body={"n": 9},
                at=now,
            )
        )
    assert [e["n"] for e in await take(lines, 1)] == [9]
    await lines.aclose()  # type: ignore[attr-defined]


async def test_a_listener_that_is_too_slow_is_let_go(
    db: Database, shop: Shop, account: Account, now: datetime, monkeypatch
):
    tail = FeedTail(db)
    slow, fast = await tail.join(), await tail.join()
    slow._maxsize = 2  # type: ignore[attr-defined]
    for number in range(4):
        await tell(db, shop, now, number, account.id)
    async with asyncio.timeout(30):
        assert [(await fast.get()).body["n"] for _ in range(4)] == [0, 1, 2, 3]  # type: ignore[union-attr]
        assert (await slow.get()).body["n"] == 1  # type: ignore[union-attr]
        assert await slow.get() is None  # the end: the browser comes back with Last-Event-ID
    tail.leave(fast)
