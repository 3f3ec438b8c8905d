"""Looking whether a backup is good, asked for on a page: begun by a job, since it may take an hour.

How far it is stands in the run that made the backup: its stage and its bytes.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, or_
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.backups import key, make, service, shelf
from cloud_api.backups.models import BackupRun
from cloud_api.backups.storage import open_storage
from cloud_api.kit.actor import Staff, System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.ids import new_id
from cloud_api.kit.recurring import INSTALLATION
from cloud_api.staff.permissions import BACKUP_RUN

VERIFY: Final = "backup.verify"
ASKED: Final = "verify.asked"
GOING: Final = "verify"

_log = structlog.get_logger(__name__)


async def ask(cloud: Cloud, actor: Staff, name: str | None) -> BackupRun:
    """Have ``name`` (the newest without it) looked at.

    Raises as ``service.may``, ``shelf.one``, and Conflict ``backup.running`` while one is made or
    looked at.
    """
    async with cloud.db.read() as session:
        await service.may(session, actor, BACKUP_RUN)
    found = await asyncio.to_thread(lambda: shelf.one(open_storage(cloud.settings), name))
    now = cloud.clocks.real
    async with cloud.db.write() as session:
        busy = scoped(System(), BackupRun).where(
            or_(
                col(BackupRun.stage) == ASKED,
                (col(BackupRun.stage) == GOING)
                & (col(BackupRun.heartbeat_at) > now - service.DEAD_AFTER),
            )
        )
        if (
            await service.running(session, now) is not None
            or (await session.exec(busy.limit(1))).first() is not None
        ):
            raise Conflict("backup.running", "正在备份或检查，等这一次做完")
        run = await _run_of(session, found)
        run.stage, run.done_bytes, run.heartbeat_at, run.error = ASKED, 0, now, None
        session.add(run)
        await schedule(
            session,
            merchant_id=INSTALLATION,
            kind=VERIFY,
            ref=f"{run.id}:{new_id()}",  # each asking is one
            run_at=now,
            clock="wire",
            max_attempts=3,
        )
        await audit.record(
            session,
            actor,
            "backup.verify",
            merchant_id=actor.merchant_id,
            subject=f"backup:{run.id}",
            after={"name": run.name},
            clocks=cloud.clocks,
        )
    return run


async def _run_of(session: AsyncSession, found: shelf.Backup) -> BackupRun:
    """The run that made a backup; a row for one that another installation's database knew."""
    query = scoped(System(), BackupRun).where(col(BackupRun.name) == found.name)
    run = (await session.exec(query.order_by(col(BackupRun.id).desc()).limit(1))).first()
    if run is None:
        run = BackupRun(
            slot="found",
            by=System().ref,
            state="good",
            created_at=found.made_at,
            finished_at=found.made_at,
            name=found.name,
            size_bytes=found.size,
        )
        session.add(run)
        await session.flush()
    return run


async def begin(cloud: Cloud, run_id: str) -> tuple[BackupRun | None, bool]:
    """The run that is looked at, if it still is, and whether the caller is to do it: nobody does."""
    now = cloud.clocks.real
    async with cloud.db.write() as session:
        run = await session.get(BackupRun, run_id)
        if run is None or run.stage not in {ASKED, GOING}:
            return None, False
        lives = run.heartbeat_at is not None and run.heartbeat_at > now - service.DEAD_AFTER
        mine = run.stage == ASKED or not lives
        if mine:
            run.stage, run.heartbeat_at = GOING, now
            session.add(run)
    return run, mine


async def perform(cloud: Cloud, run: BackupRun) -> BackupRun:
    """Look at the backup of ``run``, with a heartbeat; the row tells the outcome, and an alarm what is
    broken. Never raises for a backup that is not good.
    """
    progress = make.Progress()
    beating = asyncio.create_task(_beat(cloud, run, progress))
    values: dict[str, Any] = {"stage": ""}
    damaged = ""
    try:
        await asyncio.to_thread(
            make.verify,
            cloud,
            run.name,
            lambda header: key.for_header(cloud.settings, header, None),
            progress,
        )
        values["verified_at"] = cloud.clocks.real
    except asyncio.CancelledError:
        progress.stopped = True
        raise
    except Exception as error:  # noqa: BLE001  whatever it was, the owner must hear of it
        told = f"{error.code}: {error.message}" if isinstance(error, KaimenError) else repr(error)
        _log.warning("backup.verify_failed", name=run.name, error=told)
        values["error"] = told[:500]
        if isinstance(error, KaimenError) and error.code == "backup.damaged":
            damaged, values["state"] = told, "failed"
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
    done = await service.write(cloud, run, **values)
    if damaged:
        await service.raise_or_clear(cloud, active=True, detail=damaged)
    return done


async def _beat(cloud: Cloud, run: BackupRun, progress: make.Progress) -> None:
    while True:
        await asyncio.sleep(service.BEAT_S)
        try:
            await service.write(
                cloud, run, heartbeat_at=cloud.clocks.real, done_bytes=progress.done_bytes
            )
        except (SQLAlchemyError, OSError):  # the next beat may get through
            _log.warning("backup.heartbeat_failed")
