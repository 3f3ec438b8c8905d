"""Mosquitto for tests: found on the machine, or fetched where that is possible."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.support import debian
from tests.support.guard import GuardedProcess
from tests.support.ports import free_port

_START_S = 20.0
_PLACES = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")


class MosquittoError(Exception):
    """Mosquitto cannot be had or did not start; the message says what to do, or ends with its log."""


def find_mosquitto() -> Path | None:
    """The program on PATH or where systems put it (often not on a user's PATH)."""
    found = shutil.which("mosquitto")
    if found is not None:
        return Path(found)
    return next((path for path in map(Path, _PLACES) if path.exists()), None)


def ensure_mosquitto() -> Path:
    """The program, installed if need be (apt, as root on Debian).

    :raises MosquittoError: one sentence that says how to get it.
    """
    found = find_mosquitto()
    if found is None and debian.can_install():
        debian.install(["mosquitto"])
        found = find_mosquitto()
        if found is not None:
            _leave_the_standard_port()
    if found is None:
        raise MosquittoError(
            "No Mosquitto for the tests of brokers: install the package mosquitto (Debian, "
            "Homebrew), 2.0 or later."
        )
    return found


def _leave_the_standard_port() -> None:
    """The package starts a broker for the whole machine, which nobody asked for."""
    if shutil.which("systemctl") is not None:
        subprocess.run(
            ["systemctl", "disable", "--now", "mosquitto"], capture_output=True, check=False
        )


class MosquittoBroker:
    """A broker on loopback with its files in ``directory``; use as a context manager or by hand.

    ``write`` writes the configuration for the two ports it is given and returns its file.
    """

    host = "127.0.0.1"

    def __init__(self, directory: Path, write: Callable[[int, int], Path]) -> None:
        self.directory = directory
        self.store_port = 0
        self.cloud_port = 0
        self._write = write
        self._process: GuardedProcess | None = None

    @property
    def running(self) -> bool:
        """Whether the broker's process lives."""
        return self._process is not None and self._process.running

    def start(self) -> MosquittoBroker:
        """Start, and return when clients may connect; the ports stay the same from then on.

        :raises MosquittoError: it ended or was not ready within 20 s.
        """
        self.directory.mkdir(parents=True, exist_ok=True)
        program = find_mosquitto()
        if program is None:
            raise MosquittoError(
                "No Mosquitto: run `python -m tests.support.ensure`, which fetches it."
            )
        tail = ""
        for _ in range(1 if self.store_port else 5):  # somebody may take a free port before us
            store_port = self.store_port or free_port()
            cloud_port = self.cloud_port or free_port()
            tail = self._try(program, store_port, cloud_port)
            if not tail:
                self.store_port, self.cloud_port = store_port, cloud_port
                return self
            if "Address already in use" not in tail:
                break
        raise MosquittoError(f"Mosquitto did not start. The end of its log:\n{tail}")

    def _try(self, program: Path, store_port: int, cloud_port: int) -> str:
        log = self.directory / "mosquitto.log"
        log.write_bytes(b"")
        config = self._write(store_port, cloud_port)
        self._process = GuardedProcess([program, "-c", config], log=log, cwd=self.directory)
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            text = log.read_text(errors="replace")
            if " running" in text:
                return ""
            if not self._process.running:
                break
            time.sleep(0.005)
        tail = self._process.tail()
        self._process.kill()
        return tail or "it said nothing"

    def stop(self) -> None:
        """End in good order (SIGTERM)."""
        if self._process is not None:
            self._process.stop(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL, as a power cut would do it."""
        if self._process is not None:
            self._process.kill()

    def log_text(self) -> str:
        """All that the broker wrote since its last start."""
        return (self.directory / "mosquitto.log").read_text(errors="replace")

    def __enter__(self) -> MosquittoBroker:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
