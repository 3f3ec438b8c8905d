"""Room kept back on the disk, so that a full one does not stop a store from writing what counts.

Who fills the disk is hardly ever the journal: it is something beside it. So a file of 8 MB is laid down
when there is plenty, and given up when there is hardly anything left: for the journal that is weeks of
unlocks. When there is plenty again it is laid down anew.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import structlog

log = structlog.get_logger(__name__)

MB = 1 << 20
RESERVE = 8 * MB
TIGHT = (
    2 * MB
)  # bytes free below which the reserve is given up: a journal's log may grow by as much
PLENTY = 32 * MB  # bytes free, with the reserve laid down, that end the trouble


class Reserve:
    """``look`` before each write and now and then: it costs one system call."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.given_up = False

    def open(self) -> None:
        """Lay the file down if there is room, or note that there is none. Never raises."""
        held = self.path.exists() and self.path.stat().st_size >= RESERVE
        if not held:
            self.given_up = True
        self.look()

    def look(self) -> bool:
        """Give the reserve up or lay it down as the disk has it; whether the disk is tight."""
        free = shutil.disk_usage(self.path.parent).free
        if self.given_up:
            if free >= PLENTY + RESERVE:
                self._lay_down()
        elif free < TIGHT:
            self.give_up()
        return self.given_up

    def give_up(self) -> None:
        """Make room now."""
        self.given_up = True
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            log.error("reserve_stuck", why=str(error))
        log.error("disk_tight", free_mb=shutil.disk_usage(self.path.parent).free // MB)

    def _lay_down(self) -> None:
        fresh = self.path.with_name(self.path.name + ".new")
        try:
            handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            try:
                _allocate(handle)
            finally:
                os.close(handle)
            fresh.replace(self.path)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                log.error("reserve_not_laid_down", why=str(error))
            return
        self.given_up = False


def _allocate(handle: int) -> None:
    """Real blocks, not a hole."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, RESERVE)
        return
    block = os.urandom(MB)
    for _ in range(RESERVE // MB):
        os.write(handle, block)
