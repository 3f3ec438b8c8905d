"""Runs one program and ends it when its owner is gone, however the owner went.

The owner holds the writing end of this process's standard input. When the owner dies, even by
``kill -9``, the pipe closes; the leash then asks the program to stop, waits, and kills its group.
On Linux the kernel also kills the program should the leash itself be killed. The program's process
id is written beside its log.

    python -m demo.leash LOGFILE program args…
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

GRACE_S = 6.0
_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Ask the kernel (Linux) to kill this process when its parent ends; elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def main(argv: list[str]) -> int:
    """Run ``argv[1:]`` with output to the file ``argv[0]``; the program's exit code is ours."""
    log = Path(argv[0])
    with log.open("ab", buffering=0) as output:
        program = subprocess.Popen(
            argv[1:],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,  # noqa: PLW1509  one C call, no locks
        )
    note = log.with_suffix(".pid")
    part = note.with_suffix(".pid.part")
    part.write_text(str(program.pid))
    part.replace(note)  # whoever looks meanwhile reads all of it or nothing
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(
            ignored, signal.SIG_IGN
        )  # the pipe decides, so that the order of ends is ours
    threading.Thread(target=_watch, args=(program,), daemon=True).start()
    code = program.wait()
    return code if code >= 0 else 128 - code


def _watch(program: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGTERM)
    try:
        program.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
