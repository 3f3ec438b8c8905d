"""One way to measure: every sample kept, percentiles instead of averages."""

from __future__ import annotations

import time
from collections.abc import Callable


def measure(act: Callable[[], object], times: int, warm_up: int = 20) -> list[float]:
    """Milliseconds that each of ``times`` calls took, after ``warm_up`` calls that do not count."""
    for _ in range(warm_up):
        act()
    samples: list[float] = []
    for _ in range(times):
        start = time.perf_counter()
        act()
        samples.append((time.perf_counter() - start) * 1e3)
    return samples
