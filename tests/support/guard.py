"""Children that end with their parent, also when the parent is killed with SIGKILL.

A shell waits at a pipe whose other end only the parent holds. When the parent is gone, however it
went, the pipe closes and the shell kills the child. This works on Linux and macOS alike, and does
not depend on the thread that started the child, as PR_SET_PDEATHSIG does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

# Any line means "ended in good order"; end of file means that the parent died.
_WATCH = 'if read -r _; then exit 0; fi; kill -"$2" "$1"'


class GuardedProcess:
    """One server process with its guard."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        log: Path,
        user: int | None = None,
        group: int | None = None,
        cwd: Path | None = None,
        kill_with: signal.Signals = signal.SIGKILL,
    ) -> None:
        """Start ``command`` in a process group of its own, output to ``log``.

        ``user`` and ``group`` (ids) are for a root that must not run the server itself;
        ``kill_with`` is what the guard sends when this process dies.
        """
        self.log = log
        output: IO[bytes]
        with log.open("ab") as output:
            self.process = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _WATCH, "sh", str(self.process.pid), str(int(kill_with))],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the server still lives."""
        return self.process.poll() is None

    def stop(self, with_signal: signal.Signals = signal.SIGTERM, timeout_s: float = 10) -> int:
        """Ask the server to end, kill it if it does not within ``timeout_s``; its exit code."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, with_signal)
        try:
            code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._release_guard()
        return code

    def kill(self) -> int:
        """SIGKILL, as a power cut would do it to one process; its exit code."""
        return self.stop(signal.SIGKILL)

    def tail(self, lines: int = 15) -> str:
        """The end of the server's log, for error messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _release_guard(self) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):
            self._guard.communicate(b"done\n", timeout=5)
