"""Children of the demonstration leave nothing open behind."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from demo.processes import Child


@pytest.mark.parametrize("end", ["kill", "stop", "by itself"])
def test_a_child_that_ended_leaves_no_pipe_open(tmp_path: Path, end: str):
    """One that was killed, or ended by itself and was started again, left our end of its leash's pipe open.

    Python says so as a ResourceWarning in whichever test runs when the garbage is looked through; who kills
    a hundred processes in a row may hold a hundred pipes till then.
    """
    seconds = 0 if end == "by itself" else 600
    command = [sys.executable, "-c", f"import time; time.sleep({seconds})"]
    child = Child("sleeper", command, {}, tmp_path / "sleeper.log")
    child.start()
    assert child._leash is not None
    pipe = child._leash.stdin
    assert pipe is not None
    try:
        assert not pipe.closed
        if end == "by itself":
            deadline = time.monotonic() + 60
            while child.running:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            child.start()
        else:
            child.wait_until(lambda: child.pid is not None, "its process id was known")
            child.kill() if end == "kill" else child.stop()
        assert pipe.closed
    finally:
        child.stop()
