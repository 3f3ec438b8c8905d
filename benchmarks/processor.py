"""Processor time of processes with their children: what a reading on a busy machine can still be held to.

Seconds of somebody's clock grow with whatever else runs; those that a program had the processor for
nearly do not. Linux only: elsewhere there is nothing to read, and the answer is None.
"""

from __future__ import annotations

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def seconds_of(pid: int) -> float | None:
    """Seconds of processor time that ``pid`` and its children have taken so far, ended ones with them."""
    if not (_PROC / str(pid) / "stat").exists():
        return None
    family, total = {pid}, 0.0
    rows = [(int(one.name), _fields(one)) for one in _PROC.iterdir() if one.name.isdecimal()]
    for one, fields in sorted(rows):  # a child's id is nearly always the greater one
        if fields and (one in family or int(fields[1]) in family):
            family.add(one)
            total += sum(map(int, fields[11:15])) / _TICKS
    return total


def parent_of(pid: int) -> int | None:
    """Who started ``pid``."""
    fields = _fields(_PROC / str(pid))
    return int(fields[1]) if fields else None


def _fields(folder: Path) -> list[str]:
    """From the state on (its third field), since a name may hold anything; none where it has ended."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
