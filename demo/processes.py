"""The programs of the demonstration as children on a leash: start, kill, stop, and wait until ready."""

from __future__ import annotations

import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

STOP_S = 8.0


class Failed(RuntimeError):
    """A part did not come up; the message says which, and shows the end of its log."""


class Child:
    """One program. ``kill`` is the hard way (kill -9 of the program itself), ``stop`` the polite one."""

    def __init__(self, name: str, command: list[str], env: Mapping[str, str], log: Path) -> None:
        self.name = name
        self.command = command
        self.env = {**os.environ, **env, "PYTHONUNBUFFERED": "1"}
        self.log = log
        self._leash: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the program is alive."""
        return self._leash is not None and self._leash.poll() is None

    @property
    def pid(self) -> int | None:
        """The program's own process id (not the leash's)."""
        note = self.log.with_suffix(".pid")
        return int(note.read_text()) if self.running and note.exists() else None

    def start(self) -> None:
        """Start it if it is not running."""
        if self.running:
            return
        self._let_go()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.with_suffix(".pid").unlink(missing_ok=True)
        self._leash = subprocess.Popen(
            [sys.executable, "-m", "demo.leash", str(self.log), *self.command],
            stdin=subprocess.PIPE,
            env=self.env,
            start_new_session=True,
        )

    def stop(self) -> None:
        """Ask it to end; killed after a grace period."""
        if self._leash is None:
            return
        self._drop_pipe()
        try:
            self._leash.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._leash.kill()
            self._leash.wait()
        self._leash = None

    def kill(self) -> None:
        """``kill -9``: what a power cut or the kernel's memory killer does."""
        pid = self.pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
        if self._leash is not None:
            self._leash.wait(STOP_S)
            self._let_go()

    def _let_go(self) -> None:
        """Forget a leash that has ended; our end of its pipe with it."""
        self._drop_pipe()
        self._leash = None

    def _drop_pipe(self) -> None:
        if self._leash is not None and self._leash.stdin is not None:
            self._leash.stdin.close()

    def tail(self, lines: int = 25) -> str:
        """The last lines of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def wait_until(
        self,
        ready: Callable[[], bool],
        what: str,
        seconds: float = 90.0,
        every_s: float = 0.05,
    ) -> None:
        """Wait until ``ready``, asked every so often; raise Failed if the program ends before, or time
        runs out.
        """
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if ready():
                return
            if not self.running:
                raise Failed(f"{self.name} ended before {what}.\n{self.tail()}")
            time.sleep(every_s)
        raise Failed(f"{self.name}: {what} did not happen within {seconds:.0f} s.\n{self.tail()}")


@cache
def certificates() -> ssl.SSLContext:
    """Those this machine trusts, read once: it takes 20 ms, which each client would spend again."""
    return ssl.create_default_context()


@cache
def local_http() -> httpx.Client:
    """The client for programs of this machine, also those that are killed and started again.

    It keeps neither connections nor cookies.
    """
    return httpx.Client(
        timeout=5.0,
        trust_env=False,
        verify=certificates(),
        limits=httpx.Limits(max_keepalive_connections=0),
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
    )


def answers(url: str) -> bool:
    """Whether a GET of ``url`` is answered with a success now."""
    try:
        return local_http().get(url, timeout=2.0).is_success
    except httpx.HTTPError:
        return False


def listens(port: int, host: str = "127.0.0.1") -> bool:
    """Whether something accepts connections at a port."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


QUIET_PORTS = range(15_000, 32_000)


def pick_port(wanted: int, host: str = "0.0.0.0") -> int:  # noqa: S104  asked for: phones reach it
    """``wanted`` if it is free, else some free port.

    From below what systems give to outgoing connections, so that it is still free after a restart.
    """
    for port in (*([wanted] if wanted else ()), *random.sample(QUIET_PORTS, 50), 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise Failed("there is no free port on this machine")


def lan_address() -> str:
    """This machine's address on the local network, or 127.0.0.1; sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # a documentation address: only asks the routing table
            return str(probe.getsockname()[0])
        except OSError:
            return "127.0.0.1"
