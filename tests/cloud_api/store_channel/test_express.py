"""The short way out: the process in which somebody taps sends that command itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices import service as devices
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import before_commit
from cloud_api.kit.models import OutboxLease
from cloud_api.kit.outbox import COMMAND, LEASE, put
from cloud_api.store_channel import relay
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.relay import Relay
from store_link.link import NotConnected
from store_link.signing import PublicKeyRing
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.test_end_to_end import unlock
from tests.cloud_api.store_channel.test_relay import (
    Wire,
    make_relay,
    pending,
    row_of,
    set_status,
)
from tests.support.statements import statements


async def leases(cloud: Cloud) -> list[str]:
    async with cloud.db.read() as session:
        return list((await session.execute(select(col(OutboxLease.holder)))).scalars())


@pytest.fixture
def wire_out(cloud: Cloud) -> Wire:
    return Wire(PublicKeyRing(office_of(cloud).keys.public()))


@pytest.fixture
def express(cloud: Cloud, wire_out: Wire) -> Relay:
    cloud.db.express = made = make_relay(cloud, wire_out, "express")
    return made


async def test_a_command_leaves_after_its_commit_without_a_relay_that_looks(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop
) -> None:
    told: list[tuple[str, str]] = []
    cloud.db.tell_others = lambda topic, key: told.append((topic, key))
    command = await unlock(cloud, shop)
    await express.finish()
    assert [sent.id for sent in wire_out.commands] == [command.id]
    assert (await row_of(cloud, command.id)).state == "sent"
    assert await pending(cloud) == 0
    assert await leases(cloud) == []
    assert told == []  # nobody else is woken for nothing


async def test_it_waits_for_the_relay_that_has_the_lease(
    cloud: Cloud,
    express: Relay,
    wire_out: Wire,
    make_cloud: Callable[[], Awaitable[Cloud]],
    shop: Shop,
) -> None:
    """Order per store: a later command must not overtake one that another process is sending."""
    gate, there = asyncio.Event(), asyncio.Event()
    publish = wire_out.publish

    async def held(*args: object, **named: object) -> None:
        there.set()
        await gate.wait()
        await publish(*args, **named)  # type: ignore[arg-type]

    slow_wire = Wire(wire_out.ring)
    slow_wire.publish = held  # type: ignore[method-assign]
    cloud.db.express = None
    first = await unlock(cloud, shop)
    slow = asyncio.create_task(make_relay(await make_cloud(), slow_wire, "slow").drain())
    await there.wait()
    cloud.db.express = express
    second = await unlock(cloud, shop)
    await express.finish()
    assert wire_out.commands == []
    gate.set()
    await slow
    assert [sent.id for sent in wire_out.commands] == [first.id, second.id]


async def test_two_at_once_in_one_process_leave_once_each_in_order(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop
) -> None:
    wire_out.slow = 0.01
    made = await asyncio.gather(*(unlock(cloud, shop) for _ in range(8)))
    for _ in range(3):
        await express.finish()
        await express.drain()
    assert sorted(sent.id for sent in wire_out.commands) == sorted(one.id for one in made)


async def test_nothing_is_held_while_it_is_published(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop
) -> None:
    """Neither the writer of SQLite nor a row: others write meanwhile, in the same store as well."""
    publish = wire_out.publish
    during: list[str] = []

    async def beside(*args: Any, **named: Any) -> None:
        if not during:
            async with asyncio.timeout(30):
                during.append((await unlock(cloud, shop)).id)
        await publish(*args, **named)

    wire_out.publish = beside  # type: ignore[method-assign]
    command = await unlock(cloud, shop)
    await express.finish()
    assert [sent.id for sent in wire_out.commands] == [command.id, *during]


async def test_what_was_rolled_back_is_not_sent(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop
) -> None:
    with pytest.raises(RuntimeError):  # noqa: PT012  the transaction around it is the point
        async with cloud.db.write() as session:
            await _command(session, cloud, shop)
            raise RuntimeError("after the command was written")
    await express.finish()
    assert wire_out.sent == []
    assert await leases(cloud) == []


async def test_without_a_link_the_others_are_woken(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop
) -> None:
    """The link broke between the commit and the publication: a worker may still have one."""
    told: list[str] = []
    cloud.db.tell_others = lambda _topic, key: told.append(key)
    up = True
    express._is_up = lambda: up
    publish = wire_out.publish

    async def breaks(*args: object, **named: object) -> None:
        nonlocal up
        up = False
        raise NotConnected("just lost")

    wire_out.publish = breaks  # type: ignore[method-assign]
    command = await unlock(cloud, shop)
    await express.finish()
    assert told == [shop.store.id]
    assert await pending(cloud) == 1
    wire_out.publish = publish  # type: ignore[method-assign]
    await make_relay(cloud, wire_out, "worker").drain()
    assert [sent.id for sent in wire_out.commands] == [command.id]


async def test_a_store_that_left_meanwhile_gets_nothing(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was known of the store with the row is asked again where the commit took long."""
    begin = express.begin
    waiting: list[tuple[str, datetime, Any]] = []
    monkeypatch.setattr(express, "begin", lambda *what: waiting.append(what))
    command = await unlock(cloud, shop)
    heard = cloud.waiters.expect(command.id)
    await set_status(cloud, shop, online=False)
    stream, leased_at, (row, known, there) = waiting[0]
    assert known is command
    begin(stream, leased_at, (row, known, replace(there, at=there.at - relay.FRESH)))
    await express.finish()
    assert wire_out.sent == []
    assert (await heard)["reason"] == "store_offline"


async def test_what_was_read_with_the_row_is_not_read_again(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits at a door waits for each round trip; the store itself refuses another connection."""
    monkeypatch.setattr(relay, "FRESH", timedelta(minutes=1))
    with statements(cloud.db) as told:
        await unlock(cloud, shop)
        await express.finish()
    assert len(wire_out.commands) == 1
    between = [one for one in told if one.startswith("SELECT store_status")]
    assert len(between) == (1 if cloud.db.is_sqlite else 0), "\n".join(told)


# ------------------------------------------------------------------------------- leases and locks


async def test_the_lease_counts_from_its_taking_not_from_the_commit(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop
) -> None:
    """A commit that took seconds: the lease has run out, and another relay may be at it."""
    cloud.db.express = None
    await unlock(cloud, shop)
    now = cloud.clocks.real
    async with cloud.db.write() as session:
        session.add(
            OutboxLease(stream=shop.store.id, holder="another", until=now + timedelta(minutes=1))
        )
    express.begin(shop.store.id, now - LEASE)
    await express.finish()
    assert wire_out.sent == []
    assert await leases(cloud) == ["another"]


async def test_a_row_that_asked_in_vain_while_the_lease_was_given_back_leaves_at_once(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody looks here: who gives the lease back sees the row of whoever asked for it before."""
    gate, sending = asyncio.Event(), asyncio.Event()
    asked, commit, giving_back = asyncio.Event(), asyncio.Event(), asyncio.Event()
    publish, release = wire_out.publish, express._release

    async def held(*args: Any, **named: Any) -> None:
        sending.set()
        await gate.wait()
        await publish(*args, **named)

    async def seen(session: AsyncSession, stream: str, *one: Any) -> None:
        giving_back.set()
        await release(session, stream, *one)

    wire_out.publish = held  # type: ignore[method-assign]
    monkeypatch.setattr(express, "_release", seen)
    first = await unlock(cloud, shop)
    await sending.wait()

    async def late() -> str:
        async def stand() -> None:
            asked.set()
            await commit.wait()

        async with cloud.db.write() as session:
            before_commit(session, stand)  # after the lease was asked for
            return (await _command(session, cloud, shop)).id

    second = asyncio.create_task(late())
    await asked.wait()
    gate.set()
    if not cloud.db.is_sqlite:  # there the writer keeps them apart
        await giving_back.wait()
    commit.set()
    last = await second
    await express.finish()
    assert [sent.id for sent in wire_out.commands] == [first.id, last]
    assert await leases(cloud) == []


async def test_two_transactions_with_two_stores_each_do_not_wait_in_a_circle(
    cloud: Cloud, express: Relay, shop: Shop
) -> None:
    if cloud.db.is_sqlite:
        return  # one writer
    streams = ["stream-a", "stream-b"]
    async with cloud.db.write() as session:
        until = cloud.clocks.real + timedelta(minutes=1)
        session.add_all(
            OutboxLease(stream=stream, holder="another", until=until) for stream in streams
        )
    met = asyncio.Barrier(2)

    async def both(order: list[str]) -> None:
        async with cloud.db.write() as session:
            for stream in order:
                await put(
                    session,
                    merchant_id=shop.merchant.id,
                    stream=stream,
                    topic=COMMAND,
                    body={"command_id": "none"},
                    now=cloud.clocks.real,
                )
                await session.flush()
                await met.wait()

    await asyncio.gather(both(streams), both(streams[::-1]))  # a deadlock raises


async def test_a_command_in_a_savepoint_that_is_rolled_back_takes_no_lease(
    cloud: Cloud, express: Relay, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[str, datetime]] = []
    monkeypatch.setattr(express, "begin", lambda *what: begun.append(what))
    async with cloud.db.write() as session:
        savepoint = await session.begin_nested()
        await _command(session, cloud, shop)
        await savepoint.rollback()
    assert begun == []
    assert await leases(cloud) == []


async def test_what_a_killed_process_did_not_send_leaves_within_its_time(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease came with the row, and its holder is gone: another waits for the lease to run out."""
    monkeypatch.setattr(express, "begin", lambda *_: None)
    command = await unlock(cloud, shop)
    worker = make_relay(cloud, wire_out, "worker")
    assert await worker.drain() == 0
    assert LEASE.total_seconds() + relay.LOOK_EVERY_S <= 5  # half of a command's life
    async with cloud.db.write() as session:
        held = (await session.execute(select(col(OutboxLease.until)))).scalar_one()
        assert held <= command.created_at + LEASE
        await session.execute(update(OutboxLease).values(until=cloud.clocks.real - LEASE))
    assert await worker.drain() == 1
    assert [sent.id for sent in wire_out.commands] == [command.id]


async def test_a_broken_connection_keeps_nobody_waiting_and_repeats_nothing(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One fails before the publication, one after it."""
    for name in ("_rows", "_release"):
        monkeypatch.setattr(express, name, _fails_once(getattr(express, name)))
    command = await unlock(cloud, shop)
    await express.finish()
    assert [sent.id for sent in wire_out.commands] == [command.id]
    assert (await row_of(cloud, command.id)).state == "sent"
    assert await leases(cloud) == []


def _fails_once(act: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    failed = False

    async def acted(*args: Any) -> Any:
        nonlocal failed
        if not failed:
            failed = True
            raise OperationalError("SELECT", {}, ConnectionError("the server went"))
        return await act(*args)

    return acted


async def _command(session: AsyncSession, cloud: Cloud, shop: Shop) -> DeviceCommand:
    return await devices.create_command(
        session,
        System(),
        store=shop.store,
        target=shop.door.id,
        action="unlock",
        args={},
        why="",
        order_id=None,
        clocks=cloud.clocks,
        instance="p",
    )
