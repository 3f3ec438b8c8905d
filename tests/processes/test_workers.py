"""Two workers share the stores: split, moved when one is killed, in order per store, nothing lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections import Counter

import pytest
from sqlmodel import col, select

from cloud_api.devices.service import create_command
from cloud_api.kit.actor import System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.kit.wakeups import Wakeups
from cloud_api.store_channel import shards
from cloud_api.stores.models import Store
from store_link.topics import SHARDS, shard_of
from tests.processes.cluster import APIS, WORKERS, Cluster, Shop, eventually
from tests.processes.taps import Taps

pytestmark = pytest.mark.xdist_group("cluster")

COMMANDS = 60


def split(cluster: Cluster) -> Counter[str]:
    """How many shards each worker (by name) holds."""
    pids = {str(cluster.children[name].pid): name for name in WORKERS}
    rows = cluster.sql("SELECT holder FROM shard_lease WHERE until > now()")
    # Holders are named host-pid-random:random.
    return Counter(pids.get(row["holder"].rsplit("-", 2)[-2], "gone") for row in rows)


def listener_of(cluster: Cluster, shop: Shop) -> str:
    """The worker that listens to a store."""
    (row,) = cluster.sql("SELECT holder FROM shard_lease WHERE shard = $1", shard_of(shop.id))
    pids = {str(cluster.children[name].pid): name for name in WORKERS}
    return pids[row["holder"].rsplit("-", 2)[-2]]


def halves(cluster: Cluster) -> bool:
    return split(cluster) == dict.fromkeys(WORKERS, SHARDS // 2)


def events_of(cluster: Cluster, shop: Shop) -> int:
    (row,) = cluster.sql("SELECT count(*) AS n FROM store_event WHERE store_id = $1", shop.id)
    return int(row["n"])


def whole(cluster: Cluster, shop: Shop, least: int) -> bool:
    """Whether ``least`` events of a store and more are there, each once and without a gap."""
    (row,) = cluster.sql(
        "SELECT count(*) AS n, count(DISTINCT seq) AS d, max(seq) AS upto"
        " FROM store_event WHERE store_id = $1",
        shop.id,
    )
    return bool(row["n"] == row["d"] == row["upto"] and row["n"] >= least)


def test_a_killed_workers_stores_are_heard_again_within_seconds(cluster: Cluster):
    """Shards are split evenly; kill -9 moves them; no event is lost, no unlock notices.

    Commands and their answers do not pass through shards, so doors open all along. What waits are
    events: 入场 on a page, and the news that a store has reconnected.
    """
    eventually(lambda: halves(cluster), 30, "both workers to hold half of the shards")
    shop = cluster.shops[0]
    victim = listener_of(cluster, shop)
    (survivor,) = set(WORKERS) - {victim}
    taps = Taps(cluster, list(shop.doors))
    taps.tap(APIS[0])
    before = eventually(lambda: events_of(cluster, shop), 30, "the first event")

    cluster.children[victim].kill()
    killed = time.monotonic()
    heard: float | None = None
    while time.monotonic() - killed < 15 and (heard is None or len(taps.done) < 6):
        taps.tap(APIS[0])
        if heard is None and events_of(cluster, shop) > before:
            heard = time.monotonic() - killed
    assert heard is not None, "no event came through the worker that is left"
    slowest = max(tap.took_ms for tap in taps.done)
    print(f"\nevents paused for {heard:.1f} s; slowest unlock meanwhile {slowest} ms")
    assert heard < shards.LEASE.total_seconds() + 5
    assert [tap for tap in taps.done if tap.state != "done"] == []
    assert taps.doubled() == {}
    eventually(
        lambda: split(cluster)[survivor] == SHARDS, 10, "the worker that is left to hold all"
    )

    least = before + len(taps.done) - 1
    eventually(lambda: whole(cluster, shop, least), 30, "every event exactly once, without a gap")
    cluster.mend()
    eventually(lambda: halves(cluster), 30, "the new worker to get its half")


def test_a_worker_that_stood_still_beyond_its_leases_doubles_nothing(cluster: Cluster):
    """SIGSTOP for longer than its leases, then SIGCONT: two workers believe that they hold the same shards.

    As a machine that was suspended, or swapped to a standstill. The cursor of each journal and the ids of
    commands decide, not the lease.
    """
    eventually(lambda: halves(cluster), 30, "both workers to hold half of the shards")
    shop = cluster.shops[0]
    victim = listener_of(cluster, shop)
    (survivor,) = set(WORKERS) - {victim}
    taps = Taps(cluster, list(shop.doors))
    taps.tap(APIS[0])
    before = eventually(lambda: events_of(cluster, shop), 30, "the first event")
    pid = cluster.children[victim].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        eventually(
            lambda: taps.tap(APIS[1]).door and split(cluster)[survivor] == SHARDS, 40,
            "the other one to hold all",
        )  # fmt: skip
    finally:
        os.kill(pid, signal.SIGCONT)  # and it goes on in the middle of what it did
    for name in APIS:
        taps.tap(name)
    assert [tap for tap in taps.done if tap.state != "done"] == []
    assert taps.doubled() == {}

    least = before + len(taps.done) - 1
    eventually(lambda: whole(cluster, shop, least), 30, "every event exactly once, without a gap")
    eventually(lambda: halves(cluster), 30, "both to hold half again")


def test_commands_of_a_store_leave_in_order_under_two_relays(cluster: Cluster):
    """Both relays are woken for every row; the store's own book shows the order of arrival."""
    shop = cluster.shops[1]

    async def write() -> list[str]:
        db, clocks, stop = Database(cluster.database_url), Clocks.of(None), asyncio.Event()
        wakeups = Wakeups(db)
        telling = asyncio.create_task(wakeups.run(stop))
        await asyncio.wait_for(wakeups.up.wait(), 10)
        made = []
        try:
            for number in range(COMMANDS):
                async with db.write() as session:
                    store = (
                        await session.exec(select(Store).where(col(Store.id) == shop.id))
                    ).one()
                    command = await create_command(
                        session,
                        System(),
                        store=store,
                        target=shop.doors[number % len(shop.doors)],
                        action="unlock",
                        args={},
                        why="测试",
                        order_id=None,
                        clocks=clocks,
                        instance="nobody",
                    )
                made.append(command.id)
        finally:
            stop.set()
            await telling
            await db.close()
        return made

    made = asyncio.run(write())
    book = cluster.state_of(shop) / "journal.db"

    def arrived() -> list[str]:
        with sqlite3.connect(f"file:{book}?mode=ro", uri=True) as connection:
            rows = connection.execute("SELECT id FROM command ORDER BY rowid").fetchall()
        return [row[0] for row in rows if row[0] in set(made)]

    eventually(lambda: len(arrived()) == COMMANDS, 30, "all commands to arrive")
    assert arrived() == made
    by = cluster.sql("SELECT count(*) AS n FROM outbox WHERE stream = $1 AND attempts > 0", shop.id)
    assert by[0]["n"] == 0
