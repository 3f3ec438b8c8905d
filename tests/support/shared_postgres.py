"""One PostgreSQL cluster for all test workers of this checkout, however many runs go on at once.

Every worker holds a shared lock on the file ``users``. The first starts a keeper process, which
starts the cluster and then waits until it gets that lock exclusively: then nobody is left, and it
stops the cluster and deletes its files. The kernel takes a lock back from a worker that is killed,
so nothing is counted and nothing can be forgotten.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from tests.support.postgres import Cluster, PostgresError, Server, remove, start_cluster

_ROOT = Path(__file__).resolve().parents[2]
_START_S = 60.0
_POLL_S = 0.2


def _state_folder() -> Path:
    """This user's and this checkout's folder for lock files."""
    checkout = hashlib.sha256(str(_ROOT).encode()).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"kaimen-tests-{os.geteuid()}-{checkout}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
        raise PostgresError(f"{folder} belongs to somebody else: delete it and run again.")
    return folder


@contextmanager
def _locked(path: Path, how: int) -> Iterator[None]:
    """Hold a lock on a file (fcntl.LOCK_*).

    :raises BlockingIOError: with LOCK_NB, if another holds it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, how)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def shared_server() -> Iterator[Server]:
    """The shared cluster, started if nobody uses it yet.

    :raises PostgresError: it cannot be had; the message says why.
    """
    folder = _state_folder()
    with _locked(folder / "users", fcntl.LOCK_SH):
        with _locked(folder / "start", fcntl.LOCK_EX):
            server = _running(folder) or _start_keeper(folder)
        yield server


def template(server: Server, key: str, prepare: Callable[[str], None]) -> str:
    """The name of a database made once by ``prepare(url)``, to be copied for each test.

    ``key`` must change with what ``prepare`` does (a hash of the migrations, say): the template
    serves every worker and every run while the cluster lives. ``prepare`` must close what it opens.
    """
    name = f"template_{hashlib.sha256(key.encode()).hexdigest()[:16]}"
    with _locked(_state_folder() / name, fcntl.LOCK_EX):
        if not server.has_database(name):
            unfinished = f"{name}_new"
            server.drop_database(unfinished)
            prepare(server.create_database(unfinished))
            server.execute(f'ALTER DATABASE "{unfinished}" RENAME TO "{name}"')
    return name


def _running(folder: Path) -> Server | None:
    """The server, if its keeper lives."""
    try:
        with _locked(folder / "keeper", fcntl.LOCK_SH | fcntl.LOCK_NB):
            return None  # nobody keeps it
    except BlockingIOError:
        return _read(folder)


def _read(folder: Path) -> Server | None:
    ready = folder / "ready.json"
    if not ready.exists():
        return None
    said = json.loads(ready.read_text())
    return Server(Path(said["sockets"]), str(said["origin"]), int(said["major"]))


def _start_keeper(folder: Path) -> Server:
    (folder / "ready.json").unlink(missing_ok=True)
    log = folder / "keeper.log"
    with log.open("wb") as output:
        keeper = subprocess.Popen(
            [sys.executable, "-m", "tests.support.shared_postgres", str(folder)],
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C ends the tests, and these end the keeper
        )
    deadline = time.monotonic() + _START_S
    while keeper.poll() is None and time.monotonic() < deadline:
        if (server := _read(folder)) is not None:
            # It ends when the last user is gone, which may be another run: not ours to reap.
            keeper.returncode = 0
            return server
        time.sleep(0.01)
    keeper.kill()
    said = log.read_text(errors="replace").strip()
    raise PostgresError(said.splitlines()[-1] if said else "PostgreSQL's keeper did not start.")


def keep(folder: Path) -> None:
    """The keeper's life: start, say so, wait for the last user to leave, clean up."""
    asked_to_end: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        asked_to_end.append(number)

    signal.signal(signal.SIGTERM, end)
    with _locked(folder / "keeper", fcntl.LOCK_EX):
        _remove_orphan(folder)
        cluster, server = start_cluster()
        try:
            (folder / "orphan").write_text(str(cluster.directory))
            partial = folder / "ready.json.new"
            partial.write_text(
                json.dumps(
                    {
                        "sockets": str(server.sockets),
                        "origin": server.origin,
                        "major": server.major,
                    }
                )
            )
            partial.rename(folder / "ready.json")
            _wait_for_last_user(folder, cluster, lambda: bool(asked_to_end))
        finally:
            (folder / "ready.json").unlink(missing_ok=True)
            remove(cluster)
            (folder / "orphan").unlink(missing_ok=True)


def _wait_for_last_user(folder: Path, cluster: Cluster, ended: Callable[[], bool]) -> None:
    while cluster.running and not ended():
        time.sleep(_POLL_S)
        try:
            # Whoever comes now finds no keeper once this lock is free again, and starts one.
            with _locked(folder / "users", fcntl.LOCK_EX | fcntl.LOCK_NB):
                (folder / "ready.json").unlink(missing_ok=True)
                return
        except BlockingIOError:
            continue


def _remove_orphan(folder: Path) -> None:
    """Delete what a killed keeper left; its server ended with it (tests/support/guard.py)."""
    left = folder / "orphan"
    if left.exists():
        shutil.rmtree(left.read_text().strip(), ignore_errors=True)


if __name__ == "__main__":
    try:
        keep(Path(sys.argv[1]))
    except PostgresError as error:
        sys.exit(str(error))
