"""Unlocks through many processes: answered where they were asked for, fast, and none lost in a restart."""

from __future__ import annotations

import pytest

from tests.processes.cluster import APIS, Cluster
from tests.processes.taps import Taps

pytestmark = pytest.mark.xdist_group("cluster")


def test_an_unlock_is_answered_through_the_process_that_was_asked(cluster: Cluster):
    """The relay that publishes is a worker; the answer comes to the API process that waits.

    A process that only looked into the database for outcomes, and a relay that only looked for rows,
    would need up to 750 ms.
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
        assert times[len(times) // 2] < 250, f"{name} waited for somebody to look"
