"""The rehearsal: a backup goes into a scratch database, is looked at there, and the scratch goes away.

That a file opens says that its bytes are whole. This says that an installation comes out of it: as many
rows as were there, books that balance, a log that is whole, values that this installation's secrets open,
and the keys that stores know the cloud by. The living database is not touched.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from sqlalchemy import MetaData, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlmodel import select

from cloud_api.audit import service as log
from cloud_api.audit import signing
from cloud_api.audit import verify as audit
from cloud_api.audit.models import AuditHead
from cloud_api.auth import reindex
from cloud_api.backups import dump, make, restore, service
from cloud_api.kit import key_rotation
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import vault
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_digits
from cloud_api.kit.keys import FILE as STORE_KEYS
from cloud_api.kit.keys import load_keys
from cloud_api.ledger import verify as books

_MARK: Final = "_rehearsal_"
_CA: Final = ("authority/ca.pem", "authority/ca.key")

Guards = Callable[[AsyncConnection], Awaitable[list[str]]]  # migrations stand above this package


@dataclass(slots=True)
class Rehearsed:
    """What came out of a backup. ``wrong`` has a sentence for each thing that is not as it should be."""

    name: str
    made_at: str
    rows: dict[str, int] = field(default_factory=dict)  # by table, as they came back
    counted: bool = False  # the backup says how many there were
    merchants: int = 0  # whose books were looked at
    entries: int = 0  # of the log of acts
    opened: int = 0  # sealed values
    keys: list[str] = field(default_factory=list)  # key files that fit
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)


async def rehearse(
    cloud: Cloud,
    *,
    source: Path | None,
    name: str | None,
    key: make.KeyFor,
    upgrade: restore.Upgrade,
    guards: Guards,
    metadata: MetaData,
    progress: make.Progress,
) -> Rehearsed:
    """Restore the backup ``name`` (or the newest, or the file ``source``) beside the living database.

    What is wrong stands in the outcome, and where it is one of this installation in its alarm. Raises as
    ``restore`` does for a backup that cannot be put back at all: Damaged, WrongKey, ToolFailed, ….
    """
    begun = time.monotonic()
    with make.work_folder(cloud.settings.data_dir) as work:
        sealed = await asyncio.to_thread(restore.fetch, cloud, source, name, work, progress)
        inner = await asyncio.to_thread(restore.unpack, cloud, sealed, key, work, progress)
        done = Rehearsed(sealed.name, str(inner["made_at"]))
        plain = work / "plain" / "data"
        progress.begin("database")
        async with _scratch(cloud, work, inner) as db:
            progress.begin("rows")
            await _rows(db, inner, done)
            await upgrade(db)
            await _guards(db, guards, done)
            progress.begin("books")
            await _books(db, done)
            progress.begin("keys")
            _key_files(cloud, plain, done)
            await _sealed(db, metadata, done)
            progress.begin("log")
            await _log(db, plain, done)
    done.seconds = time.monotonic() - begun
    if source is None and not await restore.is_empty(cloud):
        await _tell(cloud, done)
    return done


# ------------------------------------------------------------------------------ the scratch database


@asynccontextmanager
async def _scratch(cloud: Cloud, work: Path, inner: dict[str, Any]) -> AsyncIterator[Database]:
    """The backup's database, loaded; gone afterwards, whatever happens."""
    if cloud.db.is_sqlite:
        path = work / "scratch.db"
        await asyncio.to_thread(shutil.copyfile, work / "plain" / make.DATABASE, path)
        async with _opened(f"sqlite+aiosqlite:///{path}") as db:
            yield db
        return
    url = make_url(cloud.db.url)
    stem = f"{str(url.database or url.query.get('database') or '')[:30]}{_MARK}"
    fresh = f"{stem}{cloud.clocks.real:%Y%m%d%H%M%S}_{new_digits(4)}"
    office = create_async_engine(
        url.set(database="postgres"), isolation_level="AUTOCOMMIT", hide_parameters=True
    )
    try:
        async with office.connect() as connection:
            await _drop_left(connection, stem)
            await connection.execute(text(f'CREATE DATABASE "{fresh}" TEMPLATE template0'))
        try:
            where = url.set(database=fresh)
            await asyncio.to_thread(restore.load, cloud, where, inner, work)
            async with _opened(where.render_as_string(hide_password=False)) as db:
                yield db
        finally:
            async with office.connect() as connection:
                await connection.execute(text(f'DROP DATABASE IF EXISTS "{fresh}" WITH (FORCE)'))
    finally:
        await office.dispose()


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Database]:
    db = Database(url, pool_size=2)
    try:
        yield db
    finally:
        await db.close()


async def _drop_left(connection: AsyncConnection, stem: str) -> None:
    """Scratch databases whose rehearsal was killed: nobody is connected to them."""
    left = await connection.scalars(
        text(
            "SELECT datname FROM pg_database d WHERE starts_with(datname, :stem) AND NOT EXISTS "
            "(SELECT 1 FROM pg_stat_activity a WHERE a.datname = d.datname)"
        ),
        {"stem": stem},
    )
    for one in left.all():
        await connection.execute(text(f'DROP DATABASE IF EXISTS "{one}"'))


# --------------------------------------------------------------------------------------- the checks


async def _rows(db: Database, inner: dict[str, Any], done: Rehearsed) -> None:
    """As many rows in each table as were counted in the very state that was copied."""
    if db.is_sqlite:
        done.rows = await asyncio.to_thread(dump.rows_sqlite, dump.sqlite_path(db.url))
    else:
        async with db.snapshot() as session:
            done.rows = await dump.rows_postgres(session)
    wanted: dict[str, int] | None = inner.get("rows")
    done.counted = wanted is not None
    for table in sorted(done.rows.keys() | (wanted or {}).keys()):
        found = done.rows.get(table, 0)
        if wanted is not None and found != wanted.get(table, 0):
            done.wrong.append(f"{table} has {found} rows; {wanted.get(table, 0)} were backed up")
    if not done.rows.get("merchant"):
        done.wrong.append("there is no merchant in it")


async def _guards(db: Database, guards: Guards, done: Rehearsed) -> None:
    async with db.read() as session:
        for gone in await guards(await session.connection()):
            done.wrong.append(f"{gone} does not stand")


async def _books(db: Database, done: Rehearsed) -> None:
    async with db.snapshot() as session:
        merchants = await books.merchants(session)
        for merchant in merchants:
            for finding in await books.verify(session, merchant):
                done.wrong.append(f"books of {merchant}: {finding}")
    done.merchants = len(merchants)


def _key_files(cloud: Cloud, plain: Path, done: Rehearsed) -> None:
    """What identifies the installation to its stores can be read, and all of it that lies here is in it."""
    for label in (STORE_KEYS, signing.FILE, *_CA):
        if not (plain / label).is_file() and (cloud.settings.data_dir / label).is_file():
            done.wrong.append(f"{label} is not in it")
    readers: dict[str, Callable[[Path], object]] = {
        STORE_KEYS: load_keys,
        signing.FILE: signing.load_keys,
        _CA[1]: _authority,
    }
    for label, read in readers.items():
        if not (plain / label).is_file():
            continue
        try:
            read(plain)
        except (ValueError, OSError) as error:
            done.wrong.append(f"{label}: {error}")
        else:
            done.keys.append(label)


def _authority(plain: Path) -> None:
    certificate = x509.load_pem_x509_certificate((plain / _CA[0]).read_bytes())
    private = load_pem_private_key((plain / _CA[1]).read_bytes(), password=None)
    if certificate.public_key() != private.public_key():
        raise ValueError("the authority's certificate is not of its key")


async def _sealed(db: Database, metadata: MetaData, done: Rehearsed) -> None:
    """Phone numbers, PINs, providers' credentials: with the secrets that this process runs with."""
    done.opened, shut = await key_rotation.open_all(db, metadata, vault())
    for column, count in sorted(shut.items()):
        done.wrong.append(f"{column}: {count} values do not open with KAIMEN_SECRETS")
    async with db.read() as session:
        if not await reindex.is_right(session):
            done.wrong.append("phone numbers were indexed with another KAIMEN_INDEX_SECRET")


async def _log(db: Database, plain: Path, done: Rehearsed) -> None:
    """The log of acts, against the checkpoints and keys that are in the backup itself."""
    async with db.read() as session:
        heads = {row.merchant_id: row.seq for row in await session.exec(select(AuditHead))}
    for chain in await audit.chains(db):
        verdict = await audit.verify(db, chain, plain, upto=heads.get(chain, 0))
        done.entries += verdict.entries
        if verdict.broken:
            done.wrong.append(f"log of {chain}: {verdict.broken}")


async def _tell(cloud: Cloud, done: Rehearsed) -> None:
    """Who looks at the backups sees when one was rehearsed; a bad one raises the alarm."""
    if done.wrong:
        await service.raise_or_clear(cloud, active=True, detail=f"backup.rehearse: {done.wrong[0]}")
    async with cloud.db.write() as session:
        if not done.wrong:
            await service.verified(session, done.name, cloud.clocks.real)
        await log.record(
            session,
            System(),
            "backup.rehearse",
            merchant_id=log.INSTALLATION,
            subject=f"backup:{done.name}",
            after={"made_at": done.made_at, "wrong": done.wrong[:20]},
            clocks=cloud.clocks,
        )
