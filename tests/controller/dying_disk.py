"""A disk that stops taking writes, as a worn card does: what is on it can be read, and nothing changes.

Root gets a real ext4 on a loop device, which the kernel itself makes read-only (mount's ``abort``). Where that
is not allowed SQLite is told to write nothing, and the controller what the file system would say.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from controller.journal import refuge
from tests.controller.world import World

_SIZE_MB = 64


class DyingDisk:
    """Mounted at the store's state directory. ``die``, then ``repair``; ``close`` at the end."""

    def __init__(self, world: World, image: Path, patch: pytest.MonkeyPatch) -> None:
        self._world = world
        self._patch = patch
        self._image = image
        self.dead = False
        with image.open("wb") as file:
            file.truncate(_SIZE_MB << 20)
        self.real = self._run("mkfs.ext4", "-q", "-F", str(image)) and self._mount()
        real = refuge.takes_writes
        home = world.state_dir
        if not self.real:
            patch.setattr(
                refuge, "takes_writes", lambda folder: real(folder) and not (self.dead and folder == home)
            )  # fmt: skip

    def _mount(self) -> bool:
        place = str(self._world.state_dir)
        return self._run("mount", "-o", "loop,errors=remount-ro", str(self._image), place)

    def _run(self, *command: str) -> bool:
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except FileNotFoundError:
            return False

    async def die(self) -> None:
        """From now on nothing is written."""
        self.dead = True
        if self.real:
            assert self._run("mount", "-o", "remount,abort", str(self._world.state_dir))
            assert not refuge.takes_writes(self._world.state_dir)
        elif self._world.controller is not None:
            db = self._world.controller.journal._db
            await db.execute_query_dict("PRAGMA query_only = 1")

    def repair(self) -> None:
        """What a boot does: looks the file system over and mounts it anew. No controller runs meanwhile."""
        self.dead = False
        if self.real:
            assert self._run("umount", str(self._world.state_dir))
            self._run("fsck.ext4", "-y", str(self._image))
            assert self._mount()
        assert refuge.takes_writes(self._world.state_dir)

    def close(self) -> None:
        """Unmount."""
        if self.real:
            self._run("umount", "-l", str(self._world.state_dir))
