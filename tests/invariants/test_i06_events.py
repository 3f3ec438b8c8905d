"""I6: nothing a store records is lost or doubled: exactly once, in order, whatever dies in between.

Two processes of the cloud, a real broker that is killed, a store that keeps sending until it is told.
The effect that is counted is a line of the feed per event. Negative controls: with the guard taken

"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import FeedEntry
from cloud_api.store_channel import ingest
from cloud_api.store_channel.models import EventCursor, StoreEvent
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.worker import Channel
from store_link.link import LinkError
from store_link.messages import EventBatch, EventKind
from tests.cloud_api.conftest import (  # noqa: F401  fixtures
    _vault,
    business,
    cloud,
    db,
    db_url,
    now,
    postgres_templates,
    shop,
    sqlite_templates,
)
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.broker import StoreBroker
from tests.cloud_api.store_channel.conftest import (  # noqa: F401  fixtures
    FAST,
    broker,
    clocks,
    make_cloud,
    settings,
    store,
)
from tests.cloud_api.store_channel.store_side import StoreSide, until

EVENTS = 120


@asynccontextmanager
async def running(process: Cloud) -> AsyncIterator[Channel]:
    """A process's channel, from start to end."""
    channel = Channel(process, office_of(process), backoff=FAST)
    stop = asyncio.Event()
    task = asyncio.create_task(channel.run(stop))
    try:
        yield channel
    finally:
        stop.set()
        await task


def journal(store: StoreSide, count: int) -> None:  # noqa: F811
    for n in range(1, count + 1):
        store.write(EventKind.DEVICE, {"board": f"b{n}", "state": "online"})


async def send_until_told(store: StoreSide, rng: random.Random, deadline_s: float = 180) -> None:  # noqa: F811
    """What a store does, and worse: batches overlap, repeat and come crosswise."""
    total = len(store.events)
    async with asyncio.timeout(deadline_s):
        while store.acked < total:
            first = max(1, store.acked + 1 - rng.randint(0, 5))
            batches = [
                (start, min(start + rng.randint(4, 15), total)) for start in (first, first + 9)
            ]
            if rng.random() < 0.3:
                batches.reverse()
            for start, end in batches:
                if start <= end:
                    with contextlib.suppress(LinkError):
                        await store.send_events(start, end)
            await asyncio.sleep(0.02)


async def told(process: Cloud) -> list[str]:
    """The effects, in the order in which they came about."""
    async with process.db.read() as session:
        query = select(col(FeedEntry.body)).order_by(col(FeedEntry.id))
        bodies = (await session.execute(query)).scalars()
        return [body["board"] for body in bodies if body.get("event") == "device"]


async def seqs(process: Cloud) -> list[int]:
    async with process.db.read() as session:
        query = select(col(StoreEvent.seq)).order_by(
            col(StoreEvent.received_at), col(StoreEvent.seq)
        )
        return list((await session.execute(query)).scalars())


async def test_outages_of_everything_lose_and_double_nothing(
    cloud: Cloud,  # noqa: F811
    shop: Shop,  # noqa: F811
    store: StoreSide,  # noqa: F811
    broker: StoreBroker,  # noqa: F811
    make_cloud: Callable[[], Awaitable[Cloud]],  # noqa: F811
) -> None:
    rng = random.Random(6)
    other = await make_cloud()
    journal(store, EVENTS)

    async def trouble() -> None:
        """Processes come, go and go without a goodbye; the broker is killed; the store is cut off."""
        for process in (cloud, other):
            async with running(process) as channel:
                await channel.link.wait_up(30)
                await asyncio.sleep(0.15)
                channel.link._link.drop()
                await asyncio.sleep(0.15)
        async with running(cloud), running(other):
            await asyncio.sleep(0.3)
            broker.kill()
            await asyncio.sleep(0.1)
            broker.start()
            await asyncio.sleep(0.3)
            store.link.drop()
            await done.wait()

    done = asyncio.Event()
    async with running(cloud) as first:
        await first.link.wait_up(30)
        await store.connect()
    task = asyncio.create_task(trouble())
    try:
        await send_until_told(store, rng)
    finally:
        done.set()
        await task
    assert await seqs(cloud) == list(range(1, EVENTS + 1))
    assert await told(cloud) == [f"b{n}" for n in range(1, EVENTS + 1)]


async def test_a_cloud_put_back_from_a_backup_asks_again(
    cloud: Cloud,  # noqa: F811
    shop: Shop,  # noqa: F811
    store: StoreSide,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The store keeps what was acknowledged for seven days; a cloud that lost it says where it is."""
    monkeypatch.setattr("cloud_api.store_channel.worker.ASK_AGAIN_S", 0.1)
    journal(store, 30)
    async with running(cloud) as channel:
        await channel.link.wait_up(30)
        await store.connect()
        await store.send_events(1, 30)  # once: nothing of it may still be under way below
        await until(lambda: store.acked == 30)
        async with cloud.db.write() as session:  # back to a backup of when 12 were there
            for event in (await session.execute(select(StoreEvent))).scalars():
                if event.seq > 12:
                    await session.delete(event)
            for line in (await session.execute(select(FeedEntry))).scalars():
                if line.body.get("event") == "device" and int(line.body["board"][1:]) > 12:
                    await session.delete(line)
            await session.execute(update(EventCursor).values(upto=12))
        store.acks.clear()
        store.write(EventKind.BOOT)
        async with asyncio.timeout(20):
            while 12 not in store.acks:  # "I am at 12"
                await store.send_events(31, 31)
                await asyncio.sleep(0.05)
        store.acked = 12
        await send_until_told(store, random.Random(2))
    assert await seqs(cloud) == list(range(1, 32))
    assert await told(cloud) == [f"b{n}" for n in range(1, 31)]


# -------------------------------------------------------------------------------- negative controls


def batches_of(store: StoreSide) -> Iterator[EventBatch]:  # noqa: F811
    for start in range(0, 20, 5):
        events = tuple(store.events[start : start + 5])
        yield EventBatch(store=store.store, journal=store.journal, events=events)


async def deliver_twice(process: Cloud, store: StoreSide) -> None:  # noqa: F811
    for batch in batches_of(store):
        for _ in range(2):
            await ingest.take(process, store.store, batch)


@pytest.mark.parametrize("guarded", [True, False])
async def test_without_the_cursor_duplicates_count_twice(
    guarded: bool,
    cloud: Cloud,  # noqa: F811
    shop: Shop,  # noqa: F811
    store: StoreSide,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal(store, 20)
    if not guarded:
        _without_guard(monkeypatch)
    await deliver_twice(cloud, store)
    lines = await told(cloud)
    assert sorted(set(lines)) == sorted(f"b{n}" for n in range(1, 21))
    assert (len(lines) == 20) is guarded


@pytest.mark.parametrize("guarded", [True, False])
async def test_without_compare_and_set_two_workers_count_twice(
    guarded: bool,
    cloud: Cloud,  # noqa: F811
    shop: Shop,  # noqa: F811
    store: StoreSide,  # noqa: F811
    make_cloud: Callable[[], Awaitable[Cloud]],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PostgreSQL only shows it: SQLite has one writer, so there nobody reads an old cursor."""
    if cloud.db.is_sqlite and not guarded:
        return  # nothing to show: see above
    other = await make_cloud()
    journal(store, 20)
    if not guarded:
        _blind(monkeypatch)
    both = asyncio.Barrier(2)
    read = ingest._cursor

    async def together(*args: Any) -> int:
        """Both workers have read the cursor before either moves it."""
        found = await read(*args)
        with contextlib.suppress(TimeoutError, asyncio.BrokenBarrierError):
            async with asyncio.timeout(0.2 if guarded else 20):  # guarded, one waits for the other
                await both.wait()
        return found

    monkeypatch.setattr(ingest, "_cursor", together)
    for batch in batches_of(store):
        both = asyncio.Barrier(2)
        await asyncio.gather(
            ingest.take(cloud, store.store, batch), ingest.take(other, store.store, batch)
        )
    lines = await told(cloud)
    assert (len(lines) == 20) is guarded


def _without_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingest, "_contiguous", lambda events, upto: list(events))
    _blind(monkeypatch)


def _blind(monkeypatch: pytest.MonkeyPatch) -> None:
    """The cursor is set without being compared, and an event's own id is not looked at."""
    keep = ingest._keep

    async def set_it(session: Any, journal: str, was: int, upto: int, now: Any) -> bool:  # noqa: F811
        await session.execute(
            update(EventCursor).where(col(EventCursor.journal) == journal).values(upto=upto)
        )
        return True

    async def keep_it(scene: Any, journal: str, events: Any) -> set[str]:
        await keep(scene, journal, events)
        return {event.id for event in events}

    monkeypatch.setattr(ingest, "_move", set_it)
    monkeypatch.setattr(ingest, "_keep", keep_it)
