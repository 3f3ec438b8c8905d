"""System packages for tests, where this is Debian and we may install: the browser, the broker."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence

PATIENCE_S = 300


def can_install() -> bool:
    """Whether ``install`` may work here: root on a system with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(packages: Sequence[str]) -> None:
    """Try to install; look afterwards whether it helped, failures are silent."""
    print(f"Installing {' '.join(packages)} with apt-get …", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages]
    if not _works(command, environment):  # a fresh image has no package lists yet
        _works(["apt-get", "update", "--quiet"], environment)
        _works(command, environment)


def _works(command: Sequence[str], environment: dict[str, str]) -> bool:
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, check=False, timeout=PATIENCE_S
        )
    except subprocess.TimeoutExpired:  # no way out of here, and nobody says so
        return False
    return done.returncode == 0
