"""A store's cable is out for an hour of business time, in the middle of a stay.

The store lives in a network namespace of its own (or behind a proxy, see wires.py): broker, API and
database run on, and nobody tells either side that the other is gone.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta

import pytest

from demo.people import Refused
from demo.seed import READERS
from tests.faults.accounts import balance
from tests.faults.guest import Job
from tests.faults.site import Site, eventually

pytestmark = pytest.mark.xdist_group("faults")
ROOM = "竹间"  # the one with a reader at its door
SCANNER = next(port for port, door in READERS.items() if door == f"{ROOM}门")
PULSE_S = 2.0  # a lock's pulse of one second is over, and its reader listens again
NOTICED_S = 40.0  # a keep-alive and a half, on a busy machine


def test_an_hour_without_a_broker(site: Site) -> None:
    job = Job(site, ROOM, lambda stage: None)
    job.book()
    job.pay()
    job.enter()
    downs = site.said("controller", "link_down")

    site.wire.cut()
    site.scan(SCANNER, "K1:NOT A PASS")  # something to report, so that the silence is noticed
    late = threading.Thread(target=_tap_in_vain, args=(site,), daemon=True)
    late.start()
    eventually(
        lambda: site.said("controller", "link_down") > downs, NOTICED_S, "the store to notice"
    )
    seen = _taken(site)

    # Half an hour on: the phone's pass is fresh, since the phone is online; the reader knows it.
    cut_at = site.clock.now()
    site.advance_to(cut_at + timedelta(minutes=30))
    entered = site.pulses(ROOM)
    time.sleep(PULSE_S)  # where the cut was noticed at once, the lock is still held by the tap
    site.scan(SCANNER, site.guest.get(f"/orders/{job.order['id']}/pass")["pass"])
    eventually(lambda: site.pulses(ROOM) == entered + 1, 30, "the pass to open the door")

    job.end()  # power stays through the grace …
    job.site.advance_to(job.ends + timedelta(seconds=600))
    job.power_is_off(job.off_within_s)  # … and goes off after it, within 10 s
    site.advance_to(cut_at + timedelta(minutes=90))
    assert _taken(site) == seen, "something came through the cable that was out"
    assert site.journal("SELECT count(*) FROM outbox WHERE historical")[0][0] > 0
    late.join(30)
    assert not late.is_alive()
    pulsed = site.pulses(ROOM)

    site.wire.mend()
    job.completed()
    assert site.pulses(ROOM) == pulsed, "a command of before was delivered late"
    balance(site, job, by_pass=1)


def _tap_in_vain(site: Site) -> None:
    """A tap that the cable swallows, or that is refused once the cloud knows."""
    (door,) = site.sql("SELECT token FROM door WHERE name = $1", f"{ROOM}门")
    try:
        site.guest.unlock(door["token"])
    except Refused:
        return


def _taken(site: Site) -> int:
    (row,) = site.sql("SELECT upto FROM event_cursor")
    return int(row["upto"])
