"""Runs of the backup: asked for by the night or by a person, done by a job, seen by who may.

Backups are the installation's. A merchant's owner sees and starts them only where no other merchant
shares the installation; else they are its operator's, who has the command line.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.backups import key, make, shelf
from cloud_api.backups.models import BackupRun
from cloud_api.backups.storage import open_storage
from cloud_api.kit.actor import Actor, Staff, System, scoped
from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.recurring import INSTALLATION
from cloud_api.merchants.models import Merchant
from cloud_api.staff.permissions import BACKUP_READ, BACKUP_RUN

RUN: Final = "backup.run"
BEAT_S: Final = 2.0
DEAD_AFTER: Final = timedelta(seconds=60)  # without a heartbeat, wire time
OVERDUE_AFTER: Final = timedelta(hours=26)

_log = structlog.get_logger(__name__)


async def may(session: AsyncSession, actor: Staff, permission: str) -> None:
    """Raise Forbidden, or KaimenError ``backup.platform`` (403) where merchants share the place."""
    actor.need(permission)
    count = await session.scalar(select(func.count()).select_from(Merchant))
    if int(count or 0) > 1:
        raise KaimenError(
            "backup.platform", "这台服务器上有多家商家，备份由平台管理员负责", status=403
        )


async def ask(session: AsyncSession, actor: Staff, cloud: Cloud) -> BackupRun:
    """Ask for a backup now. Raises as ``may``, and Conflict ``backup.running``."""
    await may(session, actor, BACKUP_RUN)
    open_storage(cloud.settings)
    if cloud.settings.backup_key_file is None and not cloud.settings.backup_passphrase:
        raise key.NoKey
    if await running(session, cloud.clocks.real) is not None:
        raise Conflict("backup.running", "正在备份，等这一次做完")
    run = BackupRun(slot="", by=actor.ref, created_at=cloud.clocks.real)
    run.slot = run.id
    session.add(run)
    await session.flush()
    await schedule(
        session,
        merchant_id=INSTALLATION,
        kind=RUN,
        ref=run.slot,
        run_at=cloud.clocks.real,
        clock="wire",
        max_attempts=3,
    )
    await audit.record(
        session,
        actor,
        "backup.run",
        merchant_id=actor.merchant_id,
        subject=f"backup:{run.id}",
        clocks=cloud.clocks,
    )
    return run


async def runs(session: AsyncSession, actor: Staff, limit: int = 30) -> list[BackupRun]:
    """The last runs, newest first. Raises as ``may``."""
    await may(session, actor, BACKUP_READ)
    query = scoped(System(), BackupRun).order_by(col(BackupRun.id).desc()).limit(limit)
    return list((await session.exec(query)).all())


async def running(session: AsyncSession, now: datetime) -> BackupRun | None:
    """The run that is on its way, if its process lives."""
    query = scoped(System(), BackupRun).where(
        col(BackupRun.state) == "running", col(BackupRun.heartbeat_at) > now - DEAD_AFTER
    )
    return (await session.exec(query.limit(1))).first()


async def last_good(session: AsyncSession) -> BackupRun | None:
    """The newest run that ended well."""
    query = scoped(System(), BackupRun).where(col(BackupRun.state) == "good")
    return (await session.exec(query.order_by(col(BackupRun.finished_at).desc()).limit(1))).first()


async def perform(
    cloud: Cloud,
    run: BackupRun,
    told: Callable[[make.Progress], None] = lambda _progress: None,
) -> BackupRun:
    """Make the backup of ``run``, with a heartbeat; its outcome stands in the row, and in an alarm.

    Never raises for a backup that failed: the row says why. ``told`` hears the progress now and then.
    """
    progress = make.Progress()
    await write(
        cloud, run, state="running", started_at=cloud.clocks.real, heartbeat_at=cloud.clocks.real
    )
    beating = asyncio.create_task(_beat(cloud, run, progress, told))
    values: dict[str, Any]
    try:
        made = await make.make(cloud, progress)
        values = {
            "state": "good",
            "name": made.name,
            "place": made.place,
            "size_bytes": made.manifest["size"],
            "manifest": made.manifest,
            "error": None,
        }
    except asyncio.CancelledError:
        progress.stopped = True
        raise
    except KaimenError as error:
        values = {"state": "failed", "error": f"{error.code}: {error.message}"[:500]}
    except Exception as error:  # noqa: BLE001  whatever it was, the owner must hear of it
        _log.exception("backup.failed")
        values = {"state": "failed", "error": repr(error)[:500]}
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
    finished = await write(cloud, run, finished_at=cloud.clocks.real, stage="", **values)
    await _tell(cloud, finished)
    return finished


async def _beat(
    cloud: Cloud,
    run: BackupRun,
    progress: make.Progress,
    told: Callable[[make.Progress], None],
) -> None:
    while True:
        await asyncio.sleep(BEAT_S)
        told(progress)
        try:
            await write(
                cloud,
                run,
                heartbeat_at=cloud.clocks.real,
                stage=progress.stage,
                done_bytes=progress.done_bytes,
            )
        except (SQLAlchemyError, OSError):  # the next beat may get through
            _log.warning("backup.heartbeat_failed")


async def write(cloud: Cloud, run: BackupRun, **values: Any) -> BackupRun:
    """Change columns of a run; the run as it stands then."""
    async with cloud.db.write() as session:
        await session.exec(update(BackupRun).where(col(BackupRun.id) == run.id).values(**values))
        found = await session.get(BackupRun, run.id, populate_existing=True)
        assert found is not None
    return found


async def _tell(cloud: Cloud, run: BackupRun) -> None:
    """The alarm, and the log of acts of what no person asked for."""
    good = run.state == "good"
    _log.info("backup.done" if good else "backup.failed", name=run.name, error=run.error)
    await raise_or_clear(cloud, active=not good, detail="" if good else str(run.error))
    async with cloud.db.write() as session:
        await audit.record(
            session,
            System(),
            "backup.made" if good else "backup.failed",
            merchant_id=audit.INSTALLATION,
            subject=f"backup:{run.id}",
            after={"name": run.name, "size": run.size_bytes, "error": run.error},
            clocks=cloud.clocks,
        )


async def verified(session: AsyncSession, name: str, now: datetime) -> None:
    """The run that made a backup remembers that it was found good."""
    await session.exec(update(BackupRun).where(col(BackupRun.name) == name).values(verified_at=now))


async def raise_or_clear(cloud: Cloud, *, active: bool, detail: str) -> None:
    """The alarm ``backup.failed``, for the one merchant of an installation; else metrics tell."""
    async with cloud.db.write() as session:
        merchants = (await session.exec(select(col(Merchant.id)).limit(2))).all()
        if len(merchants) == 1:
            await signal(
                session,
                merchant_id=merchants[0],
                store_id=None,
                kind="backup.failed",
                subject="backup:installation",
                active=active,
                data={"detail": detail},
                at=cloud.clocks.real,
            )


async def age(cloud: Cloud) -> timedelta | None:
    """How old the newest good backup is; without any, how long there is something to lose.

    None where backups are not set up, or nobody could miss anything yet.
    """
    if not cloud.settings.backup_to or not cloud.settings.backup_at:
        return None
    async with cloud.db.read() as session:
        good = await last_good(session)
        since = None if good is None else good.finished_at
        if since is None:
            since = await session.scalar(select(func.min(col(Merchant.created_at))))
    return None if since is None else cloud.clocks.real - since


async def standing(cloud: Cloud) -> str:
    """For people who look after an installation: ``ok``, or what is wrong with its backups."""
    if not cloud.settings.backup_to:
        return "none are made: set KAIMEN_BACKUP_TO (docs/backup.md)"
    old = await age(cloud)
    if old is None or old <= OVERDUE_AFTER:
        return "ok"
    hours = int(old.total_seconds() // 3600)
    return (
        f"the last good one is {hours} h old, or there is none: look for backup.failed in the log"
    )


async def watch(cloud: Cloud) -> None:
    """Raise the alarm if backups are configured and none came about for more than a day."""
    old = await age(cloud)
    if old is None or old <= OVERDUE_AFTER:
        return
    async with cloud.db.read() as session:
        good = await last_good(session)
    since = (
        _("从未")
        if good is None
        else _("上次成功 {finished_at:%Y-%m-%d %H:%M} UTC").format(finished_at=good.finished_at)
    )
    _log.warning("backup.overdue", hours=int(old.total_seconds() // 3600))
    await raise_or_clear(cloud, active=True, detail=f"backup.overdue: {since}")


async def stored(cloud: Cloud) -> list[shelf.Backup]:
    """What the storage holds now, newest first. Raises StorageFailed, ``backup.not_configured``."""
    return await asyncio.to_thread(lambda: shelf.backups(open_storage(cloud.settings)))


async def verify(
    cloud: Cloud, actor: Actor, name: str | None, key_for: make.KeyFor, progress: make.Progress
) -> dict[str, Any]:
    """Open a backup wholly; the run that made it remembers when. Raises as ``make.verify``."""
    inner = await asyncio.to_thread(make.verify, cloud, name, key_for, progress)
    async with cloud.db.write() as session:
        await verified(session, inner["name"], cloud.clocks.real)
        await audit.record(
            session,
            actor,
            "backup.verify",
            merchant_id=actor.merchant_id if isinstance(actor, Staff) else audit.INSTALLATION,
            subject=f"backup:{inner['name']}",
            clocks=cloud.clocks,
        )
    return inner
