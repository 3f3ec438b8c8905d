"""The outbox on its way out: in order, once, now or never."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices import service as devices
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit import outbox
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import OutboxLease, OutboxRow
from cloud_api.store_channel import relay
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.publisher import DesiredPublisher
from cloud_api.store_channel.relay import Relay
from cloud_api.store_channel.worker import Channel
from store_link.codec import decode
from store_link.link import NotConfirmed, NotConnected
from store_link.messages import AckState, Command, Desired
from store_link.signing import PublicKeyRing, Purpose, open_signed
from store_link.topics import Plane, parse
from tests.cloud_api.factories import Shop, make_store
from tests.cloud_api.store_channel.broker import StoreBroker
from tests.cloud_api.store_channel.store_side import DEADLINE_S, StoreSide, until
from tests.cloud_api.store_channel.test_end_to_end import online, unlock


class Wire:
    """Where relays publish: keeps the order, is as slow as it is told, fails as it is told."""

    def __init__(self, ring: PublicKeyRing) -> None:
        self.ring = ring
        self.sent: list[tuple[str, Any]] = []
        self.slow = 0.0
        self.error: Exception | None = None
        self._rng = random.Random(1)

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        timeout_s: float = 5,
    ) -> None:
        if isinstance(self.error, NotConnected):
            raise self.error
        if self.slow:
            await asyncio.sleep(self._rng.uniform(0, self.slow))
        where = parse(topic)
        assert retain is where.plane.retain
        if where.plane is Plane.COMMAND:
            raw = open_signed(payload, Purpose.COMMAND, where.store, self.ring)
            self.sent.append((where.store, decode(raw, Command)))
        else:
            raw = open_signed(payload, Purpose.DESIRED, where.store, self.ring)
            self.sent.append((where.store, decode(raw, Desired)))
        if self.error is not None:
            raise self.error

    @property
    def commands(self) -> list[Command]:
        return [what for _, what in self.sent if isinstance(what, Command)]


@pytest.fixture
def wire_out(cloud: Cloud) -> Wire:
    return Wire(PublicKeyRing(office_of(cloud).keys.public()))


def make_relay(cloud: Cloud, wire: Wire, name: str = "r1", kind: type[Relay] = Relay) -> Relay:
    keys = office_of(cloud).keys
    return kind(cloud, keys, wire, DesiredPublisher(cloud, keys, wire), name)


async def row_of(cloud: Cloud, command_id: str) -> DeviceCommand:
    async with cloud.db.read() as session:
        found = await session.get(DeviceCommand, command_id)
    assert found is not None
    return found


async def set_status(cloud: Cloud, shop: Shop, **values: Any) -> None:
    async with cloud.db.write() as session:
        await session.execute(
            update(StoreStatus).where(col(StoreStatus.store_id) == shop.store.id).values(**values)
        )


# ------------------------------------------------------------------------------------------- order


class WithoutLease(Relay):
    """The negative control: every relay drains every stream."""

    async def _lease(self, session: AsyncSession, stream: str, now: Any) -> bool:
        return True


async def inversions(cloud: Cloud, wire: Wire, make_cloud: Callable[[], Awaitable[Cloud]]) -> int:
    """20 stores × 40 commands through two relays of two processes; how often order was broken."""
    async with cloud.db.write() as session:
        shops = [
            await make_store(session, cloud.clocks.now, rooms=1, name=f"店{n}") for n in range(20)
        ]
    rng = random.Random(7)
    for _ in range(8):  # 100 commands in a transaction, shuffled over the stores
        async with cloud.db.write() as session:
            for shop in rng.sample(shops * 5, 100):
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
                    valid_s=300,
                )
    other = await make_cloud()
    wire.slow = 0.002
    relays = [make_relay(cloud, wire, "a"), make_relay(other, wire, "b")]

    async def work(one: Relay) -> None:
        for _ in range(200):
            await one.drain()
            if await pending(cloud) == 0:
                return
            await asyncio.sleep(0.005)

    await asyncio.gather(*(work(one) for one in relays))
    assert await pending(cloud) == 0
    assert {command.id for command in wire.commands} == await all_commands(cloud)
    order = await order_of(cloud)
    last: defaultdict[str, int] = defaultdict(int)
    broken = 0
    for store, command in wire.sent:
        broken += order[command.id] < last[store]
        last[store] = max(order[command.id], last[store])
    return broken


async def order_of(cloud: Cloud) -> dict[str, int]:
    async with cloud.db.read() as session:
        rows = (await session.execute(select(col(OutboxRow.seq), col(OutboxRow.body)))).all()
    return {row.body["command_id"]: row.seq for row in rows if "command_id" in row.body}


async def pending(cloud: Cloud) -> int:
    async with cloud.db.read() as session:
        query = select(col(OutboxRow.seq)).where(
            col(OutboxRow.sent_at).is_(None),
            col(OutboxRow.dropped).is_(None),
            col(OutboxRow.topic) == "command",
        )
        return len((await session.execute(query)).all())


async def all_commands(cloud: Cloud) -> set[str]:
    async with cloud.db.read() as session:
        return set((await session.execute(select(col(DeviceCommand.id)))).scalars())


async def test_two_relays_keep_every_stores_order(
    cloud: Cloud, wire_out: Wire, make_cloud: Callable[[], Awaitable[Cloud]]
) -> None:
    assert await inversions(cloud, wire_out, make_cloud) == 0
    assert len(wire_out.commands) == len({command.id for command in wire_out.commands})


async def sent_past_a_slow_relay(
    cloud: Cloud,
    wire: Wire,
    make_cloud: Callable[[], Awaitable[Cloud]],
    shop: Shop,
    kind: type[Relay],
) -> list[str]:
    """What leaves while a second relay drains the same store, the first being held at its start."""
    first = await unlock(cloud, shop, valid_s=60)
    last = await unlock(cloud, shop, valid_s=60)
    gate, at_the_gate = asyncio.Event(), asyncio.Event()
    publish = wire.publish

    async def held(*args: Any, **named: Any) -> None:
        at_the_gate.set()
        await gate.wait()
        await publish(*args, **named)

    held_wire = Wire(wire.ring)
    held_wire.publish = held  # type: ignore[method-assign]
    slow = asyncio.create_task(make_relay(cloud, held_wire, "slow", kind).drain())
    await at_the_gate.wait()
    await make_relay(await make_cloud(), wire, "quick", kind).drain()
    gate.set()
    await slow
    names = {first.id: "first", last.id: "last"}
    return [names[command.id] for command in wire.commands]


async def test_a_second_relay_leaves_a_stream_alone_that_is_drained(
    cloud: Cloud, wire_out: Wire, make_cloud: Callable[[], Awaitable[Cloud]], shop: Shop
) -> None:
    sent = await sent_past_a_slow_relay(cloud, wire_out, make_cloud, shop, Relay)
    assert sent == ["first", "last"]


async def test_without_the_lease_order_breaks(
    cloud: Cloud, wire_out: Wire, make_cloud: Callable[[], Awaitable[Cloud]], shop: Shop
) -> None:
    """The negative control of the two tests above: they can fail."""
    sent = await sent_past_a_slow_relay(cloud, wire_out, make_cloud, shop, WithoutLease)
    assert sent == ["first", "last", "first", "last"]


async def test_a_dead_relays_lease_runs_out(cloud: Cloud, wire_out: Wire, shop: Shop) -> None:
    dead, alive = make_relay(cloud, wire_out, "dead"), make_relay(cloud, wire_out, "alive")
    async with cloud.db.write() as session:
        await dead._lease(session, shop.store.id, cloud.clocks.real)
    command = await unlock(cloud, shop, valid_s=60)
    assert await alive.drain() == 0
    async with cloud.db.write() as session:  # ten seconds on
        past = cloud.clocks.real - timedelta(seconds=10.1)
        await session.execute(update(OutboxLease).values(until=past))
    assert await alive.drain() == 1
    assert [sent.id for sent in wire_out.commands] == [command.id]


# ----------------------------------------------------------------------------------- now or never


async def test_a_command_carries_the_present_connection(
    cloud: Cloud, wire_out: Wire, shop: Shop
) -> None:
    command = await unlock(cloud, shop)
    await set_status(cloud, shop, nonce="n2")  # it came back in between
    await make_relay(cloud, wire_out).drain()
    [sent] = wire_out.commands
    assert (sent.id, sent.nonce, sent.reply_to) == (command.id, "n2", cloud.waiters.instance)
    assert sent.exp - sent.iat == 10_000
    assert (await row_of(cloud, command.id)).state == "sent"


async def test_an_expired_command_is_never_sent(cloud: Cloud, wire_out: Wire, shop: Shop) -> None:
    command = await unlock(cloud, shop, valid_s=-0.001)
    heard = cloud.waiters.expect(command.id)
    await make_relay(cloud, wire_out).drain()
    assert wire_out.sent == []
    assert (await heard)["state"] == "not_sent"
    row = await row_of(cloud, command.id)
    assert (row.state, row.reason) == ("not_sent", "expired")


async def test_a_command_that_expires_on_the_way_to_the_broker_is_not_sent(
    cloud: Cloud, wire_out: Wire, shop: Shop
) -> None:
    first = await unlock(cloud, shop)
    second = await unlock(cloud, shop, valid_s=0.15)
    wire_out.slow = 0.0
    publish = wire_out.publish

    async def slowly(*args: Any, **named: Any) -> None:
        await asyncio.sleep(0.3)
        await publish(*args, **named)

    wire_out.publish = slowly  # type: ignore[method-assign]
    await make_relay(cloud, wire_out).drain()
    assert [sent.id for sent in wire_out.commands] == [first.id]
    assert (await row_of(cloud, second.id)).reason == "expired"


async def test_a_store_that_left_gets_nothing(cloud: Cloud, wire_out: Wire, shop: Shop) -> None:
    command = await unlock(cloud, shop)
    heard = cloud.waiters.expect(command.id)
    await set_status(cloud, shop, online=False)
    await make_relay(cloud, wire_out).drain()
    assert wire_out.sent == []
    assert (await heard)["reason"] == "store_offline"


async def test_without_a_broker_who_waits_hears_it_soon_and_nothing_is_sent_later(
    cloud: Cloud, wire_out: Wire, shop: Shop
) -> None:
    wire_out.error = NotConnected("no broker")
    command = await unlock(cloud, shop)
    heard = cloud.waiters.expect(command.id)
    one = make_relay(cloud, wire_out)
    stop = asyncio.Event()
    task = asyncio.create_task(one.run(stop))
    answer = await asyncio.wait_for(heard, 5)
    assert (answer["state"], answer["reason"]) == ("not_sent", "broker_offline")
    wire_out.error = None
    one.wake()
    await asyncio.sleep(0.1)
    stop.set()
    await task
    assert wire_out.sent == []


async def test_a_slow_broker_is_not_taken_for_none(
    cloud: Cloud, wire_out: Wire, shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the lease leaves no time for waits for the next round, however long it has waited."""
    monkeypatch.setattr(relay, "FENCE_S", 0.2)
    monkeypatch.setattr(relay, "PATIENCE", timedelta(0))
    made = [await unlock(cloud, shop, valid_s=60) for _ in range(3)]
    publish = wire_out.publish

    async def slowly(*args: Any, **named: Any) -> None:
        await asyncio.sleep(0.3)
        await publish(*args, **named)

    wire_out.publish = slowly  # type: ignore[method-assign]
    await make_relay(cloud, wire_out).drain()
    assert [sent.id for sent in wire_out.commands] == [command.id for command in made]
    assert {(await row_of(cloud, command.id)).state for command in made} == {"sent"}


async def test_an_unconfirmed_publication_is_not_repeated(
    cloud: Cloud, wire_out: Wire, shop: Shop
) -> None:
    wire_out.error = NotConfirmed("no puback")
    command = await unlock(cloud, shop)
    one = make_relay(cloud, wire_out)
    for _ in range(3):
        await one.drain()
    assert [sent.id for sent in wire_out.commands] == [command.id]
    assert (await row_of(cloud, command.id)).state == "sent"


async def test_a_document_that_cannot_be_built_does_not_hold_commands_up(
    cloud: Cloud, wire_out: Wire, shop: Shop, store: StoreSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = make_relay(cloud, wire_out)

    async def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("cannot be built")

    monkeypatch.setattr(one._desired, "refresh", broken)
    async with cloud.db.write() as session:
        await outbox.desired_changed(
            session,
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            now=cloud.clocks.real,
        )
    await set_status(cloud, shop, online=True, nonce="n1")
    command = await unlock(cloud, shop)
    await one.drain()
    assert [sent.id for sent in wire_out.commands] == [command.id]


async def test_a_command_published_twice_acts_once(
    cloud: Cloud,
    shop: Shop,
    channel: Channel,
    store: StoreSide,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A relay that dies between publishing and marking leaves the row; the next one sends it again."""
    await store.connect()
    await online(cloud, store)
    store.answers = None  # an answer that is in before the second drain would mark the row first
    marks = 0
    mark = channel.relay._mark

    async def dies_once(stream: str, batch: Any) -> bool:
        nonlocal marks
        if batch.sent:
            marks += 1
            if marks == 1:
                batch.sent.clear()
        return await mark(stream, batch)

    monkeypatch.setattr(channel.relay, "_mark", dies_once)
    command = await unlock(cloud, shop)
    await until(lambda: len(store.commands) == 2)
    assert {sent.id for sent in store.commands} == {command.id}
    store.answers = AckState.DONE
    for sent in list(store.commands):
        await store.obey(sent)
    assert store.seen == {command.id}
    answer = await devices.wait_for(cloud, command.id, cloud.clocks.real + timedelta(seconds=5))
    assert answer["state"] == "done"


# ------------------------------------------------------------------------------ restarts of a broker


async def test_nothing_comes_late_after_the_broker_was_away(
    cloud: Cloud, shop: Shop, channel: Channel, store: StoreSide, broker: StoreBroker
) -> None:
    await store.connect()
    await online(cloud, store)
    nonce = store.link.nonce
    broker.kill()
    await until(lambda: not channel.link.up)
    await set_status(cloud, shop, online=True)  # the cloud has not noticed that the store is away
    command = await unlock(cloud, shop)
    answer = await devices.wait_for(cloud, command.id, cloud.clocks.real + timedelta(seconds=9))
    assert answer["state"] == "not_sent"
    broker.start()
    await channel.link.wait_up(30)
    await store.link.wait_up(30)
    await online(cloud, store)
    assert store.link.nonce != nonce
    after = await unlock(cloud, shop)
    answer = await devices.wait_for(cloud, after.id, cloud.clocks.real + timedelta(seconds=9))
    assert answer["state"] == "done"
    assert [sent.id for sent in store.commands] == [after.id]


async def test_a_store_that_connects_later_finds_no_old_command(
    cloud: Cloud, shop: Shop, channel: Channel, store: StoreSide
) -> None:
    await store.connect()
    await online(cloud, store)
    nonce = store.link.nonce
    await store.close()  # without a will: the cloud takes it for connected
    command = await unlock(cloud, shop)
    async with asyncio.timeout(DEADLINE_S):
        while (row := await row_of(cloud, command.id)).state == "created":
            await asyncio.sleep(0.02)
    assert row.state == "sent"
    await store.connect()
    await online(cloud, store)
    assert store.link.nonce != nonce
    await asyncio.sleep(0.2)  # what a broker had kept would come with the subscription
    assert store.commands == []
