"""Events from many stores into PostgreSQL, beside a bare subscriber that does COPY.

    python -m benchmarks ingest [--count 10000]

Both hear the same sealed batches over the same broker (NATS) and write into the same PostgreSQL, which
syncs its disk. They take turns: a burst for the one, then for the other. Ours checks each seal, moves
each journal's cursor by compare-and-set, keeps each event once, lets it act (shown live), commits, and
acknowledges; a batch is one transaction. ``--count`` is the events of a burst.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.durable import durable_server
from benchmarks.results import Measured
from cloud_api.devices.models import StoreCredential
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import Vault, use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from cloud_api.merchants.models import Merchant
from cloud_api.stores.models import Store
from demo.processes import Child
from store_link import topics
from store_link.clock import ms
from store_link.codec import encode
from store_link.messages import ClockQuality, Event, EventBatch, EventKind
from store_link.signing import MacKey, Purpose, seal
from tests.cloud_api.databases import make_schema
from tests.support.nats import NatsBroker
from tests.support.postgres import Server, make_directory

STORES = (10, 1_000, 10_000)
BATCH = 10  # events in a message
ROUNDS = 3
BODY = {"binding": new_id(), "on": True, "outcome": "done", "why": "no_stay"}
_LATE_S = 240.0


class Stores:
    """Simulated stores: each with a key and a journal that goes on."""

    def __init__(self, count: int) -> None:
        self.keys = {new_id(): MacKey.generate(new_id()) for _ in range(count)}
        self._journals = {store: new_id() for store in self.keys}
        self._seqs = dict.fromkeys(self.keys, 0)
        self._turn = itertools.cycle(self.keys)

    async def enrol(self, url: str) -> None:
        """Write them into the cloud's database."""
        db, now = Database(url), Clocks.of(None).real
        async with db.write() as session:
            merchant = Merchant(name="雀友会", created_at=now)
            session.add(merchant)
            await session.flush()
            own: dict[str, Any] = {"merchant_id": merchant.id, "created_at": now}
            session.add_all(
                Store(id=store, name="店", address="静安区", phone="021-1", **own)
                for store in self.keys
            )
            await session.flush()
            session.add_all(
                StoreCredential(
                    store_id=store, serial=new_id(), mqtt_user=store, certificate="",
                    mac_kid=key.kid, mac_key=key.secret.hex(),
                    expires_at=now + timedelta(days=90), **own,
                )
                for store, key in self.keys.items()
            )  # fmt: skip
        await db.close()

    def messages(self, count: int) -> list[tuple[str, bytes]]:
        """The next ``count`` batches, of the stores in turn: topic and sealed bytes."""
        at = ms(Clocks.of(None).real)
        made = []
        for store in itertools.islice(self._turn, count):
            seq = self._seqs[store]
            self._seqs[store] += BATCH
            events = tuple(
                Event(
                    seq=seq + number, id=new_id(), at=at, clock=ClockQuality.SYNCED,
                    kind=EventKind.POWER, body=BODY,
                )
                for number in range(1, BATCH + 1)
            )  # fmt: skip
            batch = EventBatch(store=store, journal=self._journals[store], events=events)
            raw = seal(encode(batch), Purpose.EVENT, store, self.keys[store])
            made.append((topics.event(store), raw))
        return made


class Table:
    """How many rows are committed, asked over one connection."""

    def __init__(self, dsn: str, name: str) -> None:
        self._name = name
        self._runner = asyncio.Runner()
        self._connection = self._runner.run(asyncpg.connect(dsn))

    def rows(self) -> int:
        """Now."""
        asked = self._connection.fetchval(f"SELECT count(*) FROM {self._name}")
        return int(self._runner.run(asked))

    def close(self) -> None:
        """Give the connection back."""
        self._runner.run(self._connection.close())
        self._runner.close()


def burst(port: int, messages: list[tuple[str, bytes]], table: Table) -> float:
    """Send to whoever listens at ``port``; events per second until all are in ``table``."""
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.max_inflight_messages_set(0)
    client.connect("127.0.0.1", port)
    client.loop_start()
    before = table.rows()
    wanted = before + len(messages) * BATCH
    began = time.perf_counter()
    for topic, raw in messages:
        client.publish(topic, raw, 1)
    while (there := table.rows()) < wanted:
        if time.perf_counter() - began > _LATE_S:
            raise TimeoutError(f"{there - before} of {wanted - before} events")
        time.sleep(0.02)
    took = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return len(messages) * BATCH / took


@contextmanager
def listening(
    name: str, module: str, words: list[str], env: dict[str, str], folder: Path
) -> Iterator[None]:
    """A program of ours that has said that it listens."""
    log = folder / f"{name}-{uuid.uuid4().hex[:6]}.log"
    child = Child(name, [sys.executable, "-m", module, *words], env, log)
    child.start()
    try:
        child.wait_until(lambda: "listening" in child.tail(), "it listened")
        yield
    finally:
        child.stop()


def measured(count: int | None) -> Iterator[Measured]:
    """With few, many and very many stores."""
    events = count or 10_000
    folder = make_directory("kaimen-bench-", on_disk=True)
    rates: dict[int, tuple[list[float], list[float]]] = {}
    with durable_server() as server:
        for stores in STORES:
            rates[stores] = _with(stores, events // BATCH, server, folder)
            ours, floor = rates[stores]
            yield Measured.of(
                f"events into PostgreSQL, {stores:,} stores",
                "events/s",
                ours,
                floor,
                aim=0.5 if stores == 1_000 else None,
                against="bare subscriber doing COPY",
                low_is_good=False,
                note=f"{ROUNDS} bursts of {events} events each, {BATCH} in a batch",
            )
        yield Measured.of(
            f"events with {STORES[-1]:,} stores beside {STORES[0]}",
            "events/s",
            rates[STORES[-1]][0],
            rates[STORES[0]][0],
            aim=0.8,
            against="the same with few stores: flat",
            low_is_good=False,
        )
    shutil.rmtree(folder, ignore_errors=True)


def _with(
    count: int, batches: int, server: Server, folder: Path
) -> tuple[list[float], list[float]]:
    secret, name = secrets.token_hex(32), f"bench_{uuid.uuid4().hex[:12]}"
    use_vault(Vault([bytes.fromhex(secret)]))
    url = server.create_database(name)
    make_schema(url)
    stores = Stores(count)
    asyncio.run(stores.enrol(url))
    ours: list[float] = []
    floor: list[float] = []
    bare = url.replace("+asyncpg", "")
    with (
        NatsBroker(folder / f"ours-{count}") as near,
        NatsBroker(folder / f"floor-{count}") as far,
    ):
        env = {
            "KAIMEN_DATABASE_URL": url,
            "KAIMEN_SECRETS": secret,
            "KAIMEN_DATA_DIR": str(folder / f"data-{count}"),
            "KAIMEN_MQTT_PORT": str(near.mqtt_port),
            "KAIMEN_MQTT_TLS": "false",
        }
        with (
            listening("worker", "benchmarks.ingest_worker", [], env, folder),
            listening("copier", "benchmarks.floor_ingest", [bare, str(far.mqtt_port)], {}, folder),
        ):
            tables = Table(bare, "store_event"), Table(bare, "floor_event")
            for number in range(-1, ROUNDS):
                size = batches if number >= 0 else min(50, batches)  # the first one warms up
                messages = stores.messages(size)
                one = burst(near.mqtt_port, messages, tables[0])
                other = burst(far.mqtt_port, messages, tables[1])
                if number >= 0:
                    ours.append(one)
                    floor.append(other)
            for table in tables:
                table.close()
    server.drop_database(name)
    return ours, floor
