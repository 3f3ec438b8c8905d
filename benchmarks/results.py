"""What a measurement found, in one form for all of them, and where it is kept: benchmarks/results.json.

Every part (benchmarks/__main__.py names them) gives ``Measured`` rows. Milliseconds of two machines
cannot be compared, ratios nearly can: so each row carries the floor or the peer that was measured in the
same minutes on the same machine, taking turns. Running a part replaces its rows and leaves the others.
"""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement beside what it is compared with.

    ``ratio`` is ours to theirs at p50. ``aim`` is a limit of that ratio: at most for what should be
    small (``low_is_good``), at least for what should be large. Where the aim is a number instead of a
    peer ("at most 70 MB"), that number stands in ``floor_p50`` and the aim is 1. Rows without
    something to compare with have None in all of these.
    """

    name: str
    unit: str  # "ms", "s", "MB", "%", "events/s"
    p50: float
    p99: float | None
    floor_p50: float | None
    floor_p99: float | None
    ratio: float | None
    aim: float | None
    n: int
    against: str = ""  # what the floor or the peer is, in a few words
    low_is_good: bool = True
    note: str = ""  # what a reader must know to judge the number

    @classmethod
    def of(
        cls,
        name: str,
        unit: str,
        ours: Sequence[float],
        floor: Sequence[float] = (),
        *,
        aim: float | None = None,
        against: str = "",
        low_is_good: bool = True,
        note: str = "",
    ) -> Measured:
        """From samples, in ``unit`` already."""
        p50, p99 = percentile(ours, 50), percentile(ours, 99)
        return cls(
            name=name,
            unit=unit,
            p50=p50,
            p99=p99,
            floor_p50=percentile(floor, 50) if floor else None,
            floor_p99=percentile(floor, 99) if floor else None,
            ratio=p50 / percentile(floor, 50) if floor else None,
            aim=aim,
            n=len(ours),
            against=against,
            low_is_good=low_is_good,
            note=note,
        )

    @property
    def met(self) -> bool | None:
        """Whether the aim is reached; None where there is none."""
        if self.ratio is None or self.aim is None:
            return None
        return self.ratio <= self.aim if self.low_is_good else self.ratio >= self.aim

    def line(self) -> str:
        """One line of the report."""
        text = f"{self.name:<58} p50 {_number(self.p50)}"
        if self.p99 is not None:
            text += f"  p99 {_number(self.p99)}"
        text += f" {self.unit:<9}"
        if self.ratio is not None:
            text += f" x{self.ratio:<6.2f}"
        if self.met is not None:
            sign = "<=" if self.low_is_good else ">="
            text += f" aim {sign} {self.aim:g}: {'met' if self.met else 'not met'}"
        return f"{text}  n={self.n}" + (f"  ({self.against})" if self.against else "")


def percentile(samples: Sequence[float], share: float) -> float:
    """The sample below which ``share`` percent lie; samples need not be sorted."""
    ordered = sorted(samples)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share / 100))]


def machine() -> str:
    """One line: what these numbers are of."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}, "
        f"Python {sys.version.split()[0]}"
    )


def busy() -> str:
    """How busy the machine was, with ourselves: ratios bear it better than numbers do."""
    return f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def load(file: Path = FILE) -> dict[str, dict[str, Any]]:
    """What was kept, by part: ``{at, machine, load, command, measured: [row, …]}``."""
    if not file.exists():
        return {}
    kept: dict[str, dict[str, Any]] = json.loads(file.read_text())
    return kept


def rows(kept: dict[str, dict[str, Any]], part: str) -> list[Measured]:
    """The rows of a part."""
    return [Measured(**row) for row in kept.get(part, {}).get("measured", [])]


def keep(part: str, found: Sequence[Measured], command: str, file: Path = FILE) -> None:
    """Replace a part's rows; the other parts stay as they are."""
    kept = load(file)
    kept[part] = {
        "at": datetime.now(UTC).strftime("%Y-%m-%d"),
        "machine": machine(),
        "load": busy(),
        "command": command,
        "measured": [
            {
                name: round(value, 4) if isinstance(value, float) else value
                for name, value in asdict(row).items()
            }
            for row in found
        ],
    }
    text = json.dumps(dict(sorted(kept.items())), ensure_ascii=False, indent=1)
    file.write_text(f"{text}\n")


def _number(value: float) -> str:
    return f"{value:10.3f}" if abs(value) < 10_000 else f"{value:10.0f}"
