"""Caddy and HAProxy for tests: found on the machine, or fetched where that is possible."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from tests.support import debian

_PLACES = ("/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/opt/homebrew/bin")
PROGRAMS = ("caddy", "haproxy")


class FrontError(Exception):
    """A program cannot be had; the message says what to do."""


def find(program: str) -> Path | None:
    """The program on PATH or where systems put it."""
    found = shutil.which(program)
    if found is not None:
        return Path(found)
    return next((Path(one) / program for one in _PLACES if (Path(one) / program).exists()), None)


def ensure(program: str) -> Path:
    """The program, installed if need be (apt, as root on Debian).

    :raises FrontError: one sentence that says how to get it.
    """
    found = find(program)
    if found is None and debian.can_install():
        debian.install([program])
        found = find(program)
        if (
            found is not None and shutil.which("systemctl") is not None
        ):  # nobody asked for a service
            subprocess.run(
                ["systemctl", "disable", "--now", program], capture_output=True, check=False
            )
    if found is None:
        raise FrontError(
            f"No {program} for the tests of the compose file: install the package {program} (Debian, Homebrew)."
        )
    return found
