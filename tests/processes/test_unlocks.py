"""Unlocks through many processes: answered where they were asked for, fast, and none lost in a restart."""

from __future__ import annotations

import threading

import pytest

from tests.processes.cluster import APIS, WORKERS, Cluster
from tests.processes.taps import Taps

pytestmark = pytest.mark.xdist_group("cluster")


def test_an_unlock_is_answered_through_the_process_that_was_asked(cluster: Cluster):
    """The relay that publishes is a worker; the answer comes to the API process that waits.

    That a relay is woken, and does not look, is tests/cloud_api/kit/test_wakeups.py's to show: here a
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
