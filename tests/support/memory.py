"""A folder in memory for what lives as long as a test: databases above all.

SQLite waits for the disk at every commit, as it must in a store (synchronous=FULL), which is milliseconds
each time and a quarter of a test; PostgreSQL copies 1,500 files for a new database. No test looks at
what a disk does when the power goes by cutting the power of this one.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

_MEMORY = Path("/dev/shm")
_ROOM = 4 << 30  # bytes; a whole run needs a tenth of it, failures that are kept included


@cache
def memory_folder() -> Path | None:
    """Where files are in memory, if there is room; None where there is no such place (macOS)."""
    if not _MEMORY.is_dir() or not os.access(_MEMORY, os.W_OK | os.X_OK):
        return None
    found = os.statvfs(_MEMORY)
    if found.f_bavail * found.f_frsize < _ROOM or found.f_flag & os.ST_NOEXEC:
        return None
    return _MEMORY


def keep_temporary_files_in_memory() -> None:
    """Have pytest make ``tmp_path`` there; call before it makes the first. Who chose a place keeps it."""
    if (folder := memory_folder()) is not None:
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(folder))
