"""A demonstration that runs as a person runs it: ``kaimen-demo run`` in a process of its own."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
import psutil

from demo.processes import local_http
from demo.sight import Sight
from demo.stage import Stage
from tests.support.guard import GuardedProcess

UP_S = 180.0  # two cores are shared with browsers, databases and other tests
STOP_S = 15.0


class RunningStage:
    """``kaimen-demo run`` in a folder; ``panel`` speaks to its page, ``eyes()`` looks at everything else."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = folder.with_suffix(".log")
        self._process: GuardedProcess | None = None
        self._begins = 0
        self._eyes: Sight | None = None
        self._tokens: dict[str, str] = {}  # by phone: who was logged in stays so

    def __enter__(self) -> RunningStage:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop(signal.SIGTERM)

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def said(self) -> str:
        """What this run has printed."""
        return self._log.read_bytes()[self._begins :].decode()

    @property
    def stage(self) -> Stage:
        """Ports, addresses, doors."""
        return Stage.found(self.folder)

    def eyes(self) -> Sight:
        """Coils, rows of the database, people; the same for one run; people log in once."""
        if self._eyes is None:
            self._eyes = Sight(self.stage)
            for person in self._eyes.people:
                if person.phone in self._tokens:
                    person.stay_logged_in(self._tokens[person.phone])
        return self._eyes

    def start(self, *, only_until: str = "", any_ports: bool = True) -> None:
        """Start it and wait until it has printed its addresses, or only until it says something."""
        self._begins = self._log.stat().st_size if self._log.exists() else 0
        command = [sys.executable, "-m", "demo.cli", "run", "--data", str(self.folder)]
        command += ["--host", "127.0.0.1", *(["--any-ports"] if any_ports else [])]
        process = GuardedProcess(command, log=self._log, kill_with=signal.SIGTERM)
        self._process = process
        wanted = only_until or "演示台"
        until(lambda: wanted in self.said or not process.running, UP_S, lambda: self.said)
        assert process.running, self.said
        if only_until:
            return
        until(self._answers, 10, lambda: self.said)

    def _answers(self) -> bool:
        try:
            return bool(self.state()["programs"])
        except httpx.HTTPError:
            return False

    def stop(self, with_signal: signal.Signals) -> int:
        """Send the signal to the whole group, as a terminal does with Ctrl-C; the exit code."""
        process, self._process = self._process, None
        if self._eyes is not None:
            self._tokens |= {who.phone: who.token for who in self._eyes.people if who.token}
            self._eyes.close()
            self._eyes = None
        assert process is not None
        if process.running:
            os.killpg(process.pid, with_signal)
        began = time.monotonic()
        code = process.stop(signal.SIGCONT, timeout_s=STOP_S)
        assert time.monotonic() - began < STOP_S, f"it did not end within {STOP_S} s: {self.said}"
        return code

    @property
    def is_up(self) -> bool:
        """Whether it was started, not stopped, and lives."""
        return self._process is not None and self._process.running

    # -------------------------------------------------------------------------------------- the panel

    @property
    def panel(self) -> str:
        """The address of the demonstration's own page."""
        return self.stage.url("panel")

    def state(self) -> dict[str, Any]:
        """What the panel draws."""
        found: dict[str, Any] = local_http().get(f"{self.panel}/state", timeout=10).json()
        return found

    def press(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """What a button of the panel does."""
        return local_http().post(f"{self.panel}{path}", json=body or {}, timeout=20)

    # -------------------------------------------------------------------------------------- processes

    def alive(self) -> list[str]:
        """Every process that names this stage's folder in its command line or its environment."""
        mark, found = str(self.folder), []
        for process in psutil.process_iter():
            try:
                words = process.cmdline()
                if process.status() == psutil.STATUS_ZOMBIE:
                    continue
                if any(mark in word for word in (*words, *process.environ().values())):
                    found.append(f"{process.pid} {' '.join(words)[:160]}")
            except psutil.Error:
                continue
        return found


def until(good: Callable[[], bool], seconds: float, said: Callable[[], object]) -> None:
    """Wait for what is near; raise AssertionError with ``said()`` if it does not come."""
    deadline = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s; {said()}"
        time.sleep(0.1)
