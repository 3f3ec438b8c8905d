"""One way to measure and to print: every sample kept, percentiles instead of averages."""

from __future__ import annotations

import time
from collections.abc import Callable


def measure(act: Callable[[], object], times: int, warm_up: int = 20) -> list[float]:
    """Seconds that each of ``times`` calls took, sorted, after ``warm_up`` calls that do not count."""
    for _ in range(warm_up):
        act()
    samples: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        samples.append(time.perf_counter() - start)
    return sorted(samples)


def line(what: str, samples: list[float]) -> str:
    """One line of the report, in milliseconds."""
    count = len(samples)
    at = {share: samples[min(count - 1, int(count * share / 100))] * 1000 for share in (50, 99)}
    worst = samples[-1] * 1000
    return f"{what:<52} p50 {at[50]:8.3f}  p99 {at[99]:8.3f}  max {worst:8.3f} ms  n={count}"
