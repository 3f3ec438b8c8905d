"""kill -9 of API, worker, broker and controller at every step of the main job: each cell a test.

Whoever does the step stands still in the middle of it; the victim is killed; the one at the step
goes on without it, if it still can; the victim is started again. The guest just goes on.
"""

from __future__ import annotations

import time

import pytest

from tests.faults.accounts import balance
from tests.faults.guest import Job
from tests.faults.points import BY_NAME, POINTS
from tests.faults.site import VICTIMS, Site

pytestmark = pytest.mark.xdist_group("faults")

AWAY_S = 0.5  # so long the victim is away at least
START_S = 20.0  # until a controller that was killed drives its boards again, on a busy machine
# What every run can afford, one way down and one way off; all the others belong to the long runs.
QUICK = {
    ("sent", "broker"),  # a command on its way
    ("pulsed", "controller"),  # the guest was told that the door is open
    ("unwritten", "api"),  # so was this one, the database was not
    ("off", "controller"),  # at the end of grace, before the frame that switches off
}
CELLS = [
    pytest.param(
        point.name,
        victim,
        id=f"{point.name}-{victim}",
        marks=[] if (point.name, victim) in QUICK else pytest.mark.soak,
    )
    for point in POINTS
    for victim in VICTIMS
]


@pytest.mark.parametrize(("step", "victim"), CELLS)
def test_the_job_comes_to_its_end(site: Site, step: str, victim: str) -> None:
    def before(stage: str) -> None:
        if stage == BY_NAME[step].arm:
            site.arm(step)

    job = Job(site, site.next_room(), before)
    if victim == "controller" and step in {"off", "usage", "completed"}:
        job.off_within_s += START_S  # within 10 s of its being back
    job.start()
    site.wait_reached(step, unless=lambda: job.failed)
    site.kill(victim)
    site.go(step)
    time.sleep(AWAY_S)
    site.start(victim)
    job.finish()
    balance(site, job)
