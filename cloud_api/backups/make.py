"""Making a backup: database, media and keys into one sealed file, into the storage, and looked at again.

Nothing plain is left behind: of SQLite a copy lies in a closed folder while it is sealed; PostgreSQL's
dump goes from its program straight into the seal. Done again after any failure, it starts anew.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any, Final, cast

from sqlalchemy import inspect, text
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import checkpoints, signing
from cloud_api.backups import archive, dump, shelf
from cloud_api.backups.key import OwnerKey, from_settings
from cloud_api.backups.retention import Keep
from cloud_api.backups.sealed import Opener, Sealer, read_header
from cloud_api.backups.storage import Storage, open_storage
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.ids import new_token

DATABASE: Final = "database"  # the member's path
_MEDIA: Final = "media"
_DATA: Final = "data"
_WORK: Final = ".backup-work"
# Of data_dir: what identifies the installation to its stores and checks its audit.
KEYS: Final = ("keys.json", "audit-keys.json", "audit-checkpoints.jsonl", "authority")


KeyFor = Callable[[dict[str, Any]], OwnerKey]  # from a backup's header


@dataclass(slots=True)
class Progress:
    """How far a run came; written by its thread, read by who shows it."""

    stage: str = ""
    done_bytes: int = 0
    total_bytes: int | None = None
    stopped: bool = False
    told: Callable[[str], None] | None = None  # hears each stage as it begins

    def begin(self, stage: str, total: int | None = None) -> None:
        """A new stage."""
        if self.told is not None:
            self.told(stage)
        self.stage, self.done_bytes, self.total_bytes = stage, 0, total

    def heard(self, count: int) -> None:
        """So many bytes more."""
        if self.stopped:
            raise KaimenError("backup.stopped", "备份被中断了")
        self.done_bytes += count


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made, stored and found again."""

    name: str
    place: str
    manifest: dict[str, Any]
    gone: list[str]  # what retention deleted


async def make(cloud: Cloud, progress: Progress) -> Made:
    """Make a backup now. Raises KaimenError (no key, no storage, damaged database, …)."""
    settings = cloud.settings
    storage, key = open_storage(settings), from_settings(settings)
    signing.load_keys(settings.data_dir)  # make them now, so that they are in it
    await checkpoints.sign_all(cloud)
    async with _frozen(cloud) as (session, snapshot):
        connection = await session.connection()
        migrated = await connection.run_sync(lambda one: inspect(one).has_table("alembic_version"))
        revision = None
        if migrated:
            revision = await session.scalar(text("SELECT version_num FROM alembic_version"))
        major, rows = 0, {}
        if not cloud.db.is_sqlite:
            number = await session.scalar(text("SHOW server_version_num"))
            major = int(str(number)) // 10_000
            rows = await dump.rows_postgres(session)
        facts = {
            "engine": "sqlite" if cloud.db.is_sqlite else "postgresql",
            "server_major": major,
            "revision": revision,
            "made_at": cloud.clocks.real.isoformat(),
        }
        source = _Source(facts, rows, snapshot)
        if cloud.db.is_sqlite:
            await session.rollback()  # the copy takes a state of its own, and counts in that
        return await asyncio.to_thread(_make, cloud, storage, key, source, progress)


@dataclass(slots=True)
class _Source:
    """What is copied: facts that anybody may read, and how many rows there are, which goes inside."""

    facts: dict[str, Any]
    rows: dict[str, int]
    snapshot: str  # PostgreSQL's name of the state that the rows were counted in


@asynccontextmanager
async def _frozen(cloud: Cloud) -> AsyncIterator[tuple[AsyncSession, str]]:
    """A look at one state, for ``pg_dump`` as well, so that what comes back can be counted against it."""
    async with cloud.db.snapshot() as session:
        if cloud.db.is_sqlite:
            yield session, ""
            return
        # This connection says nothing while the dump is made: it is not to be ended for that.
        await session.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        yield session, str(await session.scalar(text("SELECT pg_export_snapshot()")))


def _make(
    cloud: Cloud, storage: Storage, key: OwnerKey, source: _Source, progress: Progress
) -> Made:
    settings, facts = cloud.settings, source.facts
    made_at = datetime.fromisoformat(facts["made_at"])
    name = f"kaimen-{made_at:%Y%m%dT%H%M%SZ}-{hashlib.sha256(new_token().encode()).hexdigest()[:8]}"
    name += shelf.SUFFIX
    with work_folder(settings.data_dir) as work:
        sealed = work / name
        with sealed.open("wb") as file:
            sealer = Sealer(file, key, facts)
            writer = archive.Writer(cast(IO[bytes], sealer), progress.heard)
            _add_database(cloud, writer, source, work, progress)
            progress.begin("media")
            for folder, prefix, paths in (
                (settings.media_dir, _MEDIA, _media(settings.media_dir)),
                (settings.data_dir, _DATA, _keys(settings.data_dir)),
            ):
                for path in paths:
                    with path.open("rb") as file_:
                        writer.add(f"{prefix}/{path.relative_to(folder).as_posix()}", file_)
            inner = writer.finish(facts | {"rows": source.rows})
            sealer.finish()
            file.flush()
            os.fsync(file.fileno())
        size = sealed.stat().st_size
        manifest = {
            "name": name,
            "size": size,
            "sha256": _sha256(sealed),
            "key_id": key.id,
            "members": len(inner["members"]),
            "plain_bytes": sum(one["size"] for one in inner["members"]),
            **facts,
        }
        progress.begin("upload", size)
        storage.put(name, sealed, progress.heard)
        progress.begin("check", size)
        _look_again(storage, name, manifest, work)
        storage.put_bytes(f"{name}.json", json.dumps(manifest, indent=1).encode())
    progress.begin("retention")
    keep = Keep(
        settings.backup_keep_daily, settings.backup_keep_weekly, settings.backup_keep_monthly
    )
    gone = shelf.sweep(storage, keep, settings.timezone, made_at)
    return Made(name, storage.place, manifest, gone)


def _add_database(
    cloud: Cloud, writer: archive.Writer, source: _Source, work: Path, progress: Progress
) -> None:
    if cloud.db.is_sqlite:
        copy = work / "cloud.db"

        def pages(done: int, total: int) -> None:
            progress.done_bytes, progress.total_bytes = done, total

        progress.begin("dump")
        dump.copy_sqlite(dump.sqlite_path(cloud.db.url), copy, pages)
        dump.check_sqlite(copy)
        source.rows = dump.rows_sqlite(copy)
        progress.begin("dump", copy.stat().st_size)
        with copy.open("rb") as copied:
            writer.add(DATABASE, copied)
        copy.unlink()
        return
    progress.begin("dump")
    pg_dump = dump.tool("pg_dump", source.facts["server_major"], cloud.settings.postgres_bin)
    with dump.dumping(pg_dump, cloud.db.url, source.snapshot) as dumped:
        writer.add(DATABASE, dumped)


def _look_again(storage: Storage, name: str, manifest: dict[str, Any], work: Path) -> None:
    """What the storage gives back must be what was sealed."""
    back = work / "back"
    storage.get(name, back)
    if back.stat().st_size != manifest["size"] or _sha256(back) != manifest["sha256"]:
        storage.delete(name)
        raise KaimenError("backup.storage", "备份存储里的文件和写进去的不一样，已删除")
    back.unlink()


def verify(cloud: Cloud, name: str | None, key: KeyFor, progress: Progress) -> dict[str, Any]:
    """Fetch a backup (the newest without ``name``), open all of it and look into its database.

    Returns the manifest inside. Raises Damaged, WrongKey, KaimenError ``backup.none``. Blocks.
    """
    storage = open_storage(cloud.settings)
    backup = shelf.one(storage, name)
    with work_folder(cloud.settings.data_dir) as work:
        sealed, database = work / backup.name, work / DATABASE
        progress.begin("fetch", backup.size)
        storage.get(backup.name, sealed)
        progress.begin("check", backup.manifest.get("plain_bytes"))
        with sealed.open("rb") as file:
            opener = Opener(file, key(header_of(sealed)))
            inner = archive.read(
                cast(IO[bytes], opener),
                lambda path: database.open("wb") if path == DATABASE else None,
                progress.heard,
            )
        check_database(cloud, inner, database)
        return {"name": backup.name, **inner}


def check_database(cloud: Cloud, inner: dict[str, Any], database: Path) -> None:
    """Raise unless the dump at ``database`` can be put back."""
    if inner["engine"] == "sqlite":
        dump.check_sqlite(database)
        return
    pg_restore = dump.tool("pg_restore", inner["server_major"], cloud.settings.postgres_bin)
    with database.open("rb") as source:
        dump.list_dump(pg_restore, source)


def header_of(sealed: Path) -> dict[str, Any]:
    """The header of a sealed file. Raises Damaged."""
    with sealed.open("rb") as file:
        return read_header(file.readline(64) + file.readline(4096))


@contextmanager
def work_folder(data_dir: Path) -> Iterator[Path]:
    """A folder of our own that is gone afterwards, whatever happens; what a crash left goes first."""
    parent = data_dir / _WORK
    parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    for left in parent.iterdir():
        if not _lives(left.name):
            shutil.rmtree(left, ignore_errors=True)
    folder = parent / f"{os.getpid()}-{new_token(64)}"
    folder.mkdir(mode=0o700)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _lives(name: str) -> bool:
    pid = name.partition("-")[0]
    return pid.isdigit() and Path(f"/proc/{pid}").exists()


def _media(folder: Path) -> Iterator[Path]:
    return archive.files_below(folder, lambda path: path.name.endswith(".part"))


def _keys(folder: Path) -> Iterator[Path]:
    for name in KEYS:
        path = folder / name
        if path.is_dir():
            yield from archive.files_below(path, lambda one: one.name == ".lock")
        elif path.is_file():
            yield path


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
