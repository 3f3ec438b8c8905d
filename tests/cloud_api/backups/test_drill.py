"""The drill: a cloud is lost and comes back from its backup, on both databases; its stores follow."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlmodel import col, select, text

from cloud_api.audit import checkpoints
from cloud_api.audit import verify as audit
from cloud_api.audit.models import AuditEntry
from cloud_api.audit.service import INSTALLATION, record
from cloud_api.auth.models import Account
from cloud_api.backups import dump, key, make, rehearse, restore, service
from cloud_api.backups.models import BackupRun
from cloud_api.devices.models import StoreStatus
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import Vault, use_vault, vault
from cloud_api.kit.database import Database
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.keys import load_keys
from cloud_api.kit.models import AlarmSignal
from cloud_api.merchants.models import Merchant
from cloud_api.migrations import guards, runner
from cloud_api.migrations.tables import metadata
from cloud_api.store_channel import desired
from cloud_api.store_channel.authority import load_authority
from cloud_api.store_channel.models import DesiredDoc
from cloud_api.stored_value.models import Wallet
from cloud_api.stores.models import Store
from cloud_api.worker import register_jobs
from store_link.clock import ManualClock
from tests.cloud_api.audit.test_record import OWNER
from tests.cloud_api.conftest import VAULT
from tests.cloud_api.factories import Shop, make_store
from tests.support.postgres import Server


def migrate(url: str) -> None:
    """The whole schema by migrations, whatever loop is running."""

    async def act() -> None:
        db = Database(url)
        await runner.upgrade(db)
        await db.close()

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, act()).result()


def of_migrations() -> str:
    """Changes with every migration."""
    digest = hashlib.sha256()
    for path in sorted((runner.FOLDER / "versions").glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with the whole schema."""
    path = tmp_path_factory.mktemp("migrated") / "cloud.db"
    migrate(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
def db_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database whose schema came by migrations, as in an installation."""
    if request.param == "sqlite":
        (tmp_path / "db").mkdir()
        shutil.copyfile(request.getfixturevalue("migrated"), tmp_path / "db" / "cloud.db")
        yield f"sqlite+aiosqlite:///{tmp_path}/db/cloud.db"
        return
    server: Server = request.getfixturevalue("pg_server")
    template = request.getfixturevalue("pg_template")(f"drill {of_migrations()}", migrate)
    url: str = request.getfixturevalue("make_pg_database")(template)
    yield url
    for left in databases(server, url.split("/")[3].partition("?")[0]):
        server.drop_database(left)


def databases(server: Server, prefix: str) -> list[str]:
    async def ask() -> list[str]:
        connection = await asyncpg.connect(
            host=str(server.sockets), user="kaimen", database="postgres"
        )
        try:
            rows = await connection.fetch(
                "SELECT datname FROM pg_database WHERE starts_with(datname, $1)", prefix
            )
            return [row["datname"] for row in rows]
        finally:
            await connection.close()

    with concurrent.futures.ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, ask()).result()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Both engines."""
    if "db_url" in metafunc.fixturenames:
        metafunc.parametrize("db_url", ["sqlite", "postgresql"], indirect=True)


@dataclass
class Drill:
    """An installation with a store and one good backup, made at noon."""

    cloud: Cloud
    shop: Shop
    run: BackupRun

    async def restore(self, **changes: Any) -> restore.Restored:
        """As ``kaimen-cloud restore`` does it."""
        options: dict[str, Any] = {
            "source": None,
            "name": None,
            "key": lambda header: key.for_header(self.cloud.settings, header, None),
            "force": False,
            "upgrade": runner.upgrade,
            "raise_epochs": desired.raise_epochs,
            "progress": make.Progress(),
        }
        return await restore.restore(self.cloud, **(options | changes))


@pytest.fixture
async def drill(backed: Cloud) -> Drill:
    now = backed.clocks.now
    async with backed.db.write() as session:
        shop = await make_store(session, now)
        session.add(
            DesiredDoc(
                store_id=shop.store.id,
                merchant_id=shop.merchant.id,
                epoch=3,
                rev=7,
                payload=b"as published",
                content_hash="x",
                published_at=now,
            )
        )
        await note(backed, session, shop.merchant.id, "before")
    async with backed.db.write() as session:
        run = BackupRun(slot="drill", by="system", created_at=now)
        session.add(run)
    run = await service.perform(backed, run)
    assert run.state == "good", run.error
    return Drill(backed, shop, run)


async def note(cloud: Cloud, session: Any, merchant: str, subject: str) -> None:
    await record(
        session,
        OWNER,
        "store.edit",
        merchant_id=merchant,
        subject=f"store:{subject}",
        clocks=cloud.clocks,
    )


async def names(db: Database) -> list[str]:
    async with db.read() as session:
        return list((await session.exec(select(col(Store.name)))).all())


async def destroy(cloud: Cloud) -> None:
    """The database is gone; an empty one is there, as on a new machine."""
    if cloud.db.is_sqlite:
        await cloud.db.close()
        path = Path(cloud.db.url.partition("///")[2])
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()
    else:
        async with cloud.db.engine.begin() as connection:
            await connection.execute(text("DROP SCHEMA public CASCADE"))
            await connection.execute(text("CREATE SCHEMA public"))


async def test_a_lost_cloud_comes_back(drill: Drill, wire: ManualClock):
    cloud = drill.cloud
    wire.pass_time(3600)
    async with cloud.db.write() as session:  # what happened after the backup is lost
        session.add(Merchant(name="后来的", created_at=cloud.clocks.now))
        await note(cloud, session, drill.shop.merchant.id, "after")
    await checkpoints.sign_all(cloud)
    keys = (cloud.settings.data_dir / "keys.json").read_bytes()
    await destroy(cloud)
    (cloud.settings.data_dir / "keys.json").unlink()
    (cloud.settings.media_dir / "room.jpg").unlink()
    (cloud.settings.media_dir / "new.jpg").write_bytes(b"made after the backup")

    done = await drill.restore()

    assert done.name == drill.run.name
    assert await names(cloud.db) == [drill.shop.store.name]
    assert sorted(done.files) == ["data/keys.json", "media/room.jpg"]
    assert (cloud.settings.data_dir / "keys.json").read_bytes() == keys
    load_keys(cloud.settings.data_dir)
    assert (cloud.settings.media_dir / "new.jpg").exists()
    async with cloud.db.read() as session:
        connection = await session.connection()
        assert await guards.missing(connection) == []
        assert await runner.is_current(connection)
        doc = (await session.exec(select(DesiredDoc))).one()
        status = (await session.exec(select(StoreStatus))).one()
        waiting = await session.execute(text("SELECT stream FROM outbox WHERE topic = 'desired'"))
        subjects = (
            await session.exec(
                select(col(AuditEntry.subject)).where(col(AuditEntry.merchant_id) != INSTALLATION)
            )
        ).all()
        run = (await session.exec(select(BackupRun))).one()
    # The later epoch makes ours the newer document, and it is built and sealed anew.
    assert (doc.epoch, doc.rev, doc.content_hash, doc.published_at) == (4, 7, "", None)
    assert waiting.scalars().all() == [drill.shop.store.id]
    assert (status.online, status.nonce) == (False, None)
    assert subjects == ["store:before"]
    assert run.state == "failed"  # as the database was copied, this very run was on its way
    # The chain says what was lost and goes on.
    async with cloud.db.write() as session:
        await note(cloud, session, drill.shop.merchant.id, "again")
    for chain in await audit.chains(cloud.db):
        verdict = await audit.verify(cloud.db, chain, cloud.settings.data_dir)
        assert verdict.broken == "", verdict
    verdict = await audit.verify(cloud.db, drill.shop.merchant.id, cloud.settings.data_dir)
    assert (verdict.entries, len(verdict.notes)) == (2, 1)
    # And again: the same backup serves as often as it must, and the epoch rises each time.
    wire.pass_time(60)
    again = await drill.restore(force=True)
    assert again.old
    async with cloud.db.read() as session:
        assert (await session.exec(select(col(AuditEntry.subject)))).first() is not None
        assert await session.scalar(text("SELECT count(*) FROM audit_entry")) == 2


async def test_a_database_with_data_is_not_overwritten_by_mistake(drill: Drill):
    cloud = drill.cloud
    async with cloud.db.write() as session:
        session.add(Merchant(name="后来的", created_at=cloud.clocks.now))
    with pytest.raises(KaimenError) as refused:
        await drill.restore()
    assert refused.value.code == "restore.not_empty"
    async with cloud.db.read() as session:
        assert len((await session.exec(select(Merchant))).all()) == 2
    done = await drill.restore(force=True)
    async with cloud.db.read() as session:
        assert len((await session.exec(select(Merchant))).all()) == 1
    old = (
        f"sqlite+aiosqlite:///{done.old}"
        if cloud.db.is_sqlite
        else cloud.db.url.replace(cloud.db.url.split("/")[3].partition("?")[0], done.old)
    )
    aside = Database(old)
    async with aside.read() as session:
        assert len((await session.exec(select(Merchant))).all()) == 2
    await aside.close()


async def test_nothing_is_touched_while_somebody_works_with_it(drill: Drill):
    other = Database(drill.cloud.db.url)
    async with other.read() as session:
        assert len((await session.exec(select(Merchant))).all()) == 1
        with pytest.raises(KaimenError) as refused:
            await drill.restore(force=True)
        assert refused.value.code == "restore.in_use"
        assert len((await session.exec(select(Merchant))).all()) == 1
    await other.close()
    assert await names(drill.cloud.db) == [drill.shop.store.name]


async def test_a_backup_with_a_broken_log_is_refused(drill: Drill, tmp_path: Path):
    """Somebody changed the log, and then a backup was made: it must not come back as the truth."""
    cloud = drill.cloud
    async with cloud.db.engine.begin() as connection:
        if cloud.db.is_sqlite:
            await connection.execute(text("DROP TRIGGER audit_entry_no_update"))
        else:
            await connection.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER ALL"))
        await connection.execute(text("UPDATE audit_entry SET why = 'x'"))
    async with cloud.db.write() as session:
        run = BackupRun(slot="bad", by="system", created_at=cloud.clocks.real)
        session.add(run)
    bad = await service.perform(cloud, run)
    with pytest.raises(KaimenError) as refused:
        await drill.restore(name=bad.name, force=True)
    assert refused.value.code == "restore.audit_broken"
    assert await names(cloud.db) == [drill.shop.store.name]
    elsewhere = tmp_path / "copied.kmb"
    shutil.copyfile(Path(str(cloud.settings.backup_to)) / str(drill.run.name), elsewhere)
    done = await drill.restore(source=elsewhere, force=True)
    assert done.name == "copied.kmb"


async def rehearsed(drill: Drill, **changes: Any) -> rehearse.Rehearsed:
    """As ``kaimen-cloud rehearse`` does it."""
    register_jobs()
    options: dict[str, Any] = {
        "source": None,
        "name": None,
        "key": lambda header: key.for_header(drill.cloud.settings, header, None),
        "upgrade": runner.upgrade,
        "guards": guards.missing,
        "metadata": metadata(),
        "progress": make.Progress(),
    }
    return await rehearse.rehearse(drill.cloud, **(options | changes))


async def another(cloud: Cloud) -> BackupRun:
    async with cloud.db.write() as session:
        run = BackupRun(slot="another", by="system", created_at=cloud.clocks.real)
        session.add(run)
    run = await service.perform(cloud, run)
    assert run.state == "good", run.error
    return run


async def make_account(cloud: Cloud) -> None:
    async with cloud.db.write() as session:
        phone = "+8613900000001"
        index = vault().index(phone)
        now = cloud.clocks.now
        session.add(Account(phone=phone, phone_index=index, phone_tail="0001", created_at=now))


def beside(cloud: Cloud, request: pytest.FixtureRequest) -> list[str]:
    """What stands beside the living database: databases of its name, or files of a rehearsal."""
    if cloud.db.is_sqlite:
        return [path.name for path in (cloud.settings.data_dir / ".backup-work").iterdir()]
    stem = cloud.db.url.split("/")[3].partition("?")[0]
    return [one for one in databases(request.getfixturevalue("pg_server"), stem) if one != stem]


async def test_a_rehearsal_shows_that_all_comes_back_and_leaves_nothing(
    drill: Drill, request: pytest.FixtureRequest, wire: ManualClock
):
    """Into a scratch database beside the living one, in which people go on; what a killed one left goes."""
    cloud = drill.cloud
    await make_account(cloud)
    load_authority(cloud.settings.data_dir, cloud.clocks.real)
    wire.pass_time(60)
    newest = await another(cloud)
    async with cloud.db.write() as session:  # nothing of the living one is counted
        session.add(Merchant(name="后来的", created_at=cloud.clocks.now))
    if not cloud.db.is_sqlite:
        left = f"{cloud.db.url.split('/')[3].partition('?')[0]}_rehearsal_20260101000000_0000"
        async with cloud.db.engine.connect() as connection:
            office = await connection.execution_options(isolation_level="AUTOCOMMIT")
            await office.execute(text(f'CREATE DATABASE "{left}"'))
        assert beside(cloud, request) == [left]

    done = await rehearsed(drill)

    assert done.wrong == []
    assert (done.name, done.counted, done.merchants) == (newest.name, True, 1)
    assert (done.rows["merchant"], done.rows["account"]) == (1, 1)
    assert done.opened > 0
    assert done.keys == ["keys.json", "audit-keys.json", "authority/ca.key"]
    assert done.entries > 0
    assert beside(cloud, request) == []
    async with cloud.db.read() as session:
        assert len((await session.exec(select(Merchant))).all()) == 2
        run = await session.get(BackupRun, newest.id)
        acts = (await session.exec(select(col(AuditEntry.action)))).all()
        alarms = (await session.exec(select(AlarmSignal).where(col(AlarmSignal.active)))).all()
    assert run is not None
    assert run.verified_at is not None
    assert "backup.rehearse" in acts
    assert alarms == []


async def test_a_rehearsal_names_what_would_not_come_back(
    drill: Drill, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, wire: ManualClock
):
    """Each of these opens, is whole by its hashes, and would be found out on the worst day of a year."""
    cloud, merchant = drill.cloud, drill.shop.merchant.id
    await make_account(cloud)
    data = cloud.settings.data_dir
    load_authority(data, cloud.clocks.real)
    (data / "authority" / "ca.key").write_bytes(
        ec.generate_private_key(ec.SECP256R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
    )
    async with cloud.db.write() as session:
        account = (await session.exec(select(Account))).one()
        session.add(
            Wallet(
                merchant_id=merchant,
                account_id=account.id,
                paid_fen=100,
                created_at=cloud.clocks.now,
            )
        )
    async with cloud.db.engine.begin() as connection:
        if cloud.db.is_sqlite:
            await connection.execute(text("DROP TRIGGER audit_entry_no_update"))
        else:
            await connection.execute(text("ALTER TABLE audit_entry DISABLE TRIGGER ALL"))
        await connection.execute(text("UPDATE audit_entry SET why = 'x'"))
    of_sqlite, of_postgres = dump.rows_sqlite, dump.rows_postgres

    def one_more(rows: dict[str, int]) -> dict[str, int]:
        return rows | {"room": rows["room"] + 1}

    async def one_more_there(session: Any) -> dict[str, int]:
        return one_more(await of_postgres(session))

    wire.pass_time(60)
    keys = (data / "keys.json").read_bytes()
    with monkeypatch.context() as meanwhile:
        (data / "keys.json").unlink()
        if cloud.db.is_sqlite:
            meanwhile.setattr(dump, "rows_sqlite", lambda path: one_more(of_sqlite(path)))
        else:
            meanwhile.setattr(dump, "rows_postgres", one_more_there)
        bad = await another(cloud)
    (data / "keys.json").write_bytes(keys)
    use_vault(Vault([b"another installation's secret 32"]))
    try:
        done = await rehearsed(drill)
    finally:
        use_vault(VAULT)

    rooms = len(drill.shop.rooms)
    told = "\n".join(done.wrong)
    assert done.name == bad.name
    assert f"room has {rooms} rows; {rooms + 1} were backed up" in told
    assert f"books of {merchant}: " in told
    assert "members have 100, the books owe 0" in told
    assert "keys.json is not in it" in told
    assert "authority/ca.key: the authority's certificate is not of its key" in told
    assert "account.phone: 1 values do not open with KAIMEN_SECRETS" in told
    assert f"log of {merchant}: " in told
    assert beside(cloud, request) == []
    async with cloud.db.read() as session:
        run = await session.get(BackupRun, bad.id)
        alarm = (await session.exec(select(AlarmSignal))).one()
    assert run is not None
    assert run.verified_at is None
    assert (alarm.kind, alarm.active) == ("backup.failed", True)
    # The one before it, by its name, is what it was: of before there was an authority.
    assert (await rehearsed(drill, name=drill.run.name)).wrong == [
        "authority/ca.pem is not in it",
        "authority/ca.key is not in it",
    ]


async def test_a_rehearsal_that_breaks_off_leaves_nothing(
    drill: Drill, request: pytest.FixtureRequest
):
    async def broken(_db: Database) -> None:
        raise KaimenError("restore.too_new", "这份备份来自更新的版本")

    with pytest.raises(KaimenError):
        await rehearsed(drill, upgrade=broken)
    assert beside(drill.cloud, request) == []
