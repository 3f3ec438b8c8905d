"""The whole way on real parts: enrol, connect, a document down, a command down, events up."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel import select

from cloud_api.devices import service as devices
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.store_channel.models import StoreEvent
from cloud_api.store_channel.worker import Channel, state_of
from store_link.messages import EventKind
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.store_side import StoreSide, until


async def unlock(cloud: Cloud, shop: Shop, valid_s: float = 10) -> DeviceCommand:
    async with cloud.db.write() as session:
        return await devices.create_command(
            session,
            System(),
            store=shop.store,
            target=shop.door.id,
            action="unlock",
            args={},
            why="test",
            order_id=None,
            clocks=cloud.clocks,
            instance=cloud.waiters.instance,
            valid_s=valid_s,
        )


async def status_of(cloud: Cloud, shop: Shop) -> StoreStatus:
    async with cloud.db.read() as session:
        return (await session.exec(select(StoreStatus))).one()


async def online(cloud: Cloud, store: StoreSide) -> None:
    """Wait until the cloud knows the store's present connection."""
    loop_end = 10.0
    for _ in range(int(loop_end / 0.02)):
        async with cloud.db.read() as session:
            row = await session.get(StoreStatus, store.store)
        if row is not None and row.online and row.nonce == store.link.nonce:
            return
        await until_tick()
    raise AssertionError("the store did not come online")


async def until_tick() -> None:
    import asyncio

    await asyncio.sleep(0.02)


async def test_document_command_and_events(
    cloud: Cloud, shop: Shop, channel: Channel, store: StoreSide
) -> None:
    await store.connect()
    await online(cloud, store)
    await until(lambda: store.documents)
    assert store.documents[-1].rooms
    command = await unlock(cloud, shop)
    answer = await devices.wait_for(cloud, command.id, cloud.clocks.real + timedelta(seconds=10))
    assert answer["state"] == "done"
    print(answer)
    store.write(EventKind.BOOT)
    store.write(EventKind.BOOT)
    await store.send_events(1, 2)
    await until(lambda: store.acked == 2)
    async with cloud.db.read() as session:
        assert [e.seq for e in await session.exec(select(StoreEvent))] == [1, 2]
    state = state_of(cloud)
    assert state is not None
    await until(lambda: state.ready)
    assert state.shards == 64
