"""A file system of 24 MB that can be filled to its last byte; root mounts a real one."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

SIZE = "24m"


class Disk:
    """Mounted at ``path``. ``real`` is False where this machine lets nobody mount one: it never fills."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.real = False
        if sys.platform == "linux" and os.geteuid() == 0:
            made = subprocess.run(
                ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)],
                capture_output=True,
                check=False,
            )
            self.real = made.returncode == 0

    def fill(self) -> None:
        """Not a byte is left."""
        if not self.real:
            return
        handle = os.open(self.path / "ballast", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with contextlib.suppress(OSError):
            while True:
                os.write(handle, bytes(4096))
        os.close(handle)

    def make_room(self) -> None:
        """Somebody clears up."""
        (self.path / "ballast").unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(path: Path) -> Iterator[Disk]:
    """Unmounted with the block."""
    disk = Disk(path)
    try:
        yield disk
    finally:
        if disk.real:
            subprocess.run(["umount", "-l", str(path)], check=False)
