"""Putting a backup back: into a fresh database, looked at, and only then in the place of the old one.

Whatever fails before the exchange leaves the old database as it was; what it held afterwards stands
beside it until the owner deletes it. After a restore the cloud knows less than its stores saw, so every
desired document gets a later epoch and is published anew (stores refuse an older one).
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from sqlalchemy import text, update
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import checkpoints, service
from cloud_api.audit import verify as audit
from cloud_api.audit.models import AuditHead
from cloud_api.backups import archive, dump, make, shelf
from cloud_api.backups.models import BackupRun
from cloud_api.backups.sealed import Opener
from cloud_api.backups.storage import open_storage
from cloud_api.devices.models import StoreStatus
from cloud_api.kit.actor import System
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.files import write_whole
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_digits

Upgrade = Callable[[Database], Any]  # migrations stand above this package
RaiseEpochs = Callable[[AsyncSession, Clocks], Any]  # and so does the channel to the stores


@dataclass(slots=True)
class Restored:
    """What was put back, and what the owner should know."""

    name: str
    made_at: str
    old: str = ""  # where the old database stands now
    files: list[str] = field(default_factory=list)  # files that were missing and are back
    kept: list[str] = field(default_factory=list)  # files that are there and others: left alone
    stores: int = 0  # whose epoch was raised
    chains: list[audit.Verdict] = field(default_factory=list)


async def restore(
    cloud: Cloud,
    *,
    source: Path | None,
    name: str | None,
    key: make.KeyFor,
    force: bool,
    upgrade: Upgrade,
    raise_epochs: RaiseEpochs,
    progress: make.Progress,
) -> Restored:
    """Put the backup ``name`` (or the newest, or the file ``source``) back.

    Raises KaimenError ``restore.not_empty`` (409) for a database with data unless ``force``,
    ``restore.in_use`` while anybody works with it, ``restore.audit_broken`` or ``restore.too_new`` for a
    backup that should not be used; Damaged, WrongKey. Then nothing was changed.
    """
    if not force and not await is_empty(cloud):
        raise KaimenError(
            "restore.not_empty",
            "数据库里有数据。确定要换成备份里的，就加 --force；现在的会留在旁边",
            status=409,
        )
    with make.work_folder(cloud.settings.data_dir) as work:
        sealed = await asyncio.to_thread(fetch, cloud, source, name, work, progress)
        inner = await asyncio.to_thread(unpack, cloud, sealed, key, work, progress)
        restored = Restored(sealed.name, str(inner["made_at"]))
        progress.begin("files")
        _put_back_files(cloud, work, restored)
        progress.begin("database")
        if cloud.db.is_sqlite:
            await _sqlite(cloud, work, restored, upgrade, raise_epochs)
        else:
            await _postgres(cloud, work, inner, restored, upgrade, raise_epochs)
    return restored


async def is_empty(cloud: Cloud) -> bool:
    """Whether the configured database holds no merchant."""
    if cloud.db.is_sqlite:
        return await asyncio.to_thread(dump.is_empty_sqlite, dump.sqlite_path(cloud.db.url))
    async with cloud.db.read() as session:
        there = await session.scalar(text("SELECT to_regclass('merchant') IS NOT NULL"))
        if not there:
            return True
        return await session.scalar(text("SELECT 1 FROM merchant LIMIT 1")) is None


def fetch(
    cloud: Cloud, source: Path | None, name: str | None, work: Path, progress: make.Progress
) -> Path:
    """The sealed file: ``source``, or the backup ``name`` (or the newest) brought into ``work``."""
    if source is not None:
        if not source.is_file():
            raise KaimenError(
                "backup.none", _("没有文件 {source}").format(source=source), status=404
            )
        return source
    storage = open_storage(cloud.settings)
    backup = shelf.one(storage, name)
    progress.begin("fetch", backup.size)
    storage.get(backup.name, work / backup.name)
    return work / backup.name


def unpack(
    cloud: Cloud, sealed: Path, key: make.KeyFor, work: Path, progress: make.Progress
) -> dict[str, Any]:
    """Everything into ``work/plain``, each hash compared, the database looked at; the manifest inside.

    Raises Damaged, WrongKey, KaimenError ``restore.other_engine``.
    """

    def sink(path: str) -> IO[bytes]:
        target = work / "plain" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        return target.open("wb")

    progress.begin("check")
    with sealed.open("rb") as file:
        opener = Opener(file, key(make.header_of(sealed)))
        inner = archive.read(cast(IO[bytes], opener), sink, progress.heard)
    wanted = "sqlite" if cloud.db.is_sqlite else "postgresql"
    if inner["engine"] != wanted:
        raise KaimenError(
            "restore.other_engine",
            _("这份备份是 {inner} 的，现在用的是 {wanted}").format(
                inner=inner["engine"], wanted=wanted
            ),
        )
    make.check_database(cloud, inner, work / "plain" / make.DATABASE)
    return inner


# -------------------------------------------------------------------------------- the two databases


async def _sqlite(
    cloud: Cloud, work: Path, restored: Restored, upgrade: Upgrade, raise_epochs: RaiseEpochs
) -> None:
    path = dump.sqlite_path(cloud.db.url)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.restored-{os.getpid()}")
    for leftover in path.parent.glob(f"{fresh.name}*"):
        leftover.unlink()
    shutil.copyfile(work / "plain" / make.DATABASE, fresh)
    fresh.chmod(0o600)
    try:
        db = Database(f"sqlite+aiosqlite:///{fresh}")
        try:
            await _make_ready(cloud, db, restored, upgrade, raise_epochs)
        finally:
            await db.close()
        await asyncio.to_thread(dump.close_sqlite, fresh)
        await cloud.db.close()  # our own look at the old one
        await asyncio.to_thread(dump.close_sqlite, path)
        if path.exists() and path.stat().st_size:
            old = path.with_name(f"{path.name}.before-{cloud.clocks.real:%Y%m%dT%H%M%SZ}")
            path.replace(old)
            restored.old = str(old)
        fresh.replace(path)
    finally:
        for leftover in path.parent.glob(f"{fresh.name}*"):
            leftover.unlink()


async def _postgres(
    cloud: Cloud,
    work: Path,
    inner: dict[str, Any],
    restored: Restored,
    upgrade: Upgrade,
    raise_epochs: RaiseEpochs,
) -> None:
    url = make_url(cloud.db.url)
    name = str(url.database or url.query.get("database") or "")
    stamp = f"{cloud.clocks.real:%Y%m%d%H%M%S}_{new_digits(4)}"
    fresh, old = f"{name[:36]}_new_{stamp}", f"{name[:36]}_old_{stamp}"
    empty = await is_empty(cloud)
    await cloud.db.close()
    office = create_async_engine(
        url.set(database="postgres"), isolation_level="AUTOCOMMIT", hide_parameters=True
    )
    try:
        async with office.connect() as connection:
            await _free(connection, name)
            await _run(connection, f'CREATE DATABASE "{fresh}" TEMPLATE template0')
            try:
                await asyncio.to_thread(load, cloud, url.set(database=fresh), inner, work)
                db = Database(url.set(database=fresh).render_as_string(hide_password=False))
                try:
                    await _make_ready(cloud, db, restored, upgrade, raise_epochs)
                finally:
                    await db.close()
                await _free(connection, name)
                await _run(connection, f'ALTER DATABASE "{name}" RENAME TO "{old}"')
                try:
                    await _run(connection, f'ALTER DATABASE "{fresh}" RENAME TO "{name}"')
                except BaseException:
                    await _run(connection, f'ALTER DATABASE "{old}" RENAME TO "{name}"')
                    raise
            except BaseException:
                with suppress(Exception):
                    await _run(connection, f'DROP DATABASE IF EXISTS "{fresh}" WITH (FORCE)')
                raise
            if empty:
                await _run(connection, f'DROP DATABASE "{old}"')
            else:
                restored.old = old
    finally:
        await office.dispose()


async def _free(connection: AsyncConnection, name: str) -> None:
    """Raise unless nobody is connected to the database."""
    others = await connection.scalar(
        text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = :name "
            "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        ),
        {"name": name},
    )
    if others:
        raise dump.in_use()


async def _run(connection: AsyncConnection, statement: str) -> None:
    await connection.execute(text(statement))


def load(cloud: Cloud, url: URL, inner: dict[str, Any], work: Path) -> None:
    """What ``unpack`` laid down into the empty database of ``url``. Raises ToolFailed."""
    pg_restore = dump.tool("pg_restore", inner["server_major"], cloud.settings.postgres_bin)
    feed = dump.Restoring(pg_restore, url)
    try:
        with (work / "plain" / make.DATABASE).open("rb") as source:
            shutil.copyfileobj(source, cast(IO[bytes], feed), 1 << 20)
    except BaseException:
        feed.abort()
        raise
    feed.close()


# ----------------------------------------------------------------------------- after it was loaded


async def _make_ready(
    cloud: Cloud,
    db: Database,
    restored: Restored,
    upgrade: Upgrade,
    raise_epochs: RaiseEpochs,
) -> None:
    """Present schema and guards, later epochs, a chain that is whole, and a mark of what happened."""
    await upgrade(db)
    data_dir = cloud.settings.data_dir
    async with db.read() as session:
        heads = {row.merchant_id: row for row in await session.exec(select(AuditHead))}
    for merchant_id in await audit.chains(db):
        # Checkpoints kept beside the database are of the time after the backup: explained below.
        head = heads.get(merchant_id)
        verdict = await audit.verify(db, merchant_id, data_dir, upto=head.seq if head else 0)
        restored.chains.append(verdict)
    broken = [one for one in restored.chains if one.broken]
    if broken:
        raise KaimenError(
            "restore.audit_broken",
            _("备份里的操作记录不完整（{merchant_id}：{broken}），没有恢复").format(
                merchant_id=broken[0].merchant_id, broken=broken[0].broken
            ),
            status=409,
        )
    async with db.write() as session:
        restored.stores = await raise_epochs(session, cloud.clocks)
        await session.exec(
            update(StoreStatus).values(online=False, nonce=None)  # until they report again
        )
        await session.exec(
            update(BackupRun)
            .where(col(BackupRun.state).in_(("asked", "running")))
            .values(state="failed", error="restore.interrupted", reported=True)
        )
    # Also chains that had not begun then: what was signed of them since is of the lost part.
    known = {one.merchant_id for one in checkpoints.kept(data_dir)}
    for merchant_id in sorted(known.union(await audit.chains(db))):
        async with db.write() as session:
            await checkpoints.sign(session, merchant_id, "restore", cloud.clocks, data_dir)
    async with db.write() as session:
        await service.record(
            session,
            System(),
            "backup.restore",
            merchant_id=service.INSTALLATION,
            subject=f"backup:{restored.name}",
            after={"made_at": restored.made_at, "stores": restored.stores},
            clocks=cloud.clocks,
        )


def _put_back_files(cloud: Cloud, work: Path, restored: Restored) -> None:
    """Media and keys: what is missing comes back, what is there stays."""
    for prefix, folder in (("media", cloud.settings.media_dir), ("data", cloud.settings.data_dir)):
        source = work / "plain" / prefix
        for path in archive.files_below(source, lambda _path: False):
            target = folder / path.relative_to(source)
            label = f"{prefix}/{path.relative_to(source).as_posix()}"
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_whole(target, path.read_bytes())
                restored.files.append(label)
            elif target.read_bytes() != path.read_bytes():
                restored.kept.append(label)
