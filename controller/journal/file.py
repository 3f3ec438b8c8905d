"""The journal as a file: how it is opened, and what becomes of one that SQLite cannot vouch for."""

from __future__ import annotations

import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger(__name__)

LOG_BYTES = 4 << 20  # the write-ahead log keeps so much room between checkpoints


def set_aside(path: Path) -> Path | None:
    """Move a journal that SQLite cannot vouch for out of the way; returns where it went."""
    if not path.exists() or _sound(path):
        return None
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
    aside = path.with_name(f"{path.name}.bad-{stamp}")
    log.error("journal_corrupt", kept_as=str(aside))
    for suffix in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(path.name + suffix).rename(aside.with_name(aside.name + suffix))
    return aside


def _sound(path: Path) -> bool:
    try:
        with contextlib.closing(sqlite3.connect(path, timeout=5)) as db:
            return bool(db.execute("PRAGMA quick_check").fetchone()[0] == "ok")
    except sqlite3.DatabaseError:
        return False


def config(path: Path) -> dict[str, Any]:
    """Tortoise's configuration: every commit is on the disk before it returns."""
    return {
        "connections": {
            "default": {
                "engine": "tortoise.backends.sqlite",
                "credentials": {
                    "file_path": str(path),
                    "journal_mode": "WAL",
                    "synchronous": "FULL",
                    "journal_size_limit": LOG_BYTES,
                    "busy_timeout": 5000,
                },
            }
        },
        "apps": {
            "journal": {
                "models": ["controller.journal.models"],
                "default_connection": "default",
                "migrations": "controller.journal.migrations",
            }
        },
    }


# For Tortoise's own command line: tortoise -c controller.journal.file.MAKE_MIGRATIONS …
MAKE_MIGRATIONS = config(Path(":memory:"))
