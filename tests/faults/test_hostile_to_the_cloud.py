"""Somebody with all rights on the broker speaks to the cloud as if he were a store.

He has no MAC key, or that of another store. The real channel of the cloud on SQLite, the real broker;
two stores. After each lie the honest store is heard as before, each event once.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from sqlmodel import SQLModel, col, select
from structlog.testing import capture_logs

from cloud_api.claims import guard
from cloud_api.devices.commands import create_command
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit.actor import System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import Vault, use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.waiters import Waiters
from cloud_api.settings import Settings
from cloud_api.store_channel.models import EventCursor, StoreEvent
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.worker import Channel
from store_link import topics
from store_link.clock import ManualClock, WireClock
from store_link.codec import encode
from store_link.link import Backoff, Endpoint, MqttLink, Tls
from store_link.messages import AckState, CommandAck, EventBatch, EventKind
from store_link.signing import MacKey, Purpose, seal
from store_link.topics import Plane
from tests.cloud_api.factories import Shop, make_store
from tests.cloud_api.store_channel.broker import StoreBroker
from tests.cloud_api.store_channel.store_side import StoreSide, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("hostile-cloud")]

SECRET = "11" * 32
SETTLED_S = 0.1  # long against the milliseconds in which this broker delivers
FAST = Backoff(base_s=0.05, cap_s=0.2)


@dataclass
class Scene:
    """``mine`` is the honest store, ``other`` one whose own key the liar has."""

    cloud: Cloud
    channel: Channel
    shop: Shop
    mine: StoreSide
    other: StoreSide
    liar: MqttLink
    open_command: str = ""

    async def say(self, plane: Plane, raw: bytes, *, retain: bool = False) -> None:
        await self.liar.publish(topics.topic(plane, self.mine.store), raw, retain=retain)

    async def truth(self) -> dict[str, Any]:
        """What no lie may change."""
        async with self.cloud.db.read() as session:
            events = select(col(StoreEvent.id)).order_by(
                col(StoreEvent.journal), col(StoreEvent.seq)
            )
            cursors = select(col(EventCursor.journal), col(EventCursor.upto))
            status = await session.get(StoreStatus, self.mine.store)
            command = await session.get(DeviceCommand, self.open_command)
            assert status is not None
            assert command is not None
            return {
                "events": list((await session.exec(events)).all()),
                "cursors": sorted(map(tuple, (await session.exec(cursors)).all())),
                "online": (status.online, status.nonce, status.boot),
                "applied": (status.epoch, status.rev),
                "command": (command.state, command.reason, command.final_at),
            }

    def forged(self, purpose: Purpose, message: Any, store: str = "") -> bytes:
        """Under the honest store's key id, by a key of the liar's own."""
        key = MacKey.generate(self.mine.enrolled.mac.kid)
        return seal(encode(message), purpose, store or self.mine.store, key)

    def borrowed(self, purpose: Purpose, message: Any) -> bytes:
        """By the other store's true key, for the honest store's topic."""
        return seal(encode(message), purpose, self.mine.store, self.other.enrolled.mac)

    def true(self, purpose: Purpose, message: Any, store: str = "") -> bytes:
        """By the honest store's true key: what the liar may have heard, or put together."""
        return seal(encode(message), purpose, store or self.mine.store, self.mine.enrolled.mac)

    def batch(self, **changes: Any) -> EventBatch:
        """The event that the honest store would send next."""
        events = (self.mine.events[0].model_copy(
            update={"seq": len(self.mine.events) + 1, "id": "forged", "kind": EventKind.BOOT}
        ),)  # fmt: skip
        batch = EventBatch(store=self.mine.store, journal=self.mine.journal, events=events)
        return batch.model_copy(update=changes)

    def ack(self, state: AckState = AckState.DONE) -> CommandAck:
        now = round(datetime.now(UTC).timestamp() * 1000)
        return CommandAck(store=self.mine.store, id=self.open_command, state=state, at=now)

    async def say_ack(self, raw: bytes, store: str = "") -> None:
        instance = self.cloud.waiters.instance
        await self.liar.publish(topics.ack(store or self.mine.store, instance), raw)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    use_vault(Vault([bytes.fromhex(SECRET)]))
    clocks = Clocks(ManualClock(datetime.now(UTC)), WireClock())
    async with contextlib.AsyncExitStack() as stack:
        broker = StoreBroker(folder / "broker", folder / "data")
        stack.enter_context(broker)
        settings = Settings(
            database_url=f"sqlite+aiosqlite:///{folder / 'cloud.db'}",
            secrets=SECRET,
            data_dir=folder / "data",
            public_url="http://kaimen.test",
            mqtt_port=broker.mqtt_port,
            broker_admin="none",
            run_worker=False,
        )
        db = Database(settings.database_url)
        stack.push_async_callback(db.close)
        async with db.engine.begin() as connection:
            await connection.run_sync(SQLModel.metadata.create_all)
            await guard.install(connection)
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        cloud = Cloud(settings, db, clocks, http, Waiters("api"), holder="test")
        async with db.write() as session:
            shop = await make_store(session, clocks.now)
            foreign = await make_store(session, clocks.now, name="别家")
        mine, other = [
            await StoreSide.enrol(cloud, one.store.id, folder / "stores", broker.mqtt_port)
            for one in (shop, foreign)
        ]
        for side in (mine, other):
            await broker.admin.ensure_store(side.enrolled.mqtt_user, side.store)
        _no_rules(broker)
        stop = asyncio.Event()
        channel = Channel(cloud, office_of(cloud), backoff=FAST)
        running = asyncio.create_task(channel.run(stop))
        await channel.link.wait_up(30)
        files = office_of(cloud).authority.cloud_client(clocks.real)
        tls = Tls(files.ca, files.cert, files.key)

        async def ignore(topic: str, raw: bytes, retained: bool) -> None:
            pass

        liar = MqttLink(Endpoint("127.0.0.1", broker.mqtt_port, tls=tls), on_message=ignore)
        await liar.start()
        await liar.wait_up(30)
        made = Scene(cloud, channel, shop, mine, other, liar)
        mine.answers = None  # the command stays open: nobody but a liar answers it
        for side in (mine, other):
            await side.connect()
            side.write(EventKind.BOOT, {"n": 1})
            await side.send_events(1, 1)
        await until(lambda: mine.acked == 1 == other.acked, "the first events")
        await until(lambda: (0, 0) not in {mine.applied, other.applied}, "the documents")
        await _online(made)
        async with db.write() as session:
            store = shop.store
            command = await create_command(
                session, System(), store=store, target=shop.doors[0].id, action="unlock", args={},
                why="测试", order_id=None, clocks=clocks, instance="api", valid_s=100,
            )  # fmt: skip
            made.open_command = command.id
        await until(lambda: mine.commands, "the command")
        await asyncio.sleep(0.2)  # it is marked as sent
        yield made
        for side in (mine, other):
            await side.close()
        await liar.stop()
        stop.set()
        await running


def _no_rules(broker: StoreBroker) -> None:
    """Whoever has a certificate may do everything: what the broker's admin can give himself."""
    rights = re.compile(r"permissions: \{.*\} \}")
    users = broker.users_file.read_text()
    broker.users_file.write_text(
        rights.sub('permissions: { publish: ">", subscribe: ">" } }', users)
    )
    broker.restart()


async def _online(scene: Scene) -> None:
    while True:
        async with scene.cloud.db.read() as session:
            status = await session.get(StoreStatus, scene.mine.store)
        if status is not None and status.online and status.rev == scene.mine.applied[1]:
            return
        await asyncio.sleep(0.02)


def flipped(raw: bytes, at: int) -> bytes:
    at %= len(raw)
    return raw[:at] + bytes([raw[at] ^ 0x04]) + raw[at + 1 :]


Lie = Callable[[Scene], Awaitable[None]]


def said(plane: Plane, make: Callable[[Scene], bytes], *, retain: bool = False) -> Lie:
    async def tell(scene: Scene) -> None:
        await scene.say(plane, make(scene), retain=retain)

    return tell


def acked(make: Callable[[Scene], bytes], *, by_other: bool = False) -> Lie:
    async def tell(scene: Scene) -> None:
        await scene.say_ack(make(scene), scene.other.store if by_other else "")

    return tell


def _lost(scene: Scene) -> bytes:
    return scene.mine.presence("lost", scene.mine.link.nonce or "")


# The lie, and the word by which the cloud's log tells it ("" where it is what any network does).
LIES: dict[str, tuple[Lie, str]] = {
    "events of a wrong key": (
        said(Plane.EVENT, lambda s: s.forged(Purpose.EVENT, s.batch())), "bad_signature",
    ),
    "events by another store's key": (
        said(Plane.EVENT, lambda s: s.borrowed(Purpose.EVENT, s.batch())), "unknown_key",
    ),
    "events that name another store": (
        said(Plane.EVENT, lambda s: s.true(Purpose.EVENT, s.batch(store=s.other.store))),
        "names another store",
    ),
    "events made for another store": (
        said(Plane.EVENT, lambda s: s.true(Purpose.EVENT, s.batch(), s.other.store)),
        "bad_signature",
    ),
    "events of another store's journal": (
        said(Plane.EVENT, lambda s: s.true(Purpose.EVENT, s.batch(journal=s.other.journal))),
        "another store's",
    ),
    "a report said as events": (
        said(Plane.EVENT, lambda s: s.true(Purpose.REPORTED, s.batch())), "bad_signature",
    ),
    "events, a bit flipped": (
        said(Plane.EVENT, lambda s: flipped(s.true(Purpose.EVENT, s.batch()), -25)),
        "bad_signature",
    ),
    "events, a bit of the MAC flipped": (
        said(Plane.EVENT, lambda s: flipped(s.true(Purpose.EVENT, s.batch()), 60)), "refused",
    ),
    "events of an unknown version": (
        said(
            Plane.EVENT,
            lambda s: s.true(Purpose.EVENT, s.batch()).replace(b'"v":1', b'"v":7'),
        ),
        "bad_signature",
    ),
    "events of a version beyond ours, truly sealed": (
        said(
            Plane.EVENT,
            lambda s: seal(
                encode(s.batch()).replace(b'"v":1', b'"v":7'),
                Purpose.EVENT, s.mine.store, s.mine.enrolled.mac,
            ),
        ),
        "events_refused",
    ),
    "events cut short": (
        said(Plane.EVENT, lambda s: s.true(Purpose.EVENT, s.batch())[:-5]), "bad_signature",
    ),
    "noise as events": (said(Plane.EVENT, lambda s: bytes(range(256))), "bad_message"),
    "nothing as events": (said(Plane.EVENT, lambda s: b""), "refused"),
    "events of before, again": (said(Plane.EVENT, lambda s: s.mine.batch(1, 1)), ""),
    "other events under a number that was taken": (
        said(
            Plane.EVENT,
            lambda s: s.true(
                Purpose.EVENT,
                s.batch(events=(s.mine.events[0].model_copy(update={"id": "other"}),)),
            ),
        ),
        "other events",
    ),
    "presence: lost, of a wrong key": (
        said(Plane.PRESENCE, lambda s: flipped(_lost(s), -25), retain=True), "bad_signature",
    ),
    "presence: lost, by another store's key": (
        said(Plane.PRESENCE, lambda s: s.other.presence("lost", s.mine.link.nonce or "")),
        "unknown_key",
    ),
    "presence: a will of an old connection, late": (
        said(Plane.PRESENCE, lambda s: s.mine.presence("lost", "an-earlier-nonce"), retain=True),
        "late_will_ignored",
    ),
    "presence taken away": (said(Plane.PRESENCE, lambda s: b"", retain=True), "refused"),
    "a report of a wrong key": (
        said(Plane.REPORTED, lambda s: s.forged(Purpose.REPORTED, s.batch()), retain=True),
        "bad_signature",
    ),
    "an answer of a wrong key": (
        acked(lambda s: s.forged(Purpose.ACK, s.ack())), "bad_signature",
    ),
    "an answer by another store's key": (
        acked(lambda s: s.borrowed(Purpose.ACK, s.ack())), "unknown_key",
    ),
    "an answer of another store, truly sealed": (
        acked(
            lambda s: seal(
                encode(s.ack().model_copy(update={"store": s.other.store})),
                Purpose.ACK, s.other.store, s.other.enrolled.mac,
            ),
            by_other=True,
        ),
        "",
    ),
    "an event said as an answer": (
        acked(lambda s: s.true(Purpose.EVENT, s.ack())), "bad_signature",
    ),
    "an answer, a bit flipped": (
        acked(lambda s: flipped(s.true(Purpose.ACK, s.ack()), -30)), "bad_signature",
    ),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_changes_no_row_and_is_told(scene: Scene, lie: str) -> None:
    tell, word = LIES[lie]
    before = await scene.truth()
    with capture_logs() as log:
        await tell(scene)
        if word:
            await until(lambda: any(word in str(one) for one in log), f"{word} in {log}")
        await asyncio.sleep(SETTLED_S)
    assert await scene.truth() == before, log


async def test_control_the_very_same_answer_by_the_store_counts(scene: Scene) -> None:
    """The negative control: what is refused above is refused for its one flaw alone."""
    await scene.say_ack(scene.true(Purpose.ACK, scene.ack(AckState.FAILED)))
    while (await scene.truth())["command"][0] != "failed":
        await asyncio.sleep(0.02)
    await scene.say_ack(scene.true(Purpose.ACK, scene.ack(AckState.DONE)))  # the first one stands
    await asyncio.sleep(SETTLED_S)
    assert (await scene.truth())["command"][0] == "failed"


async def test_events_doubled_delayed_and_out_of_order_arrive_once_in_order(scene: Scene) -> None:
    mine = scene.mine
    for _ in range(9):
        mine.write(EventKind.BOOT, {})
    for first, last in ((8, 10), (5, 7), (5, 7), (2, 4), (8, 10), (2, 4), (3, 8), (6, 10), (2, 10)):
        await scene.say(Plane.EVENT, mine.batch(first, last))
    await until(lambda: mine.acked == 10, "all events")
    async with scene.cloud.db.read() as session:
        rows = select(col(StoreEvent.seq), col(StoreEvent.id)).where(
            col(StoreEvent.journal) == mine.journal
        )
        found = (await session.exec(rows.order_by(col(StoreEvent.received_at)))).all()
    assert sorted(seq for seq, _ in found) == list(range(1, 11))
    assert [event_id for _, event_id in sorted(found)] == [event.id for event in mine.events]


async def test_an_old_presence_again_is_put_right_by_the_next_report(scene: Scene) -> None:
    """Truly sealed, of an earlier connection: the cloud may believe it until the store speaks again.
    Meanwhile its commands carry a dead nonce, which the store refuses: nothing acts.
    """
    mine = scene.mine
    old = mine.presence("online", "an-earlier-nonce")
    await scene.say(Plane.PRESENCE, old)
    while (await scene.truth())["online"][1] != "an-earlier-nonce":
        await asyncio.sleep(0.02)
    async with asyncio.timeout(10):
        await mine.report()
        while (await scene.truth())["online"][1] != mine.link.nonce:
            await asyncio.sleep(0.02)
