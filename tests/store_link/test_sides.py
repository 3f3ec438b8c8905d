"""Store side and cloud side with each other, on a real broker."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest

from store_link import topics
from store_link.clock import WireClock, ms
from store_link.cloud_side import CloudSide
from store_link.codec import decode
from store_link.link import Endpoint, LinkState, NotConnected
from store_link.messages import (
    AckState,
    Action,
    ClockQuality,
    Command,
    CommandAck,
    Desired,
    Event,
    EventAck,
    EventBatch,
    EventKind,
)
from store_link.passes import ulid_text
from store_link.presence import PresenceTracker
from store_link.reports import OutboxReport, Presence, Reported, Telemetry
from store_link.signing import (
    EnvelopeTooLong,
    MacKey,
    PublicKeyRing,
    Purpose,
    SigningKey,
    open_mac,
    open_signed,
    seal,
)
from store_link.store_side import StoreSide
from store_link.topics import ParsedTopic, Plane, shard_of
from tests.store_link.conftest import QUICK, Recorder, until
from tests.support.nats import NatsBroker

DESIRED = SigningKey.generate("d1", "desired")
COMMAND = SigningKey.generate("c1", "command")
RING = PublicKeyRing([DESIRED.public(), COMMAND.public()])
MAC = MacKey.generate("m1")
NOW = ms(WireClock().now())


class World:
    """One store on a shared broker, any number of cloud processes, and what they heard of it."""

    def __init__(self, broker: NatsBroker, name: str) -> None:
        self.broker = broker
        self.name = name
        self.down: list[tuple[Plane, bytes, bool]] = []
        self.up: list[tuple[ParsedTopic, bytes, bool]] = []
        self.tracker = PresenceTracker()
        self._sides: list[StoreSide | CloudSide] = []

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint("127.0.0.1", self.broker.mqtt_port)

    async def store(self) -> StoreSide:
        side = StoreSide(
            store=self.name,
            mac_key=MAC,
            endpoint=self.endpoint,
            clock=WireClock(),
            on_down=self._on_down,
            backoff=QUICK,
        )
        await self._run(side)
        return side

    async def cloud(self, **options: Any) -> CloudSide:
        side = CloudSide(endpoint=self.endpoint, on_up=self._on_up, backoff=QUICK, **options)
        await self._run(side)
        return side

    async def _run(self, side: StoreSide | CloudSide) -> None:
        self._sides.append(side)
        await side.start()
        await side.wait_up(20)

    async def _on_down(self, plane: Plane, envelope: bytes, retained: bool) -> None:
        purpose = Purpose(plane.value.removeprefix("down/"))
        self.down.append((plane, open_signed(envelope, purpose, self.name, RING), retained))

    async def _on_up(self, topic: ParsedTopic, envelope: bytes, retained: bool) -> None:
        if topic.store != self.name:
            return  # retained by other tests
        purpose = Purpose(topic.plane.value.removeprefix("up/"))
        payload = open_mac(envelope, purpose, topic.store, [MAC])
        if topic.plane is Plane.PRESENCE:
            self.tracker.observe_presence(decode(payload, Presence), retained=retained)
        if topic.plane is Plane.REPORTED:
            self.tracker.observe_reported(decode(payload, Reported), retained=retained)
        self.up.append((topic, payload, retained))

    def heard(self, plane: Plane) -> list[bytes]:
        return [payload for topic, payload, _ in self.up if topic.plane is plane]

    async def close(self) -> None:
        for side in self._sides:
            await side.stop()


@pytest.fixture
async def world(broker, name) -> AsyncIterator[World]:
    made = World(broker, name)
    yield made
    await made.close()


@pytest.fixture
def name() -> str:
    """A store of this test alone: the broker is shared and retains."""
    return ulid_text(b"\x01" + secrets.token_bytes(15))


def reported(store: StoreSide) -> Reported:
    return Reported(
        store=store.store,
        boot=store.boot,
        nonce=store.nonce or "",
        sent_at=ms(WireClock().now()),
        epoch=0,
        rev=0,
        journal="j",
        version="0",
        clock=ClockQuality.SYNCED,
        outbox=OutboxReport(depth=0, oldest_at=None),
    )


def batch(store: str, body: dict[str, Any]) -> EventBatch:
    event = Event(seq=1, id="e", at=NOW, clock=ClockQuality.SYNCED, kind=EventKind.BOOT, body=body)
    return EventBatch(store=store, journal="j", events=(event,))


async def test_every_plane_goes_down_and_up(world, name):
    cloud = await world.cloud(instance="api-1")
    store = await world.store()
    await until(lambda: world.tracker.nonce(name) == store.nonce)

    desired = Desired(store=name, epoch=1, rev=1, sent_at=NOW, tz="Asia/Shanghai")
    command = Command(
        store=name,
        id="c",
        target="d1",
        action=Action.UNLOCK,
        iat=NOW,
        exp=NOW + 10_000,
        nonce=store.nonce,
        by="system",
        reply_to=cloud.instance,
    )
    acked = EventAck(store=name, journal="j", upto=1)
    await cloud.send_desired(desired, DESIRED)
    await cloud.send_command(command, COMMAND)
    await cloud.send_event_ack(acked, COMMAND)
    await until(lambda: len(world.down) == 3)
    assert [(plane, retained) for plane, _, retained in world.down] == [
        (Plane.DESIRED, False),
        (Plane.COMMAND, False),
        (Plane.EVENT_ACK, False),
    ]
    assert decode(world.down[0][1], Desired) == desired
    assert decode(world.down[1][1], Command) == command
    assert decode(world.down[2][1], EventAck) == acked

    done = CommandAck(store=name, id="c", state=AckState.DONE, at=NOW)
    events = batch(name, {"why": "开机"})
    await store.publish_ack("api-1", done)
    await store.publish_events(events)
    await store.publish_reported(reported(store))
    await store.publish_telemetry(Telemetry(store=name, sent_at=NOW, values={"w": 1.5}))
    await until(lambda: world.heard(Plane.TELEMETRY))
    assert decode(world.heard(Plane.ACK)[0], CommandAck) == done
    assert decode(world.heard(Plane.EVENT)[0], EventBatch) == events
    assert decode(world.heard(Plane.REPORTED)[0], Reported).nonce == store.nonce


async def test_a_store_that_comes_later_finds_desired_and_no_command(world, name):
    cloud = await world.cloud()
    await cloud.send_desired(
        Desired(store=name, epoch=1, rev=7, sent_at=NOW, tz="Asia/Shanghai"), DESIRED
    )
    await cloud.link.publish(topics.command(name), b"unlock")
    await world.store()
    await until(lambda: world.down)
    await cloud.send_event_ack(EventAck(store=name, journal="j", upto=0), COMMAND)
    await until(lambda: len(world.down) == 2)
    assert [(plane, retained) for plane, _, retained in world.down] == [
        (Plane.DESIRED, True),
        (Plane.EVENT_ACK, False),
    ]


async def test_a_closed_store_s_document_is_taken_out(world, name, make_link):
    cloud = await world.cloud()
    await cloud.send_desired(Desired(store=name, epoch=1, rev=1, sent_at=NOW, tz="UTC"), DESIRED)
    await cloud.forget_desired(name)
    inbox = Recorder()
    link = make_link(world.broker, on_message=inbox)
    await link.start()
    await link.wait_up(20)
    await link.subscribe([topics.desired(name)])
    await link.publish(topics.desired(name), b"probe")
    await until(lambda: inbox.messages)
    assert inbox.payloads == [b"probe"]


async def test_presence_follows_the_connection(world, name):
    await world.cloud()
    store = await world.store()
    await until(lambda: world.tracker.online(name))
    first = store.nonce
    store.link.drop()
    await until(lambda: store.up and store.nonce != first)
    await until(lambda: world.tracker.nonce(name) == store.nonce)
    last = store.nonce
    await store.stop()
    await until(lambda: not world.tracker.online(name))
    messages = [decode(raw, Presence) for raw in world.heard(Plane.PRESENCE)]
    assert {one.boot for one in messages} == {store.boot}
    assert [(one.state, one.nonce) for one in messages if one.state == "online"] == [
        ("online", first),
        ("online", last),
    ]
    assert messages[-1].state == "lost"
    assert store.nonce is None


async def test_a_late_will_does_not_make_a_present_store_look_lost(world, name):
    """As a broker does that notices a dead connection only after the store is back."""
    first_cloud = await world.cloud()
    store = await world.store()
    await until(lambda: world.tracker.nonce(name) == store.nonce)
    await store.publish_reported(reported(store))
    will = Presence(store=name, state="lost", boot="old", nonce="old", sent_at=NOW - 60_000)
    raw = seal(will.model_dump_json().encode(), Purpose.PRESENCE, name, MAC)
    await first_cloud.link.publish(topics.presence(name), raw, retain=True)
    await until(lambda: len(world.heard(Plane.PRESENCE)) == 2)
    assert world.tracker.nonce(name) == store.nonce

    fresh = World(
        world.broker, name
    )  # a cloud process that starts now and reads only what is retained
    try:
        await fresh.cloud()
        await until(lambda: fresh.heard(Plane.REPORTED) and fresh.heard(Plane.PRESENCE))
        assert fresh.tracker.nonce(name) == store.nonce
    finally:
        await fresh.close()


async def test_outcomes_come_to_the_process_that_waits_and_to_no_other(world, name):
    other = World(world.broker, name)
    try:
        await world.cloud(instance="api-1", shards=())
        await other.cloud(instance="api-2", shards=())
        store = await world.store()
        for instance in ("api-1", "api-2"):
            ack = CommandAck(store=name, id=instance, state=AckState.DONE, at=NOW)
            await store.publish_ack(instance, ack)
        await until(lambda: world.up and other.up)
        assert [decode(raw, CommandAck).id for raw in world.heard(Plane.ACK)] == ["api-1"]
        assert [decode(raw, CommandAck).id for raw in other.heard(Plane.ACK)] == ["api-2"]
        assert {topic.plane for topic, _, _ in world.up + other.up} == {Plane.ACK}
    finally:
        await other.close()


async def test_shards_are_ingested_as_leased(world, name):
    mine, foreign = shard_of(name), (shard_of(name) + 1) % 64
    cloud = await world.cloud(instance="api-1", shards=[foreign])
    store = await world.store()

    async def said(body: str) -> list[str]:
        """Publish an event, then an ack: what is heard before the ack is all there is."""
        await store.publish_events(batch(name, {"say": body}))
        ack = CommandAck(store=name, id=body, state=AckState.DONE, at=NOW)
        await store.publish_ack("api-1", ack)
        await until(lambda: body in [decode(raw, CommandAck).id for raw in world.heard(Plane.ACK)])
        return [decode(raw, EventBatch).events[0].body["say"] for raw in world.heard(Plane.EVENT)]

    assert await said("one") == []
    await cloud.set_shards([mine, foreign])
    assert await said("two") == ["two"]
    old = cloud.link.nonce
    cloud.link.drop()
    await until(lambda: cloud.link.nonce != old and cloud.link.state is LinkState.UP)
    assert await said("three") == ["two", "three"]
    await cloud.set_shards([])
    assert await said("four") == ["two", "three"]
    await cloud.set_shards(None)
    assert "five" in await said("five")


async def test_too_many_events_at_once_are_refused_before_sending(world, name):
    store = await world.store()
    with pytest.raises(EnvelopeTooLong):
        await store.publish_events(batch(name, {"evidence": "x" * 70_000}))
    assert store.up


async def test_nothing_is_sent_by_sides_that_are_not_connected(own_broker, name):
    world = World(own_broker, name)
    try:
        cloud, store = await world.cloud(), await world.store()
        own_broker.kill()
        await until(lambda: not cloud.up and not store.up)
        with pytest.raises(NotConnected):
            await store.publish_events(batch(name, {}))
        with pytest.raises(NotConnected):
            await cloud.send_event_ack(EventAck(store=name, journal="j", upto=1), COMMAND)
    finally:
        await world.close()


async def test_foreign_and_unknown_topics_are_not_handed_on(world, name):
    cloud = await world.cloud()
    store = await world.store()
    await store.link.subscribe([topics.command(name + "X"), topics.root(name) + "/up/#"])
    await cloud.link.publish(topics.command(name + "X"), b"foreign")
    await cloud.link.publish(topics.root(name) + "/down/future", b"unknown")
    await store.publish_telemetry(Telemetry(store=name, sent_at=NOW, values={}))
    await cloud.send_event_ack(EventAck(store=name, journal="j", upto=0), COMMAND)
    await until(lambda: world.down)
    assert [plane for plane, _, _ in world.down] == [Plane.EVENT_ACK]
