"""A backup is made, stored whole or not at all, looked at again, kept as long as it should be."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import col, select, update

from cloud_api.backups import jobs, key, make, service, shelf
from cloud_api.backups.models import BackupRun
from cloud_api.backups.sealed import Damaged
from cloud_api.backups.storage import Folder, StorageFailed, open_storage
from cloud_api.kit import recurring
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import run_due
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.models import AlarmSignal, DueJob
from store_link.clock import ManualClock
from tests.cloud_api.factories import Shop, make_store

# What does not depend on the engine.
ON_SQLITE = pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)


async def backup(cloud: Cloud) -> BackupRun:
    async with cloud.db.write() as session:
        run = BackupRun(slot="test", by="system", created_at=cloud.clocks.real)
        session.add(run)
    return await service.perform(cloud, run)


def opened(cloud: Cloud) -> make.KeyFor:
    return lambda header: key.for_header(cloud.settings, header, None)


async def signals(cloud: Cloud) -> list[tuple[str, bool]]:
    async with cloud.db.read() as session:
        found = (await session.exec(select(AlarmSignal))).all()
    return [(one.kind, one.active) for one in found]


async def test_a_backup_is_made_and_is_good(backed: Cloud, shop: Shop):
    run = await backup(backed)
    assert (run.state, run.error) == ("good", None)
    (stored,) = await service.stored(backed)
    assert stored.name == run.name
    inner = await service.verify(backed, System(), None, opened(backed), make.Progress())
    paths = {one["path"] for one in inner["members"]}
    assert {"database", "media/room.jpg", "data/keys.json", "data/audit-keys.json"} <= paths
    raw = (Path(str(backed.settings.backup_to)) / stored.name).read_bytes()
    for secret in (shop.store.name.encode(), b"\xff\xd8" + bytes(range(256)), b'"seed"'):
        assert secret not in raw
    assert list((backed.settings.data_dir / ".backup-work").iterdir()) == []
    async with backed.db.read() as session:
        kept = await session.get(BackupRun, run.id)
    assert kept is not None
    assert kept.verified_at is not None


@ON_SQLITE
async def test_a_backup_that_was_touched_is_not_good(backed: Cloud, shop: Shop):
    run = await backup(backed)
    path = Path(str(backed.settings.backup_to)) / str(run.name)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(Damaged):
        await service.verify(backed, System(), None, opened(backed), make.Progress())
    path.write_bytes(data[:-100])  # of another size: not even listed
    assert await service.stored(backed) == []
    with pytest.raises(KaimenError) as none:
        await service.verify(backed, System(), None, opened(backed), make.Progress())
    assert none.value.code == "backup.none"


class Breaking(Folder):
    """A folder whose disk is full in the middle of the upload."""

    def put(self, name, source, heard):
        (self.folder / name).write_bytes(source.read_bytes()[:100])
        raise StorageFailed("disk full")


@ON_SQLITE
async def test_a_broken_upload_is_never_listed_and_raises_the_alarm(
    backed: Cloud, shop: Shop, monkeypatch: pytest.MonkeyPatch, wire: ManualClock
):
    good = await backup(backed)
    with monkeypatch.context() as broken:
        broken.setattr(make, "open_storage", lambda s: Breaking(Path(str(s.backup_to))))
        wire.pass_time(60)
        failed = await backup(backed)
    assert failed.state == "failed"
    assert "disk full" in str(failed.error)
    assert [one.name for one in await service.stored(backed)] == [good.name]
    assert await signals(backed) == [("backup.failed", True)]
    wire.pass_time(2 * 86_400)
    again = await backup(backed)  # re-runnable; and it sweeps what the broken one left
    assert again.state == "good"
    assert await signals(backed) == [("backup.failed", False)]
    names = {path.name for path in Path(str(backed.settings.backup_to)).iterdir()}
    assert names == {name for one in (good, again) for name in (str(one.name), f"{one.name}.json")}


@ON_SQLITE
async def test_the_night_makes_one_and_keeps_what_it_should(
    backed: Cloud, shop: Shop, wire: ManualClock
):
    backed.settings.backup_keep_daily = 2
    backed.settings.backup_keep_weekly = backed.settings.backup_keep_monthly = 0

    async def night() -> None:
        await recurring.plan(backed)
        await run_due(backed)
        await jobs.finish(backed)
        wire.pass_time(5)
        await run_due(backed)  # the job sees that it is done

    for _ in range(3):
        await night()
        wire.pass_time(86_400)
    async with backed.db.read() as session:
        runs = (await session.exec(select(BackupRun).order_by(col(BackupRun.id)))).all()
        waiting = await session.exec(
            select(DueJob).where(
                col(DueJob.kind) == service.RUN,
                col(DueJob.done_at).is_(None),
                col(DueJob.run_at) <= wire.now() - timedelta(days=1),
            )
        )
        assert waiting.all() == []
    assert [run.state for run in runs] == ["good"] * 3
    assert [one.name for one in await service.stored(backed)] == [runs[2].name, runs[1].name]


@ON_SQLITE
async def test_a_run_whose_process_died_is_begun_anew(backed: Cloud, shop: Shop, wire: ManualClock):
    await recurring.plan(backed)
    async with backed.db.write() as session:
        slot = (await session.exec(select(DueJob).where(col(DueJob.kind) == service.RUN))).first()
        assert slot is not None
        session.add(
            BackupRun(
                slot=slot.ref,
                by="system",
                state="running",
                created_at=wire.now(),
                heartbeat_at=wire.now(),
            )
        )
    await run_due(backed)
    async with backed.db.read() as session:
        assert len((await session.exec(select(BackupRun))).all()) == 1  # it may live
    wire.pass_time(61)
    await run_due(backed)
    await jobs.finish(backed)
    async with backed.db.read() as session:
        states = (await session.exec(select(BackupRun).order_by(col(BackupRun.id)))).all()
    assert [(one.state, one.error) for one in states] == [
        ("failed", "backup.interrupted"),
        ("good", None),
    ]


@ON_SQLITE
async def test_none_for_a_day_raises_the_alarm(backed: Cloud, shop: Shop, wire: ManualClock):
    await backup(backed)
    await service.watch(backed)
    assert await signals(backed) == []
    assert await service.standing(backed) == "ok"
    wire.pass_time(timedelta(hours=27).total_seconds())
    await service.watch(backed)
    assert await signals(backed) == [("backup.failed", True)]
    assert "the last good one is 27 h old" in await service.standing(backed)
    await backup(backed)
    assert await signals(backed) == [("backup.failed", False)]
    assert await service.standing(backed) == "ok"


@ON_SQLITE
async def test_a_first_day_without_a_backup_is_no_alarm_a_second_is(
    backed: Cloud, wire: ManualClock
):
    """Whoever set up a place in the morning was told at noon that a backup had never come about."""
    wire.pass_time(timedelta(days=30).total_seconds())
    await service.watch(backed)  # nobody has anything to lose yet
    assert await service.age(backed) is None
    async with backed.db.write() as session:
        await make_store(session, backed.clocks.real)
    wire.pass_time(timedelta(hours=25).total_seconds())
    await service.watch(backed)
    assert await signals(backed) == []
    wire.pass_time(timedelta(hours=2).total_seconds())
    await service.watch(backed)
    assert await signals(backed) == [("backup.failed", True)]
    assert await service.age(backed) == timedelta(hours=27)
    backed.settings.backup_to = None
    assert await service.standing(backed) == (
        "none are made: set KAIMEN_BACKUP_TO (docs/backup.md)"
    )


async def test_writers_go_on_while_the_backup_reads(
    backed: Cloud, shop: Shop, monkeypatch: pytest.MonkeyPatch
):
    """The copy is of one moment, and holds nobody up."""
    go_on, begun = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    class Waiting(make.Progress):
        def begin(self, stage: str, total: int | None = None) -> None:
            super().begin(stage, total)
            if stage == "dump" and not begun.is_set():
                loop.call_soon_threadsafe(begun.set)
                asyncio.run_coroutine_threadsafe(go_on.wait(), loop).result(20)

    monkeypatch.setattr(make, "Progress", Waiting)
    task = asyncio.create_task(backup(backed))
    await asyncio.wait_for(begun.wait(), 20)
    for number in range(20):
        async with backed.db.write() as session:
            await session.exec(update(type(shop.store)).values(notice=f"通知 {number}"))
    go_on.set()
    assert (await task).state == "good"
    await service.verify(backed, System(), None, opened(backed), make.Progress())


@ON_SQLITE
async def test_what_is_missing_is_said(backed: Cloud, shop: Shop):
    backed.settings.backup_key_file = None
    assert str((await backup(backed)).error).startswith("backup.no_key")
    backed.settings.backup_to = None
    assert str((await backup(backed)).error).startswith("backup.not_configured")
    backed.settings.backup_to = "s3://"
    with pytest.raises(KaimenError) as wrong:
        open_storage(backed.settings)
    assert wrong.value.code == "backup.not_configured"


def test_a_manifest_that_lies_is_no_backup(tmp_path: Path):
    storage = Folder(tmp_path)
    name = "kaimen-20261123T040000Z-00000000.kmb"
    storage.put_bytes(name, b"12345")
    told = {"name": name, "size": 5, "made_at": "2026-11-23T04:00:00+00:00"}
    for manifest in (told | {"size": 6}, told | {"name": "other"}, {"name": name}):
        storage.put_bytes(f"{name}.json", json.dumps(manifest).encode())
        assert shelf.backups(storage) == []
    storage.put_bytes(f"{name}.json", json.dumps(told).encode())
    assert [one.name for one in shelf.backups(storage)] == [name]
    with pytest.raises(KaimenError):
        storage.read("../secret")
