"""Runs every measurement and prints it; compares with nothing, since machines differ."""

from __future__ import annotations

import os
import platform

from benchmarks import broker, wire


def main() -> None:
    """Print the machine, then one line per measurement."""
    print(f"Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores")
    for part in (wire, broker):
        for measured in part.lines():
            print(measured, flush=True)


if __name__ == "__main__":
    main()
