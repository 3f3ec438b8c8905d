"""Somebody with all rights on the broker sends a store what it likes: nothing acts, nothing is lost.

He hears every message and may say anything on any topic, retained or not; he has no key. One store
on one broker for all cases; after each of them the store still does what the cloud asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from store_link import topics
from store_link.codec import encode
from store_link.link import MqttLink
from store_link.messages import AckState, Command, EventAck, EventKind, Reason
from store_link.signing import Purpose, SigningKey, seal
from store_link.topics import Plane
from tests.controller.cloud import until
from tests.controller.world import LOCK_1, MINUTE, TABLE_1, World, stay
from tests.support.nats import NatsBroker

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.xdist_group("hostile-store")]

SETTLED_S = 0.1  # long against the milliseconds in which this broker delivers and the store judges
OTHER = "01KAYANOTHERST0RE000000000"


@dataclass
class Hostile:
    """The broker's admin: hears ``#``, keeps all, and says what he likes."""

    world: World
    link: MqttLink = field(init=False)
    heard: list[tuple[str, bytes]] = field(default_factory=list)

    async def open(self) -> Hostile:
        self.link = MqttLink(self.world.endpoint, on_message=self._hear)
        await self.link.start()
        await self.link.wait_up(30)
        await self.link.subscribe(["km/#"])
        return self

    async def _hear(self, topic: str, raw: bytes, retained: bool) -> None:
        self.heard.append((topic, raw))

    def last(self, plane: Plane) -> bytes:
        """The last message of a plane that went by."""
        wanted = topics.topic(plane, self.world.store)
        return next(raw for topic, raw in reversed(self.heard) if topic == wanted)

    def all(self, plane: Plane) -> list[bytes]:
        wanted = topics.topic(plane, self.world.store)
        return [raw for topic, raw in self.heard if topic == wanted]

    async def say(self, plane: Plane, raw: bytes, *, retain: bool = False) -> None:
        await self.link.publish(topics.topic(plane, self.world.store), raw, retain=retain)


@dataclass
class Scene:
    world: World
    hostile: Hostile

    def unlock(self, **changes: Any) -> Command:
        return self.world.cloud.command("unlock", "d1", args={"grant": "g-s1"}, **changes)

    def sealed(self, command: Command, store: str = "", key: SigningKey | None = None) -> bytes:
        store, key = store or self.world.store, key or self.world.cloud.command_key
        return seal(encode(command), Purpose.COMMAND, store, key)

    def good(self) -> bytes:
        """A command that would open the door."""
        return self.sealed(self.unlock())

    def truth(self) -> dict[str, Any]:
        """What no lie may change."""
        controller = self.world.controller
        assert controller is not None
        return {
            "pulses": self.world.pulses(LOCK_1),
            "table": self.world.switched(TABLE_1),
            "document": controller.state.version,
            "journal": [
                row
                for row in self.world.rows("SELECT seq, kind, body FROM outbox")
                if row[1] not in {"command", "access"}  # who was refused, and why
            ],
            "acked": controller.uplink.acked,
        }


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("hostile")
    with NatsBroker(folder / "broker") as broker:
        world = await World(folder, broker.host, broker.mqtt_port).open()
        hostile = await Hostile(world).open()
        try:
            await world.run()
            now = world.now()
            await world.want(stay("s1", "r1", now - MINUTE, now + 600 * MINUTE), epoch=2)
            await world.want(stay("s1", "r1", now - MINUTE, now + 601 * MINUTE), epoch=2)
            await world.boards_up()
            assert (await world.cloud.unlock("d1", "g-s1")).state is AckState.DONE
            power = "SELECT count(*) FROM outbox WHERE kind = 'power'"
            await until(lambda: world.rows(power) == [(3,)], 30, "table, light and AC to be told")
            await settled(world)
            yield Scene(world, hostile)
        finally:
            await hostile.link.stop()
            await world.close()


async def settled(world: World) -> None:
    """All events are told and acknowledged."""
    controller = world.controller
    assert controller is not None

    async def quiet() -> bool:
        return (await controller.journal.waiting(controller.uplink.acked))[0] == 0

    deadline = asyncio.get_running_loop().time() + 10
    while not await quiet():
        assert asyncio.get_running_loop().time() < deadline, "events wait for ever"
        await asyncio.sleep(0.02)


def flipped(raw: bytes, at: int) -> bytes:
    at %= len(raw)
    return raw[:at] + bytes([raw[at] ^ 0x04]) + raw[at + 1 :]


def in_payload(raw: bytes, old: bytes, new: bytes) -> bytes:
    assert old in raw
    return raw.replace(old, new)


Lie = Callable[[Scene], Awaitable[None]]


def command(make: Callable[[Scene], bytes]) -> Lie:
    async def tell(scene: Scene) -> None:
        await scene.hostile.say(Plane.COMMAND, make(scene))

    return tell


def desired(make: Callable[[Scene], bytes]) -> Lie:
    async def tell(scene: Scene) -> None:
        try:
            await scene.hostile.say(Plane.DESIRED, make(scene), retain=True)
            await asyncio.sleep(SETTLED_S)
        finally:  # the broker's keeping is the cloud's to put right: it does at the next report
            await scene.world.cloud.side.link.publish(
                topics.desired(scene.world.store), scene.hostile.all(Plane.DESIRED)[1], retain=True
            )

    return tell


def event_ack(make: Callable[[Scene], bytes]) -> Lie:
    async def tell(scene: Scene) -> None:
        await scene.hostile.say(Plane.EVENT_ACK, make(scene))

    return tell


def _document(scene: Scene, key: SigningKey, store: str = "", **changes: Any) -> bytes:
    """A document that takes the stay away, signed by ``key``; its number is not counted."""
    document = scene.world.document(**{"epoch": 2, **changes})
    scene.world.rev -= 1
    store = store or scene.world.store
    return seal(encode(document.model_copy(update={"store": store})), Purpose.DESIRED, store, key)


def _ack(scene: Scene, key: SigningKey, *, store: str = "", **changes: Any) -> bytes:
    controller = scene.world.controller
    assert controller is not None
    fields = {"store": scene.world.store, "journal": controller.journal.id, "upto": 1, **changes}
    store = store or scene.world.store
    return seal(encode(EventAck.model_validate(fields)), Purpose.EVENT_ACK, store, key)


def _now() -> int:
    return round(time.time() * 1000)


FORGED_COMMAND = SigningKey.generate("c1", "command")
FORGED_DESIRED = SigningKey.generate("d1", "desired")

# The lie, and the word by which the store's log tells it.
LIES: dict[str, tuple[Lie, str]] = {
    "command of a wrong key": (
        command(lambda s: s.sealed(s.unlock(), key=FORGED_COMMAND)), Reason.BAD_SIGNATURE,
    ),
    "command of an unknown key": (
        command(lambda s: s.sealed(s.unlock(), key=SigningKey.generate("c9", "command"))),
        Reason.UNKNOWN_KEY,
    ),
    "command made for another store": (
        command(lambda s: s.sealed(s.unlock(store=OTHER), store=OTHER)), Reason.BAD_SIGNATURE,
    ),
    "command that names another store": (
        command(lambda s: s.sealed(s.unlock(store=OTHER))), Reason.OTHER_STORE,
    ),
    "event-ack said as a command": (
        command(lambda s: _ack(s, s.world.cloud.command_key)), Reason.BAD_SIGNATURE,
    ),
    "document said as a command": (
        command(lambda s: s.hostile.last(Plane.DESIRED)), Reason.UNKNOWN_KEY,
    ),
    "command, a bit of its payload flipped": (
        command(lambda s: flipped(s.good(), -20)), Reason.BAD_SIGNATURE,
    ),
    "command, a bit of its signature flipped": (
        command(lambda s: flipped(s.good(), 60)), "command_refused",
    ),
    "command, a bit of its header flipped": (
        command(lambda s: flipped(s.good(), 3)), Reason.BAD_MESSAGE,
    ),
    "command, its life stretched": (
        command(lambda s: in_payload(s.good(), b'"exp":1', b'"exp":2')), Reason.BAD_SIGNATURE,
    ),
    "command of an unknown version": (
        command(lambda s: in_payload(s.good(), b'"v":1', b'"v":9')), Reason.BAD_SIGNATURE,
    ),
    "command cut short": (command(lambda s: s.good()[:-9]), Reason.BAD_SIGNATURE),
    "command of 70,000 bytes": (
        command(lambda s: s.good() + b" " * 70_000), Reason.BAD_MESSAGE,
    ),
    "nothing as a command": (command(lambda s: b""), "command_refused"),
    "noise as a command": (command(lambda s: bytes(range(256))), Reason.BAD_MESSAGE),
    "command beyond its expiry": (
        command(lambda s: s.sealed(s.unlock(iat=_now() - 20_000, exp=_now() - 10_000))),
        Reason.EXPIRED,
    ),
    "command from the future, for long": (
        command(lambda s: s.sealed(s.unlock(iat=_now(), exp=_now() + 3_600_000))),
        Reason.BAD_MESSAGE,
    ),
    "command with an old nonce": (
        command(lambda s: s.sealed(s.unlock(nonce="of-an-earlier-connection"))),
        Reason.OTHER_CONNECTION,
    ),
    "document of a wrong key": (desired(lambda s: _document(s, FORGED_DESIRED)), "bad_signature"),
    "document of an unknown key": (
        desired(lambda s: _document(s, SigningKey.generate("d9", "desired"))), "unknown_key",
    ),
    "document made for another store": (
        desired(lambda s: _document(s, s.world.cloud.desired_key, OTHER)), "bad_signature",
    ),
    "command said as a document": (desired(lambda s: s.good()), "unknown_key"),
    "document, a bit flipped": (
        desired(lambda s: flipped(_document(s, s.world.cloud.desired_key), -30)), "bad_signature",
    ),
    "document of an unknown version": (
        desired(
            lambda s: in_payload(_document(s, s.world.cloud.desired_key), b'"v":1', b'"v":2')
        ),
        "bad_signature",
    ),
    "an older document again": (desired(lambda s: s.hostile.all(Plane.DESIRED)[0]), ""),
    "the same document again": (desired(lambda s: s.hostile.all(Plane.DESIRED)[1]), ""),
    "a document of an older epoch": (
        desired(lambda s: _document(s, s.world.cloud.desired_key, epoch=1, rev=99)), "",
    ),
    "nothing as a document": (desired(lambda s: b""), "refused"),
    "event-ack of a wrong key": (event_ack(lambda s: _ack(s, FORGED_COMMAND)), "bad_signature"),
    "event-ack for another store": (
        event_ack(lambda s: _ack(s, s.world.cloud.command_key, store=OTHER)), "bad_signature",
    ),
    "event-ack of another journal": (
        event_ack(lambda s: _ack(s, s.world.cloud.command_key, journal="j-of-another")), "",
    ),
    "event-ack beyond the journal": (
        event_ack(lambda s: _ack(s, s.world.cloud.command_key, upto=9_999)),
        "cloud_ahead_of_journal",
    ),
    "event-ack of other events under our numbers": (
        event_ack(lambda s: _ack(s, s.world.cloud.command_key, last="01KAY51C0A2C4E6G8J0M2P4R6T")),
        "ack_of_other_events",
    ),
    "command said as an event-ack": (event_ack(lambda s: s.good()), "bad_signature"),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_moves_nothing_and_is_told(scene: Scene, lie: str) -> None:
    tell, word = LIES[lie]
    await settled(scene.world)
    before = scene.truth()
    with capture_logs() as said:
        await tell(scene)
        if word:
            await until(lambda: any(word in str(one) for one in said), 30, f"{word} in {said}")
        await asyncio.sleep(SETTLED_S)
    await settled(scene.world)
    assert scene.truth() | {"acked": 0} == before | {"acked": 0}, said
    assert scene.truth()["acked"] >= before["acked"]


async def test_control_the_very_same_words_by_the_cloud_do_act(scene: Scene) -> None:
    """The negative control: what is refused above is refused for its one flaw alone."""
    before = scene.truth()
    await scene.hostile.say(Plane.COMMAND, scene.good())
    await until(lambda: scene.world.pulses(LOCK_1) == before["pulses"] + 1, 30)


async def test_a_command_heard_and_repeated_is_one_pulse(scene: Scene) -> None:
    """Five times at once, then retained for whoever connects later, then after its expiry."""
    await settled(scene.world)
    await asyncio.sleep(0.8)  # the pulse of another test ends
    before = scene.world.pulses(LOCK_1)
    made = scene.unlock(exp=_now() + 4000)
    raw = scene.sealed(made)
    await scene.world.cloud.side.link.publish(topics.command(scene.world.store), raw)
    await until(lambda: raw in scene.hostile.all(Plane.COMMAND))
    for _ in range(5):
        await scene.hostile.say(Plane.COMMAND, raw)
    await until(lambda: scene.world.pulses(LOCK_1) == before + 1, 30)
    await until(
        lambda: sum(a.id == made.id and a.state is AckState.DUPLICATE for a in acks(scene)) >= 5
    )
    await scene.hostile.say(Plane.COMMAND, raw, retain=True)
    try:
        await asyncio.sleep(1.2)  # its pulse is over
        await until(lambda: _now() > made.exp)
        await scene.hostile.say(Plane.COMMAND, raw)
        assert scene.world.controller is not None
        scene.world.controller.uplink.side.link.drop()
        nonce = made.nonce
        await until(lambda: scene.world.cloud.report.nonce != nonce, 30, "a new connection")
        await asyncio.sleep(SETTLED_S)
    finally:
        await scene.hostile.say(Plane.COMMAND, b"", retain=True)
    assert scene.world.pulses(LOCK_1) == before + 1


def acks(scene: Scene) -> list[Any]:
    return scene.world.cloud.acks


async def test_commands_out_of_order_act_each_once(scene: Scene) -> None:
    """Held back and let go in the wrong order: a light on, off, on; the store does what it hears."""
    world, light = scene.world, "light1"
    orders = [world.cloud.command("set", light, args={"on": on, "for_s": 60}, by="staff:1")
              for on in (True, False)]  # fmt: skip
    for made in reversed(orders):
        await scene.hostile.say(Plane.COMMAND, scene.sealed(made))
        await world.cloud.outcome(made)
    states = [next(a.state for a in acks(scene) if a.id == one.id) for one in orders]
    assert len(states) == 2
    told = await until(
        lambda: (
            ended := [b for b in world.cloud.of(EventKind.COMMAND)
                      if b["command"] in {one.id for one in orders}]
        ) and len(ended) == 2 and ended
    )  # fmt: skip
    assert [body["command"] for body in told] == [one.id for one in reversed(orders)]


async def test_an_old_event_ack_again_loses_and_doubles_nothing(scene: Scene) -> None:
    """It is truly signed and speaks of less than was taken: as a restored cloud would. It is told all
    again from there, and takes none of it twice.
    """
    world = scene.world
    await settled(world)
    before, taken = scene.truth(), [event.id for event in world.cloud.events]
    first = scene.hostile.all(Plane.EVENT_ACK)[0]
    await scene.hostile.say(Plane.EVENT_ACK, first)
    batches = world.cloud.batches
    await until(lambda: scene.truth()["acked"] < before["acked"] or world.cloud.batches > batches)
    assert (await world.cloud.unlock("d1", "g-s1")).state in {AckState.DONE, AckState.DUPLICATE}
    await settled(world)
    heard = [event.id for event in world.cloud.events]
    assert heard[: len(taken)] == taken
    assert len(heard) == len(set(heard))
    assert [event.seq for event in world.cloud.events] == list(range(1, len(heard) + 1))
