"""Unlocks through many processes: answered where they were asked for, fast, and none lost in a restart."""

from __future__ import annotations

import threading
import time

import pytest

from cloud_api.kit.outbox import LEASE
from cloud_api.store_channel.relay import LOOK_EVERY_S
from tests.processes.cluster import APIS, WORKERS, Cluster
from tests.processes.taps import Taps

pytestmark = pytest.mark.xdist_group("cluster")


def test_an_unlock_is_answered_through_the_process_that_was_asked(cluster: Cluster):
    """The process that was asked sends the command itself, and the store's answer comes back to it.

    That nobody else is needed for it is tests/cloud_api/store_channel/test_express.py's to show: here a
    machine with twenty processes on two cores would blur it.
    """
    taps = Taps(cluster)
    for name in APIS * 6:
        taps.tap(name)
    by_process = {name: [tap for tap in taps.done if tap.through == name] for name in APIS}
    assert all(tap.state == "done" for tap in taps.done), taps.done
    assert taps.doubled() == {}
    for name, made in by_process.items():
        times = sorted(tap.took_ms for tap in made)
        print(f"\n{name}: {times} ms")
    times = sorted(tap.took_ms for tap in taps.done)
    assert times[len(times) // 2] < 1000, "well below a second, on a busy machine as well"


def test_no_unlock_fails_while_every_process_is_restarted(cluster: Cluster):
    """An upgrade: all API processes and workers, one after the other, under a load of unlocks."""
    taps, stop = Taps(cluster), threading.Event()
    people = taps.load(stop)
    try:
        for name in (*APIS, *WORKERS):
            cluster.restart(name)
    finally:
        stop.set()
        for person in people:
            person.join(30)
    times = sorted(tap.took_ms for tap in taps.done)
    again = [tap for tap in taps.done if tap.tries > 1]
    print(
        f"\n{len(times)} unlocks during the restart of {len(APIS)} + {len(WORKERS)} processes: "
        f"p50 {times[len(times) // 2]} ms, slowest {times[-1]} ms, {len(again)} at a second process"
    )
    assert len(taps.done) > 20
    assert [tap for tap in taps.done if tap.state != "done"] == []
    assert taps.doubled() == {}


def test_an_api_that_is_killed_keeps_no_door_waiting_beyond_its_lease(cluster: Cluster):
    """kill -9 under a load of unlocks, five times: what it had written and not sent, a worker sends."""
    taps, stop = Taps(cluster), threading.Event()
    people = taps.load(stop)
    try:
        for number in range(5):
            name = APIS[number % len(APIS)]
            time.sleep(1.0)  # the load goes on
            cluster.children[name].kill()
            cluster.children[name].start()
            cluster.wait_ready(name)
    finally:
        stop.set()
        for person in people:
            person.join(30)
    slowest = max(tap.took_ms for tap in taps.done)
    again = [tap for tap in taps.done if tap.tries > 1]
    print(f"\n{len(taps.done)} unlocks, slowest {slowest} ms, {len(again)} at a second process")
    left = cluster.sql(
        "SELECT holder FROM outbox_lease WHERE until < now() - interval '10 seconds'"
    )
    assert left == [], "leases of the dead stay with rows that nobody sends"
    assert again != [], "nobody's process was killed"
    assert [tap for tap in taps.done if tap.state != "done"] == []
    assert taps.doubled() == {}
    assert slowest < (LEASE.total_seconds() + LOOK_EVERY_S + 4) * 1000  # and a busy machine
