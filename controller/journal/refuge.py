"""Where the journal lives while the disk takes nothing: in memory.

A worn card ends as a file system that Linux has made read-only. A store that could not write down an entry
would open to nobody, so the journal moves: its files are copied to a folder in memory (systemd's
``RuntimeDirectory=``), and the copy goes on under a name of its own with what the cloud has not heard yet.
Events keep their ids, so what both journals hold counts once. When the disk takes writes again, the journal
comes home at the next start; a power cut before that costs what was not sent, and that was told.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import sqlite3
from pathlib import Path

import structlog
from ulid import ULID

log = structlog.get_logger(__name__)

NAME = "journal.db"
_PARTS = ("", "-wal")
_FULL = (errno.ENOSPC, errno.EDQUOT)


def takes_writes(folder: Path) -> bool:
    """Whether a file can be made there; a disk that is only full counts as one that takes writes."""
    probe = folder / ".probe"
    try:
        handle = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(handle, b"?")
            os.fsync(handle)
        finally:
            os.close(handle)
            probe.unlink(missing_ok=True)
    except OSError as error:
        return error.errno in _FULL
    return True


def settle(home: Path, memory: Path | None) -> Path:
    """The file to open, for a store whose journal belongs at ``home``; copied or brought home where needed.

    Raises OSError where neither the disk nor the memory takes it.
    """
    if memory is None:
        return home
    refuge = memory / NAME
    if takes_writes(home.parent):
        if refuge.exists():
            _come_home(refuge, home)
        return home
    if not refuge.exists():
        flee(home, refuge)
    return refuge


def flee(home: Path, refuge: Path) -> None:
    """Copy the journal into memory, as a journal of its own."""
    log.error("disk_takes_nothing", journal=str(refuge))
    refuge.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fresh = refuge.with_name(refuge.name + ".new")
    for part in _PARTS:
        with contextlib.suppress(FileNotFoundError, OSError):
            shutil.copyfile(home.with_name(home.name + part), fresh.with_name(fresh.name + part))
    try:
        _rename_journal(fresh)
    except sqlite3.DatabaseError as error:
        log.error("journal_not_copied", why=str(error))  # begun anew, from the document
        for part in _PARTS:
            fresh.with_name(fresh.name + part).unlink(missing_ok=True)
        return
    fresh.chmod(0o600)
    fresh.replace(refuge)


def _rename_journal(path: Path) -> None:
    """Another name, and of the events those that the cloud has not heard, counted from 1."""
    with contextlib.closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as db:
        if db.execute("PRAGMA quick_check").fetchone()[0] != "ok":
            raise sqlite3.DatabaseError("the disk lost some of it")
        known = dict(db.execute("SELECT key, value FROM kv WHERE key IN ('journal', 'acked')"))
        acked = int(json.loads(known.get("acked", "0")))
        db.execute("BEGIN IMMEDIATE")
        db.execute("DELETE FROM outbox WHERE seq <= ?", (acked,))
        db.execute("UPDATE outbox SET seq = seq - ?", (acked,))
        db.execute("UPDATE sqlite_sequence SET seq = (SELECT coalesce(max(seq), 0) FROM outbox)"
                   " WHERE name = 'outbox'")  # fmt: skip
        db.execute("UPDATE kv SET value = ? WHERE key = 'journal'", (new_id(),))
        db.execute("DELETE FROM kv WHERE key IN ('acked', 'acked_marks')")
        db.execute("COMMIT")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        db.execute("PRAGMA journal_mode=DELETE")  # one file, so that one rename is all of it


def _come_home(refuge: Path, home: Path) -> None:
    """The journal in memory knows all that the one on the disk knew, and more: it takes its place."""
    log.warning("disk_takes_writes_again", journal=str(home))
    fresh = home.with_name(home.name + ".new")
    fresh.unlink(missing_ok=True)
    with (
        contextlib.closing(sqlite3.connect(refuge, timeout=5)) as source,
        contextlib.closing(sqlite3.connect(fresh)) as copy,
    ):
        source.backup(copy)
    fresh.chmod(0o600)
    handle = os.open(fresh, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
    for part in ("-wal", "-shm"):  # the old one's: they must not be read into the new one
        home.with_name(home.name + part).unlink(missing_ok=True)
    fresh.replace(home)
    for part in (*_PARTS, "-shm"):
        refuge.with_name(refuge.name + part).unlink(missing_ok=True)


def new_id() -> str:
    """A journal's name, as JSON."""
    return json.dumps(f"j{ULID()}".lower())
