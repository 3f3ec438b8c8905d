"""What runs later for backups: the night's one and those asked for, and the look whether any came about.

A backup takes longer than a job may, so the job starts it and then looks every few seconds; a run
whose process died is seen by its heartbeat and begun anew.
"""

from __future__ import annotations

import asyncio
from typing import Final

from sqlalchemy import update
from sqlmodel import col

from cloud_api.backups import checks, service
from cloud_api.backups.models import BackupRun
from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, register
from cloud_api.kit.models import DueJob
from cloud_api.kit.recurring import every_day

WATCH: Final = "backup.watch"
LOOK_S: Final = 3.0
_PART = "backups"


class BackupFailed(Exception):
    """The run ended badly; the job tries again with its back-off."""


async def _backup(cloud: Cloud, job: DueJob) -> None:
    if not cloud.settings.backup_to:
        return  # the night comes whether or not backups are set up
    now = cloud.clocks.real
    begun: BackupRun | None = None
    async with cloud.db.write() as session:
        query = scoped(System(), BackupRun).where(col(BackupRun.slot) == job.ref)
        run = (await session.exec(query.order_by(col(BackupRun.id).desc()).limit(1))).first()
        if run is not None and run.state == "good":
            return
        if run is not None and run.state == "failed" and not run.reported:
            await session.exec(
                update(BackupRun).where(col(BackupRun.id) == run.id).values(reported=True)
            )
        elif await service.running(session, now) is not None:
            raise Again(LOOK_S, "a backup is on its way")
        else:
            if run is not None and run.state == "running":
                await session.exec(
                    update(BackupRun)
                    .where(col(BackupRun.id) == run.id)
                    .values(state="failed", error="backup.interrupted", reported=True)
                )
            if run is None or run.state != "asked":
                run = BackupRun(slot=job.ref, by="system", created_at=now)
            run.state, run.started_at, run.heartbeat_at = "running", now, now
            session.add(run)
            await session.flush()
            begun = run
    if begun is None:
        raise BackupFailed(run.error if run is not None else "")
    _keep(cloud, asyncio.create_task(service.perform(cloud, begun)))
    raise Again(LOOK_S, "begun")


async def finish(cloud: Cloud) -> None:
    """Wait for the backups that this process makes, and for its looks at some."""
    await asyncio.gather(*cloud.parts.get(_PART, ()))


async def _verify(cloud: Cloud, job: DueJob) -> None:
    run, mine = await checks.begin(cloud, job.ref.partition(":")[0])
    if run is None:
        return
    if mine:
        _keep(cloud, asyncio.create_task(checks.perform(cloud, run)))
    raise Again(LOOK_S, "it is being looked at")


def _keep(cloud: Cloud, task: asyncio.Task[BackupRun]) -> None:
    tasks: set[asyncio.Task[BackupRun]] = cloud.parts.setdefault(_PART, set())
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def _watch(cloud: Cloud, job: DueJob) -> None:
    del job
    await service.watch(cloud)


register(service.RUN, _backup)
register(checks.VERIFY, _verify)
register(WATCH, _watch)
every_day(service.RUN, lambda settings: settings.backup_at if settings.backup_to else None)
every_day(WATCH, lambda _settings: "12:00")
