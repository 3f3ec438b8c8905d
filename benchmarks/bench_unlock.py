"""An unlock over HTTP until its answer, with a worker of its own on PostgreSQL, against its floor.

    python -m benchmarks unlock [--count 1000]

Ours: login, throttle, idempotency, rights, audit, command and outbox row, signature, TLS, journal in the
store, frame, answer, outcome. The floor (benchmarks/floor_unlock.py) commits one row and does the bare
round trip and frame. Both write into the same PostgreSQL, which syncs its disk. They take turns, so
whatever else the machine does hits both.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from benchmarks.durable import durable_server
from benchmarks.results import Measured
from demo.processes import Child, listens
from tests.processes.cluster import STAFF, Cluster, eventually
from tests.support.nats import NatsBroker
from tests.support.ports import free_port
from tests.support.postgres import make_directory

REST_S = 0.7  # a lock that is held refuses a second pulse


@contextmanager
def everything() -> Iterator[tuple[Cluster, int]]:
    """The cluster, and the floor on the line of its last store; the floor's port."""
    folder = make_directory("kaimen-bench-", on_disk=True)
    with durable_server() as server, NatsBroker(folder / "floor") as broker:
        name = f"bench_{uuid.uuid4().hex[:12]}"
        cluster = Cluster(
            folder / "cluster",
            server.create_database(name),
            apis=("api-a",),
            workers=("worker-a",),
            halves=(range(64),) * 3,
        )
        cluster.folder.mkdir()
        children = []
        try:
            cluster.up()
            last = cluster.shops.pop()
            cluster.children[last.line].stop()
            port = free_port()
            floor = [sys.executable, "-m", "benchmarks.floor_unlock"]
            mqtt = str(broker.mqtt_port)
            device = str(cluster.folder / "ports" / last.line)
            for what, words in {
                "api": ["api", cluster.database_url, mqtt, str(port)],
                "store": ["store", mqtt, device],
            }.items():
                child = Child(what, [*floor, *words], {}, folder / f"floor-{what}.log")
                children.append(child)
                child.start()
            children[0].wait_until(lambda: listens(port), "it listened")
            time.sleep(1.0)
            yield cluster, port
        finally:
            for child in children:
                child.stop()
            cluster.down()
            server.drop_database(name)
    shutil.rmtree(folder, ignore_errors=True)


def measure(cluster: Cluster, floor_port: int, times: int) -> dict[str, list[float]]:
    """Milliseconds of each, in turn."""
    doors = itertools.cycle(
        [door for row in zip(*(s.doors for s in cluster.shops), strict=True) for door in row]
    )
    people = itertools.cycle(cluster.tokens)
    free_at: dict[str, float] = {}
    http = httpx.Client(trust_env=False, timeout=15)
    ours, floor, sent, store = [], [], [], []
    since = time.monotonic()
    for number in range(-20, times):
        # Each member of the staff may tap 20 times a minute.
        if number % (STAFF * 19) == STAFF * 19 - 1:
            time.sleep(max(0.0, 61 - (time.monotonic() - since)))
            since = time.monotonic()
        door = next(doors)
        time.sleep(max(0.0, free_at.get(door, 0.0) - time.monotonic()))
        headers = {"authorization": f"Bearer {next(people)}", "idempotency-key": uuid.uuid4().hex}
        url = f"{cluster.url(cluster.apis[0])}/api/v1/console/doors/{door}/unlock"
        began = time.perf_counter()
        answer = http.post(url, headers=headers, json={"why": "测量"}).json()
        took = time.perf_counter() - began
        free_at[door] = time.monotonic() + REST_S
        if answer.get("state") != "done":
            raise AssertionError(answer)
        began = time.perf_counter()
        http.post(f"http://127.0.0.1:{floor_port}/unlock").raise_for_status()
        least = time.perf_counter() - began
        if number >= 0:
            ours.append(took)
            floor.append(least)
            if number % 10 == 0:
                row = eventually(lambda: _written(cluster, answer["command_id"]), 10, "its row")  # noqa: B023
                sent.append(float(row["sent"]))
                store.append(float(row["final"]))
    named = {"ours": ours, "floor": floor, "row to published and marked": sent}
    named["row to outcome"] = store
    return {name: [one * 1e3 for one in samples] for name, samples in named.items()}


def _written(cluster: Cluster, command_id: str) -> Any:
    """When a command was sent and answered, in seconds from its row; None until both are written.

    The answer is told before it is written.
    """
    row = cluster.sql(
        "SELECT extract(epoch FROM sent_at - created_at) AS sent,"
        " extract(epoch FROM final_at - created_at) AS final"
        " FROM device_command WHERE id = $1",
        command_id,
    )[0]
    return row if row["sent"] is not None and row["final"] is not None else None


def measured(count: int | None) -> Iterator[Measured]:
    """Ours beside the floor, and how far in it the parts came."""
    with everything() as (cluster, port):
        found = measure(cluster, port, count or 1000)
    yield Measured.of(
        "unlock over HTTP until its answer",
        "ms",
        found["ours"],
        found["floor"],
        aim=2.0,
        against="bare FastAPI: one row, one MQTT round trip, one frame",
    )
    for name in ("row to published and marked", "row to outcome"):
        yield Measured.of(f"unlock over HTTP, {name}", "ms", found[name])
