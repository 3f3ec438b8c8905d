"""Events from many stores into PostgreSQL, beside a bare subscriber that does COPY.

    python -m benchmarks ingest [--count 10000]

Both hear the same sealed batches over the same broker (NATS) and write into the same PostgreSQL, which
syncs its disk. They take turns: a burst for the one, then for the other. Ours checks each seal, moves
each journal's cursor by compare-and-set, keeps each event once, lets it act (shown live), commits, and
acknowledges. ``--count`` is the events of a burst.

A burst lasts from its first message until all its rows are committed, for both alike. Counting rows takes
the processor from what is measured, and the more the wider the rows and the longer it lasts. So both
are counted seldom: again after half of the time that is left at the rate so far, and every 10 ms at the end:
a dozen times in a burst, however long it takes. The sender (paho, in this process) takes the same
from both.

The bursts before the first that counts are as long as the others: what is done once per process or connection (statements
prepared, a first round of a single batch) is no part of a rate that is to hold for hours. What is done
once for each store (its key unsealed, its journal begun) is: with 10,000 stores no burst hears all of them.
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
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks import processor
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
EVENTS = 30_000  # in a burst
ROUNDS = 3
BODY = {"binding": new_id(), "on": True, "outcome": "done", "why": "no_stay"}
_LATE_S = 240.0
_OFTEN_S = 0.01  # between two counts, at least


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

    def server(self) -> int | None:
        """The process id of the database's server; None where that cannot be seen."""
        backend = self._runner.run(self._connection.fetchval("SELECT pg_backend_pid()"))
        return processor.parent_of(int(backend))

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
        took = time.perf_counter() - began
        if took > _LATE_S:
            raise TimeoutError(f"{there - before} of {wanted - before} events")
        left = took * (wanted - there) / max(there - before, 1)
        time.sleep(max(_OFTEN_S, min(left / 2, took)))
    took = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return len(messages) * BATCH / took


@contextmanager
def listening(
    name: str, module: str, words: list[str], env: dict[str, str], folder: Path
) -> Iterator[Child]:
    """A program of ours that has said that it listens."""
    log = folder / f"{name}-{uuid.uuid4().hex[:6]}.log"
    child = Child(name, [sys.executable, "-m", module, *words], env, log)
    child.start()
    try:
        child.wait_until(lambda: "listening" in child.tail(), "it listened")
        yield child
    finally:
        child.stop()


class Spent:
    """Processor time of the programs that one side needs, while bursts run."""

    def __init__(self, **of: int | None) -> None:
        self._of = {name: pid for name, pid in of.items() if pid is not None}
        self._spent = dict.fromkeys(self._of, 0.0)
        self._events = 0

    @contextmanager
    def during(self, events: int) -> Iterator[None]:
        """A burst of so many."""
        before = {name: processor.seconds_of(pid) for name, pid in self._of.items()}
        yield
        self._events += events
        for name, pid in self._of.items():
            now, then = processor.seconds_of(pid), before[name]
            self._spent[name] += now - then if now is not None and then is not None else 0.0

    def words(self) -> str:
        """Microseconds for an event, program by program; empty where nobody knows."""
        if not self._events:
            return ""
        return ", ".join(
            f"{name} {spent / self._events * 1e6:.1f}" for name, spent in self._spent.items()
        )


@dataclass(slots=True)
class Side:
    """Ours or the floor: events per second of each burst, and what they took of the processor."""

    broker: NatsBroker
    table: Table
    spent: Spent
    rates: list[float] = field(default_factory=list)

    def take(self, messages: list[tuple[str, bytes]], *, counts: bool) -> None:
        """One burst."""
        if not counts:
            burst(self.broker.mqtt_port, messages, self.table)
            return
        with self.spent.during(len(messages) * BATCH):
            self.rates.append(burst(self.broker.mqtt_port, messages, self.table))


def measured(count: int | None) -> Iterator[Measured]:
    """With few, many and very many stores."""
    events = count or EVENTS
    folder = make_directory("kaimen-bench-", on_disk=True)
    rates: dict[int, list[float]] = {}
    with durable_server() as server:
        for stores in STORES:
            ours, floor = _with(stores, events // BATCH, server, folder)
            rates[stores] = ours.rates
            took = f"; µs of processor for an event: {ours.spent.words()}; floor: {floor.spent.words()}"
            yield Measured.of(
                f"events into PostgreSQL, {stores:,} stores",
                "events/s",
                ours.rates,
                floor.rates,
                aim=0.5 if stores == 1_000 else None,
                against="bare subscriber doing COPY",
                low_is_good=False,
                note=f"{ROUNDS} bursts of {events} events each, {BATCH} in a batch"
                + (took if ours.spent.words() else ""),
            )
        yield Measured.of(
            f"events with {STORES[-1]:,} stores beside {STORES[0]}",
            "events/s",
            rates[STORES[-1]],
            rates[STORES[0]],
            aim=0.8,
            against="the same with few stores: flat",
            low_is_good=False,
        )
    shutil.rmtree(folder, ignore_errors=True)


def _with(count: int, batches: int, server: Server, folder: Path) -> tuple[Side, Side]:
    secret, name = secrets.token_hex(32), f"bench_{uuid.uuid4().hex[:12]}"
    use_vault(Vault([bytes.fromhex(secret)]))
    url = server.create_database(name)
    make_schema(url)
    stores = Stores(count)
    asyncio.run(stores.enrol(url))
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
        floor_words = [bare, str(far.mqtt_port)]
        with (
            listening("worker", "benchmarks.ingest_worker", [], env, folder) as worker,
            listening("copier", "benchmarks.floor_ingest", floor_words, {}, folder) as copier,
        ):
            sides = []
            for table, program, broker in (
                (Table(bare, "store_event"), worker, near),
                (Table(bare, "floor_event"), copier, far),
            ):
                spent = Spent(worker=program.pid, PostgreSQL=table.server(), broker=broker.pid)
                sides.append(Side(broker, table, spent))
            for number in range(-1, ROUNDS):
                messages = stores.messages(batches)
                for side in sides:
                    side.take(messages, counts=number >= 0)
            for side in sides:
                side.table.close()
    server.drop_database(name)
    return sides[0], sides[1]
