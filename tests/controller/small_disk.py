"""A file system that can be filled to the last block, and emptied again.

Root mounts a real one. Where that is not allowed SQLite itself is told to write nothing, and the
controller what the file system would say.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from controller.journal.reserve import MB, RESERVE
from tests.controller.world import World

SIZE = 64 * MB
BLOCK = b"\xa5" * (64 * 1024)


class SmallDisk:
    """Mounted at ``path``. ``fill`` leaves nothing but what is given up meanwhile; ``empty`` undoes it."""

    def __init__(self, path: Path, world: World, patch: pytest.MonkeyPatch) -> None:
        self.path = path
        self._world = world
        self._full = False
        size = f"size={SIZE}"
        self.real = (
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(path)],
                capture_output=True,
                check=False,
            ).returncode
            == 0
        )
        if not self.real:
            patch.setattr(
                "controller.journal.reserve.shutil",
                SimpleNamespace(disk_usage=lambda _: SimpleNamespace(free=self._free())),
            )

    def close(self) -> None:
        """Unmount."""
        if self.real:
            subprocess.run(["umount", "-l", str(self.path)], check=True)

    async def fill(self) -> None:
        """Somebody writes until nothing is left, the reserve included where it was given up."""
        if not self.real:
            self._full = True
            await self._limit()
            return

        def write() -> None:
            number = len(list(self.path.glob("ballast*")))
            with (self.path / f"ballast{number}").open("wb", buffering=0) as file:
                for block in (BLOCK, BLOCK[:4096], BLOCK[:1]):
                    try:
                        while file.write(block):
                            pass
                    except OSError:
                        continue

        await asyncio.to_thread(write)

    @property
    def nothing_free(self) -> bool:
        """Whether not a block is left at this moment."""
        return self._full or shutil.disk_usage(self.path).free < 4096

    async def empty(self) -> None:
        """Somebody clears up."""
        self._full = False
        for ballast in self.path.glob("ballast*"):
            ballast.unlink()
        if not self.real:
            await self._limit()

    def _free(self) -> int:
        if not self._full:
            return SIZE
        return 0

    async def _limit(self) -> None:
        controller = self._world.controller
        if controller is None:
            return
        db = controller.journal._db
        await db.execute_query_dict(f"PRAGMA query_only = {int(self._full)}")


assert RESERVE < SIZE
