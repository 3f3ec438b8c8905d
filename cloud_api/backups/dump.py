"""The database as a stream of bytes and back: SQLite by its online backup, PostgreSQL by its own tools.

All of it blocks; it runs in threads.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

from sqlalchemy import inspect, table
from sqlalchemy.engine import URL, make_url
from sqlmodel import func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _

_PAGES: Final = 2_000
_VERSION: Final = re.compile(r"(\d+)(?:\.\d+)*")


class ToolFailed(KaimenError):
    """pg_dump or pg_restore gave up; its last words."""

    def __init__(self, tool: str, said: str) -> None:
        last = said.strip().splitlines()[-1:] or [_("没有说明")]
        super().__init__("backup.tool_failed", f"{tool}: {last[0][:300]}")


# ------------------------------------------------------------------------------------------ SQLite


def sqlite_path(url: str) -> Path:
    """The file of ``sqlite+aiosqlite:///path``."""
    return Path(url.partition("///")[2])


def copy_sqlite(source: Path, target: Path, heard: Callable[[int, int], None]) -> None:
    """A consistent copy while others write. ``heard`` gets pages done and in all.

    The source's read transaction is held for the copy, so that writers do not make it start again.
    """
    with (
        closing(sqlite3.connect(f"file:{quote(str(source))}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(target)) as copy,
    ):
        live.isolation_level = None
        live.execute("BEGIN")
        live.execute("SELECT count(*) FROM sqlite_master").fetchone()
        live.backup(
            copy,
            pages=_PAGES,
            progress=lambda _status, left, total: heard(total - left, total),
            sleep=0,
        )
        live.execute("ROLLBACK")


def check_sqlite(path: Path) -> None:
    """Raise KaimenError ``backup.damaged`` unless the file is a sound database."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as copy:
            said = copy.execute("PRAGMA integrity_check(1)").fetchone()[0]
            broken = copy.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.DatabaseError as error:
        raise KaimenError(
            "backup.damaged", _("数据库文件坏了：{error}").format(error=error)
        ) from error
    if said != "ok" or broken is not None:
        raise KaimenError(
            "backup.damaged", _("数据库文件坏了：{x}").format(x=said if said != "ok" else broken)
        )


def rows_sqlite(path: Path) -> dict[str, int]:
    """How many rows each table of a file holds."""
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
        names = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        ).fetchall()
        return {
            name: db.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0]  # noqa: S608  its own
            for (name,) in sorted(names)
        }


def is_empty_sqlite(path: Path) -> bool:
    """Whether there is no database yet, or one in which no merchant was made."""
    if not path.exists() or path.stat().st_size == 0:
        return True
    with closing(sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)) as db:
        tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
        return "merchant" not in tables or (
            db.execute("SELECT 1 FROM merchant LIMIT 1").fetchone() is None
        )


def close_sqlite(path: Path) -> None:
    """Fold the write-ahead log into the file. Raises KaimenError ``restore.in_use``."""
    if not path.exists():
        return
    with closing(sqlite3.connect(path, timeout=1)) as db:
        try:
            # Leaving WAL needs the file alone: it fails while any other process has it open.
            mode = db.execute("PRAGMA journal_mode=DELETE").fetchone()[0]
        except sqlite3.OperationalError:
            mode = "wal"
    if mode != "delete":
        raise in_use()


def in_use() -> KaimenError:
    """Somebody works with the database that is to be replaced."""
    return KaimenError(
        "restore.in_use", "数据库还在用：先停掉 kaimen-cloud serve 和 worker，再恢复", status=409
    )


# -------------------------------------------------------------------------------------- PostgreSQL


async def rows_postgres(session: AsyncSession) -> dict[str, int]:
    """How many rows each table holds."""
    connection = await session.connection()
    names = await connection.run_sync(lambda one: sorted(inspect(one).get_table_names()))
    found = {}
    for name in names:
        count = await session.scalar(select(func.count()).select_from(table(name)))
        found[name] = int(count or 0)
    return found


def environment(url: str | URL) -> dict[str, str]:
    """What libpq's programs need to reach the database of an SQLAlchemy URL; no secret in arguments."""
    parts = make_url(url)
    query = {key: value for key, value in parts.query.items() if isinstance(value, str)}
    told = {
        "PGHOST": query.get("host") or parts.host,
        "PGPORT": query.get("port") or (str(parts.port) if parts.port else None),
        "PGUSER": query.get("user") or parts.username,
        "PGPASSWORD": query.get("password") or parts.password,
        "PGDATABASE": query.get("database") or parts.database,
        "PGSSLMODE": query.get("sslmode") or query.get("ssl"),
    }
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
    own = {key: value for key, value in os.environ.items() if key.startswith("PGSSL")}
    return kept | own | {key: value for key, value in told.items() if value}


def tool(name: str, server_major: int, folder: Path | None) -> Path:
    """``pg_dump`` or ``pg_restore``, not older than the server. Raises KaimenError ``backup.no_tool``."""
    places = [folder / name] if folder is not None else []
    on_path = shutil.which(name)
    if folder is None:
        places += sorted(Path("/").glob(f"usr/lib/postgresql/*/bin/{name}"), reverse=True)
        places += [Path(on_path)] if on_path else []
    seen = []
    for place in places:
        if not place.exists():
            continue
        said = subprocess.run(
            [str(place), "--version"], capture_output=True, text=True, check=False, timeout=20
        ).stdout
        version = _VERSION.search(said)
        if version and int(version[1]) >= server_major:
            return place
        seen.append(said.strip())
    found = _("（找到的是 {join}）").format(join="；".join(seen)) if seen else ""
    raise KaimenError(
        "backup.no_tool",
        _(
            "缺少 {name} {server_major} 或更新的版本{found}：装 postgresql-client，或用 KAIMEN_POSTGRES_BIN 指到它的文件夹"
        ).format(name=name, server_major=server_major, found=found),
    )


@contextmanager
def dumping(pg_dump: Path, url: str, snapshot: str) -> Iterator[IO[bytes]]:
    """``pg_dump``'s output in its custom format, of what an exported ``snapshot`` shows.

    Raises ToolFailed at the end if it did not finish.
    """
    command = [
        str(pg_dump),
        "--format=custom",
        "--no-owner",
        "--no-privileges",
        "--lock-wait-timeout=60000",
        f"--snapshot={snapshot}",
    ]
    with _running(command, environment(url), stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        yield process.stdout


class Restoring:
    """``pg_restore`` into the database of ``url``, fed by ``write``; ``close`` waits for its verdict.

    One transaction: after a failure the database is as it was.
    """

    def __init__(self, pg_restore: Path, url: str | URL) -> None:
        database = environment(url)["PGDATABASE"]
        self._context = _running(
            [
                str(pg_restore),
                "--format=custom",
                "--no-owner",
                "--no-privileges",
                "--exit-on-error",
                "--single-transaction",
                f"--dbname={database}",
            ],
            environment(url),
            stdin=subprocess.PIPE,
        )
        self._process = self._context.__enter__()

    def write(self, data: bytes) -> int:
        """Feed; a broken pipe is told by ``close`` in the program's own words."""
        assert self._process.stdin is not None
        try:
            return self._process.stdin.write(data)
        except BrokenPipeError:
            return len(data)

    def close(self) -> None:
        """Wait for the end. Raises ToolFailed."""
        self._context.__exit__(None, None, None)

    def abort(self) -> None:
        """Give up: the transaction rolls back."""
        self._process.kill()
        self._process.wait()


def list_dump(pg_restore: Path, source: IO[bytes]) -> None:
    """Raise ToolFailed unless ``pg_restore`` can read the dump."""
    command = [str(pg_restore), "--format=custom", "--file=/dev/null"]
    with _running(command, environment("postgresql://"), stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        try:
            shutil.copyfileobj(source, process.stdin)
        except BrokenPipeError:
            while source.read(1 << 20):
                pass


@contextmanager
def _running(
    command: list[str], env: dict[str, str], *, stdin: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A program of PostgreSQL; its complaints go to a file, since a full pipe would stop it."""
    with (
        tempfile.TemporaryFile() as complaints,
        subprocess.Popen(
            command, stdin=stdin, stdout=subprocess.PIPE, stderr=complaints, env=env
        ) as process,
    ):
        try:
            yield process
        except BaseException:
            process.kill()
            raise
        if process.stdin is not None:
            with suppress(BrokenPipeError):
                process.stdin.close()
        if process.stdout is not None:
            while process.stdout.read(1 << 16):
                pass
        code = process.wait()
        if code != 0:
            complaints.seek(0)
            raise ToolFailed(Path(command[0]).name, complaints.read().decode(errors="replace"))
