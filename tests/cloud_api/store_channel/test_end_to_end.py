"""The whole way on real parts: enrol, connect, a document down, a command down, events up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update
from sqlmodel import select

from cloud_api.devices import service as devices
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.store_channel import outcomes
from cloud_api.store_channel.models import StoreEvent
from cloud_api.store_channel.worker import Channel, run_acks, state_of
from store_link.messages import AckState, EventKind
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.store_side import DEADLINE_S, StoreSide, until


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


async def online(cloud: Cloud, store: StoreSide) -> None:
    """Wait until the cloud knows the store's present connection."""
    async with asyncio.timeout(DEADLINE_S):
        while True:
            async with cloud.db.read() as session:
                row = await session.get(StoreStatus, store.store)
            if row is not None and row.online and row.nonce == store.link.nonce:
                return
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


async def test_an_api_process_beside_the_worker_hears_its_own_answers(
    cloud: Cloud,
    shop: Shop,
    channel: Channel,
    store: StoreSide,
    make_cloud: Callable[[], Awaitable[Cloud]],
) -> None:
    """The relay runs elsewhere; the answer comes to the process whose request waits."""
    await store.connect()
    await online(cloud, store)
    api = await make_cloud()
    stop = asyncio.Event()
    task = asyncio.create_task(run_acks(api, stop))
    await until(lambda: (state := state_of(api)) is not None and state.ready)
    command = await unlock(api, shop)
    heard = api.waiters.expect(command.id)
    answer = await asyncio.wait_for(heard, DEADLINE_S)
    assert (answer["state"], answer["evidence"]) == ("done", {"coil": True})
    assert store.commands[-1].reply_to == api.waiters.instance
    stop.set()
    await task


async def test_who_waits_hears_it_before_it_is_written(
    cloud: Cloud,
    shop: Shop,
    channel: Channel,
    store: StoreSide,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A person stood at the door for two commits more: of the command's mark and of its outcome."""
    await store.connect()
    await online(cloud, store)
    settle, gate = outcomes.settle, asyncio.Event()

    async def later(*args: Any) -> bool:
        await gate.wait()
        return await settle(*args)

    monkeypatch.setattr(outcomes, "settle", later)
    command = await unlock(cloud, shop)
    heard = cloud.waiters.expect(command.id, command)
    told = await asyncio.wait_for(heard, DEADLINE_S)
    assert (told["state"], told["final"], told["evidence"]) == ("done", True, {"coil": True})

    async def kept() -> dict[str, object]:
        async with cloud.db.read() as session:
            row = await session.get(DeviceCommand, command.id)
        assert row is not None
        return devices.answer(row)

    assert (await kept())["final"] is False
    gate.set()
    async with asyncio.timeout(DEADLINE_S):
        while not (await kept())["final"] or (await kept())["sent_ms"] is None:
            await asyncio.sleep(0.02)
    assert await kept() == told


async def test_another_stores_answer_tells_nobody(cloud: Cloud, shop: Shop) -> None:
    """Who holds some store's key may say what it likes of its own commands alone."""
    command = await unlock(cloud, shop)
    heard = cloud.waiters.expect(command.id, command)
    done = outcomes.Outcome("done")
    outcomes.tell(cloud, "somebody-elses", command.id, done, cloud.clocks.real)
    assert not heard.done()
    outcomes.tell(cloud, shop.store.id, command.id, done, cloud.clocks.real)
    assert (await heard)["state"] == "done"


async def test_a_command_nobody_answers_becomes_unknown_and_a_late_answer_still_counts(
    cloud: Cloud, shop: Shop, channel: Channel, store: StoreSide
) -> None:
    await store.connect()
    await online(cloud, store)
    store.answers = None
    command = await unlock(cloud, shop, valid_s=5)
    await until(lambda: store.commands)
    async with cloud.db.write() as session:
        await session.execute(
            update(DeviceCommand).values(expires_at=cloud.clocks.real - timedelta(seconds=31))
        )
    await channel.sweep()
    async with cloud.db.read() as session:
        row = await session.get(DeviceCommand, command.id)
    assert row is not None
    assert (row.state, row.reason) == ("unknown", "no_answer")
    body = {"command": command.id, "action": "unlock", "target": shop.door.id, "state": "done"}
    store.write(EventKind.COMMAND, body)
    await store.send_events(1, 1)
    await until(lambda: store.acked == 1)
    async with cloud.db.read() as session:
        row = await session.get(DeviceCommand, command.id)
    assert row is not None
    assert (row.state, row.reason) == ("done", None)


async def test_a_duplicates_answer_is_that_of_the_first(
    cloud: Cloud, shop: Shop, channel: Channel, store: StoreSide
) -> None:
    await store.connect()
    await online(cloud, store)
    store.answers = None
    command = await unlock(cloud, shop)
    heard = cloud.waiters.expect(command.id)
    await until(lambda: store.commands)
    first = {"state": "failed", "reason": "device_offline", "evidence": {"tries": 1}}
    await store.acknowledge(store.commands[0], AckState.DUPLICATE)  # still at it: no outcome yet
    await store.acknowledge(store.commands[0], AckState.DUPLICATE, first=first)
    answer = await asyncio.wait_for(heard, DEADLINE_S)
    assert (answer["state"], answer["reason"]) == ("failed", "device_offline")


async def test_a_copys_refusal_does_not_stand_beside_an_open_door(
    cloud: Cloud, shop: Shop, channel: Channel, store: StoreSide
) -> None:
    """Bug: of two computers with one card's files on one broker the one that was not meant said no first,
    and a door that opened stood in the books as refused. Its own no, said twice, is one entry.
    """
    await store.connect()
    await online(cloud, store)
    store.answers = None
    command = await unlock(cloud, shop)
    await until(lambda: store.commands)

    async def settled(state: str, reason: str | None = None) -> bool:
        async with cloud.db.write() as session:
            outcome = outcomes.Outcome(state, reason)
            return await outcomes.settle(session, cloud, store.store, command.id, outcome)

    assert await settled("refused", "other_connection")
    assert not await settled("refused", "other_connection")
    assert await settled("done")
    assert not await settled("refused", "other_connection")
    async with cloud.db.read() as session:
        row = await session.get(DeviceCommand, command.id)
    assert row is not None
    assert (row.state, row.reason) == ("done", None)
