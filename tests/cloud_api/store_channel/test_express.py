"""The short way out: the process in which somebody taps sends that command itself."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select
from sqlmodel import col

from cloud_api.devices import service as devices
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import OutboxLease
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


async def test_what_was_rolled_back_is_not_sent(
    cloud: Cloud, express: Relay, wire_out: Wire, shop: Shop
) -> None:
    with pytest.raises(RuntimeError):  # noqa: PT012  the transaction around it is the point
        async with cloud.db.write() as session:
            await devices.create_command(
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
    begin = express.begin
    waiting: list[str] = []
    monkeypatch.setattr(express, "begin", waiting.append)
    command = await unlock(cloud, shop)
    heard = cloud.waiters.expect(command.id)
    await set_status(cloud, shop, online=False)
    begin(*waiting)
    await express.finish()
    assert wire_out.sent == []
    assert (await heard)["reason"] == "store_offline"
