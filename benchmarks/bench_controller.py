"""What the controller costs a store's small computer: memory, time to start, processor time at rest.

A store of two lines with a relay board each, polled every second, linked to a broker, with nothing
happening. Loops and pages are Linux' own figures (/proc).
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.one_store import OneStore
from benchmarks.results import Measured

MEMORY_MB, START_S, CPU_PERCENT = 70.0, 3.0, 1.0
STARTS = 5
REST_S = 60.0
SETTLE_S = 10.0
LINES = 2


def measured(count: int | None) -> list[Measured]:
    """A minute at rest and five starts; a ``count`` below 1,000 shortens the minute."""
    rest_s = min(REST_S, max(5.0, REST_S * (count or 1000) / 1000))
    folder = Path(tempfile.mkdtemp(prefix="kaimen-bench-"))
    try:
        with OneStore(folder, ours=LINES) as site:
            starts = []
            for _ in range(STARTS):
                starts.append(site.start())
                site.settle(0.5)
                site.stop()
            site.start()
            site.settle(SETTLE_S)
            assert site.controller is not None
            pid = site.controller.pid
            before, began = _cpu_s(pid), time.monotonic()
            site.settle(rest_s)
            busy = 100 * (_cpu_s(pid) - before) / (time.monotonic() - began)
            memory = memory_mb(pid)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return [
        _against_limit("controller, resident memory", "MB", [memory], MEMORY_MB),
        _against_limit("controller, start until its boards answer", "s", starts, START_S),
        _against_limit(
            f"controller, processor time at rest over {rest_s:.0f} s", "%", [busy], CPU_PERCENT
        ),
    ]


def _against_limit(name: str, unit: str, samples: list[float], limit: float) -> Measured:
    against = f"at most {limit:g} {unit}"
    return Measured.of(name, unit, samples, [limit], aim=1.0, against=against)


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


def _cpu_s(pid: int) -> float:
    """User and system seconds so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
