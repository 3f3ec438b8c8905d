"""How much the wire costs, as ratios to a floor measured in the same run on the same machine.

``python benchmarks/bench_wire.py`` prints a table (about 15 s); ``--rounds N`` changes the number of
rounds. Absolute numbers of two machines cannot be compared, ratios nearly can. The floors: bare
Ed25519, HMAC and ``json`` of ``cryptography`` and the standard library for codecs, and for round trips a bare
pair of paho clients with TCP_NODELAY on the same broker (NATS from its wheel). Rounds of floor and
subject alternate, so that a noisy neighbour hits both.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import queue
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from store_link import passes, topics
from store_link.clock import WireClock
from store_link.cloud_side import CloudSide
from store_link.codec import decode, encode
from store_link.link import Endpoint
from store_link.messages import (
    AckState,
    Action,
    ClockQuality,
    Command,
    CommandAck,
    Event,
    EventBatch,
    EventKind,
)
from store_link.signing import (
    MacKey,
    PublicKeyRing,
    Purpose,
    SigningKey,
    open_mac,
    open_signed,
    seal,
)
from store_link.store_side import StoreSide
from store_link.topics import ParsedTopic, Plane
from tests.support.nats import NatsBroker

STORE, GRANT = "01KAY3V9W0JQ4M8T2Z6C5N7R1H", "01KAY4ZZ5T8MHWC1P6RV3NJ0D2"
COMMAND_KEY = SigningKey.generate("c1", "command")
PASS_KEY = SigningKey.generate("p1", "pass")
RING = PublicKeyRing([COMMAND_KEY.public(), PASS_KEY.public()])
MAC = MacKey.generate("m1")
NOW = datetime.now(UTC)


def command(nonce: str, number: int, instance: str = "api") -> Command:
    return Command(
        store=STORE,
        id=f"c{number}",
        target="d1",
        action=Action.UNLOCK,
        args={"grant": GRANT},
        iat=0,
        exp=10_000,
        nonce=nonce,
        by="customer:1",
        reply_to=instance,
    )


def per_call_us(call: Callable[[], object], seconds: float = 0.03) -> float:
    """Mean microseconds per call over about ``seconds``."""
    count, began = 0, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        for _ in range(20):
            call()
        count += 20
    return spent / count * 1e6


def codecs(rounds: int) -> None:
    """Sealing, opening, coding and passes."""
    message = command("n", 1)
    payload = encode(message)
    domain = f"kaimen/1/command/{STORE}\n".encode()
    signature = COMMAND_KEY.sign(domain + payload)
    event = Event(
        seq=1,
        id="01KAY51B3G7H9J1K3M5N7P9Q1R",
        at=0,
        clock=ClockQuality.SYNCED,
        kind=EventKind.ACCESS,
        body={"door": "d1", "by": "command", "grant": GRANT, "outcome": "done"},
    )
    events = tuple(event.model_copy(update={"seq": seq}) for seq in range(1, 201))
    batch = EventBatch(store=STORE, journal="j", events=events)
    batch_payload = encode(batch)
    tree = json.loads(batch_payload)
    sealed = seal(payload, Purpose.COMMAND, STORE, COMMAND_KEY)
    sealed_batch = seal(batch_payload, Purpose.EVENT, STORE, MAC)

    def issue() -> str:
        return passes.issue(
            PASS_KEY,
            store=STORE,
            grant=GRANT,
            rooms=[1],
            not_before=NOW,
            expires=NOW + timedelta(hours=2),
        )

    shown = issue()

    def enter() -> passes.Pass:
        return passes.verify(
            shown,
            store=STORE,
            ring=RING,
            now=NOW,
            clock_quality=ClockQuality.SYNCED,
            revoked=(),
            door_rooms=[1],
            uses_of_grant=lambda grant: 0,
        )

    floors: dict[str, Callable[[], object]] = {
        "Ed25519 sign": lambda: COMMAND_KEY.sign(domain + payload),
        "Ed25519 verify": lambda: RING.check("c1", "command", signature, domain + payload),
        "json.dumps": lambda: json.dumps(tree),
        "json.loads": lambda: json.loads(batch_payload),
        "HMAC of the batch": lambda: hmac.digest(MAC.secret, batch_payload, hashlib.sha256),
    }
    subjects: dict[str, tuple[str, Callable[[], object]]] = {
        "seal a command": (
            "Ed25519 sign",
            lambda: seal(payload, Purpose.COMMAND, STORE, COMMAND_KEY),
        ),
        "open a command": (
            "Ed25519 verify",
            lambda: open_signed(sealed, Purpose.COMMAND, STORE, RING),
        ),
        "open and decode a command": (
            "Ed25519 verify",
            lambda: decode(open_signed(sealed, Purpose.COMMAND, STORE, RING), Command),
        ),
        "issue a pass": ("Ed25519 sign", issue),
        "verify a pass": ("Ed25519 verify", enter),
        "seal 200 events": (
            "HMAC of the batch",
            lambda: seal(batch_payload, Purpose.EVENT, STORE, MAC),
        ),
        "open 200 events": (
            "HMAC of the batch",
            lambda: open_mac(sealed_batch, Purpose.EVENT, STORE, [MAC]),
        ),
        "encode 200 events": ("json.dumps", lambda: encode(batch)),
        "decode 200 events": ("json.loads", lambda: decode(batch_payload, EventBatch)),
    }
    times: dict[str, list[float]] = {name: [] for name in (*floors, *subjects)}
    for _ in range(rounds):
        for name, call in floors.items():
            times[name].append(per_call_us(call))
        for name, (_, call) in subjects.items():
            times[name].append(per_call_us(call))
    print(f"{'codec':<28}{'floor':<20}{'µs':>10}{'floor µs':>10}{'ratio':>8}")
    for name, (floor, _) in subjects.items():
        mine, bare = min(times[name]), min(times[floor])  # the round that was disturbed least
        print(f"{name:<28}{floor:<20}{mine:>10.1f}{bare:>10.1f}{mine / bare:>8.2f}")


class BarePair:
    """The floor of a round trip: two paho clients, one echoes; no signatures, no asyncio."""

    def __init__(self, port: int) -> None:
        self._answers: queue.Queue[bytes | bytearray] = queue.Queue()
        self._near, self._far = self._client(port), self._client(port)
        self._near.on_message = lambda client, data, message: self._answers.put(message.payload)
        self._far.on_message = self._echo
        for client, topic in ((self._near, "floor/back"), (self._far, "floor/there")):
            ready: queue.Queue[int] = queue.Queue()
            client.on_subscribe = lambda c, d, mid, codes, props, ready=ready: ready.put(mid)
            client.subscribe(topic, 1)
            ready.get(timeout=10)

    def round_trip_ms(self, payload: bytes) -> float:
        began = time.perf_counter()
        self._near.publish("floor/there", payload, qos=1)
        self._answers.get(timeout=10)
        return (time.perf_counter() - began) * 1e3

    def close(self) -> None:
        for client in (self._near, self._far):
            client.disconnect()
            client.loop_stop()

    @staticmethod
    def _echo(client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        client.publish("floor/back", message.payload, qos=1)

    @staticmethod
    def _no_delay(client: mqtt.Client, data: Any, sock: Any) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @classmethod
    def _client(cls, port: int) -> mqtt.Client:
        client = mqtt.Client(CallbackAPIVersion.VERSION2)
        up: queue.Queue[bool] = queue.Queue()
        client.on_socket_open = cls._no_delay
        client.on_connect = lambda *args: up.put(True)
        client.connect("127.0.0.1", port)
        client.loop_start()
        up.get(timeout=10)
        return client


async def round_trips(rounds: int, count: int = 100) -> None:
    """A signed command down and its ack up, both opened and decoded, against the bare pair."""
    with tempfile.TemporaryDirectory() as directory, NatsBroker(Path(directory) / "nats") as broker:
        arrived: asyncio.Queue[str] = asyncio.Queue()

        async def on_down(plane: Plane, envelope: bytes, retained: bool) -> None:
            if plane is not Plane.COMMAND:
                return
            asked = decode(open_signed(envelope, Purpose.COMMAND, STORE, RING), Command)
            ack = CommandAck(store=STORE, id=asked.id, state=AckState.DONE, at=0)
            await store.publish_ack(asked.reply_to, ack)

        async def on_up(topic: ParsedTopic, envelope: bytes, retained: bool) -> None:
            if topic.plane is Plane.ACK:
                ack = decode(open_mac(envelope, Purpose.ACK, topic.store, [MAC]), CommandAck)
                arrived.put_nowait(ack.id)

        endpoint = Endpoint("127.0.0.1", broker.mqtt_port)
        store = StoreSide(
            store=STORE, mac_key=MAC, endpoint=endpoint, clock=WireClock(), on_down=on_down
        )
        cloud = CloudSide(endpoint=endpoint, on_up=on_up, shards=())
        for side in (store, cloud):
            await side.start()
            await side.wait_up(20)
        bare = await asyncio.to_thread(BarePair, broker.mqtt_port)
        size = len(seal(encode(command("n", 1)), Purpose.COMMAND, STORE, COMMAND_KEY))
        floor: list[float] = []
        mine: list[float] = []
        for _ in range(rounds):
            for _ in range(count):
                floor.append(await asyncio.to_thread(bare.round_trip_ms, b"x" * size))
            for number in range(count):
                asked = command(store.nonce or "", number, cloud.instance)
                began = time.perf_counter()
                await cloud.send_command(asked, COMMAND_KEY)
                assert await asyncio.wait_for(arrived.get(), 10) == asked.id
                mine.append((time.perf_counter() - began) * 1e3)
        await asyncio.to_thread(bare.close)
        for side in (store, cloud):
            await side.stop()
    print(f"\n{'round trip (QoS 1 both ways)':<40}{'p50 ms':>10}{'p99 ms':>10}")
    for name, times in (("floor: bare paho pair", floor), ("signed command → ack", mine)):
        cuts = statistics.quantiles(times, n=100)
        print(f"{name:<40}{cuts[49]:>10.2f}{cuts[98]:>10.2f}")
    print(f"{'ratio':<40}{statistics.median(mine) / statistics.median(floor):>10.2f}")
    print(f"n = {len(mine)} each, in {rounds} alternating rounds; topic {topics.command(STORE)}")


def main(arguments: Any = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args(arguments).rounds
    codecs(rounds)
    asyncio.run(round_trips(rounds))


if __name__ == "__main__":
    main()
