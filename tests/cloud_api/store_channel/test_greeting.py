"""A cloud that was put back from a backup tells stores how far it is, before they have anything to say."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import delete
from sqlmodel import col, update

from cloud_api.kit.cloud import Cloud
from cloud_api.store_channel.models import EventCursor, StoreEvent
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.worker import Channel
from store_link.messages import EventKind
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.store_side import StoreSide, until
from tests.cloud_api.store_channel.test_ingest import stored


async def told_three(store: StoreSide) -> None:
    await store.connect()
    for _ in range(3):
        store.write(EventKind.BOOT)
    await store.send_events(1, 3)
    await until(lambda: store.acked == 3)


async def put_back(cloud: Cloud) -> None:
    """The copy was taken when one event was there."""
    async with cloud.db.write() as session:
        await session.execute(delete(StoreEvent).where(col(StoreEvent.seq) > 1))
        await session.execute(update(EventCursor).values(upto=1))


async def test_a_store_with_nothing_to_say_is_told_by_a_new_process(
    cloud: Cloud,
    shop: Shop,
    store: StoreSide,
    make_cloud: Callable[[], Awaitable[Cloud]],
    run_channel: Callable[..., Awaitable[Channel]],
) -> None:
    """Bug: a restored cloud asked for what it had lost only when the store's next event came; until
    then, for hours in a quiet store, orders stood as they were when the backup was taken.
    """
    first, stop = Channel(cloud, office_of(cloud)), asyncio.Event()
    running = asyncio.create_task(first.run(stop))
    await first.link.wait_up(30)
    await told_three(store)
    stop.set()
    await running
    await put_back(cloud)
    store.acks.clear()
    await run_channel(await make_cloud())
    await until(lambda: store.acks == [1], "how far the restored cloud is")
    await store.send_events(2, 3)  # what a controller does then: tests/controller/test_faults.py
    await until(lambda: store.acks[-1] == 3)
    assert await stored(cloud) == [1, 2, 3]


async def test_each_connection_is_told_once(
    cloud: Cloud, shop: Shop, store: StoreSide, channel: Channel
) -> None:
    await told_three(store)
    await store.close()
    await put_back(cloud)
    store.acks.clear()
    await store.connect()
    await until(lambda: store.acks == [1])
    for _ in range(3):
        await store.report()
    store.write(EventKind.BOOT)
    await store.send_events(2, 4)
    await until(lambda: store.acks[-1] == 4)
    assert store.acks == [1, 4]
