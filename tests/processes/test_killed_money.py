"""kill -9 at every await of opening a payment, of a notification and of a refund: the next run finishes.

The flow runs in a process of its own that counts its awaits and kills itself at the n-th; another starts
on the database that is left. Whatever n is, there is one payment, one effect, one refund, and the books
balance. Each n in the soak; every so many in the suite.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cashier import Till, running_till

FLOWS = {
    "create": 53,
    "notify": 197,
    "refund": 227,
}  # of some 110, 420 and 480 awaits, every so many in the suite


@pytest.fixture(scope="module")
def till() -> Iterator[Till]:
    with running_till() as running:
        yield running


def _run(folder: Path, till: Till, first: int, steps: dict[str, int]) -> dict[str, int]:
    """How far each flow came: the first n that it lived through."""
    command = [sys.executable, "-m", "tests.support.dying", str(folder), till.url, str(first)]
    ran = subprocess.run(
        [*command, *(f"{flow}={step}" for flow, step in steps.items())],
        capture_output=True, text=True, timeout=3000, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, f"{ran.stdout[-2000:]}\n{ran.stderr[-6000:]}"
    return {flow: int(far) for flow, far in re.findall(r"^(\w+) (\d+)$", ran.stdout, re.M)}


def test_killed_here_and_there_the_next_run_finishes(tmp_path: Path, till: Till) -> None:
    """All flows by one process: most of the work is to load what they need."""
    came = _run(tmp_path, till, 2, FLOWS)
    assert came.keys() == FLOWS.keys()
    for flow, far in came.items():
        assert far > FLOWS[flow], f"{flow} was killed once only"


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("flow", FLOWS)
def test_killed_at_every_await_the_next_run_finishes(tmp_path: Path, till: Till, flow: str) -> None:
    assert _run(tmp_path, till, 1, {flow: 1})[flow] > 20
