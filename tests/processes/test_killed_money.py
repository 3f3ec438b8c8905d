"""kill -9 at every await of opening a payment, of a notification and of a refund: the next run finishes.

The flow runs in a process of its own that counts its awaits and kills itself at the n-th; another starts
on the database that is left. Whatever n is, there is one payment, one effect, one refund, and the books
balance. Each n in the soak; every so many in the suite.
"""

from __future__ import annotations

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


def _run(folder: Path, till: Till, flow: str, first: int, step: int) -> int:
    """How far it came: the first n that the flow lived through."""
    command = [sys.executable, "-m", "tests.support.dying", str(folder), till.url, flow]
    ran = subprocess.run(
        [*command, str(first), str(step)], capture_output=True, text=True, timeout=3000, check=False
    )
    assert ran.returncode == 0, f"{ran.stdout[-2000:]}\n{ran.stderr[-6000:]}"
    return int(ran.stdout.split()[-1])


@pytest.mark.parametrize("flow", FLOWS)
def test_killed_here_and_there_the_next_run_finishes(tmp_path: Path, till: Till, flow: str) -> None:
    step = FLOWS[flow]
    assert _run(tmp_path, till, flow, 2, step) > step  # it was killed more than once


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("flow", FLOWS)
def test_killed_at_every_await_the_next_run_finishes(tmp_path: Path, till: Till, flow: str) -> None:
    assert _run(tmp_path, till, flow, 1, 1) > 20
