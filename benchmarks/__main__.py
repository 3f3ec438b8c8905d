"""Runs the measurements, prints them, keeps them in benchmarks/results.json, draws docs/images/benchmarks.svg.

    python -m benchmarks                          everything
    python -m benchmarks unlock ingest            these parts
    python -m benchmarks unlock --count 1000      with so many samples
    python -m benchmarks --picture                only draw what is kept

A part is a module with ``measured(count: int | None) -> Iterable[Measured]``.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable
from typing import Any

from benchmarks import picture, results
from benchmarks.results import Measured

PARTS = {
    "wire": "benchmarks.wire",
    "broker": "benchmarks.broker",
    "brokers": "benchmarks.bench_brokers",
    "unlock": "benchmarks.bench_unlock",
    "ingest": "benchmarks.bench_ingest",
    "orders": "benchmarks.bench_orders",
    "store": "benchmarks.bench_store",
    "controller": "benchmarks.bench_controller",
    "edge": "benchmarks.bench_edge",
    "bus": "benchmarks.bench_bus",
    "days": "benchmarks.bench_days",
    "reports": "benchmarks.bench_reports",
}


def measure(part: str, count: int | None) -> list[Measured]:
    """The rows of a part, printed as they come."""
    module: Any = importlib.import_module(PARTS[part])
    found: Iterable[Measured] = module.measured(count)
    rows = []
    for row in found:
        print(row.line(), flush=True)
        rows.append(row)
    return rows


def main() -> None:
    """Measure what was asked for and keep it."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--count", type=int, help="samples, where a part's own number will not do")
    parser.add_argument("--picture", action="store_true", help="only draw what is kept")
    given = parser.parse_args()
    unknown = sorted(set(given.parts) - set(PARTS))
    if unknown:
        parser.error(f"no such part: {', '.join(unknown)}; there are {', '.join(PARTS)}")
    if given.parts or not given.picture:
        print(results.machine())
        for part in given.parts or PARTS:
            print(f"-- {part}", flush=True)
            number = "" if given.count is None else f" --count {given.count}"
            results.keep(part, measure(part, given.count), f"python -m benchmarks {part}{number}")
    print(f"drawn: {picture.draw()}")


if __name__ == "__main__":
    main()
