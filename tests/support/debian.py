"""System packages for tests, where this is Debian and we may install: the browser, the broker."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence


def can_install() -> bool:
    """Whether ``install`` may work here: root on a system with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Sequence[str]) -> None:
    """Try to install; look afterwards whether it helped, failures are silent."""
    print(f"Installing {' '.join(packages)} with apt-get …", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    first = subprocess.run(command, env=environment, capture_output=True, check=False)
    if first.returncode != 0:  # a fresh image has no package lists yet
        subprocess.run(
            ["apt-get", "update", "--quiet"], env=environment, capture_output=True, check=False
        )
        subprocess.run(command, env=environment, capture_output=True, check=False)
