"""What runs later for the audit: each night every chain is read through, and its end is signed.

A long chain takes longer than a job may, so the job begins the reading and then looks every few
seconds. Readings come before the signing: what was changed is told by name, not signed over.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from sqlmodel import col, select

from cloud_api.audit import checkpoints, verify
from cloud_api.audit.service import INSTALLATION
from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, register, schedule
from cloud_api.kit.models import DueJob
from cloud_api.kit.recurring import every_day
from cloud_api.merchants.models import Merchant

CHECKPOINT: Final = "audit.checkpoint"
VERIFY: Final = "audit.verify"
READ: Final = "audit.read"  # ref: "<merchant>:<night>"
BROKEN: Final = "audit.broken"
LOOK_S: Final = 3.0
QUICK_S: Final = 2.0  # most chains are read within the job
_PART = "audit.readings"

_log = structlog.get_logger(__name__)


async def _checkpoint(cloud: Cloud, job: DueJob) -> None:
    del job
    await checkpoints.sign_all(cloud)


async def _verify(cloud: Cloud, job: DueJob) -> None:
    """A job for each chain: one that cannot be read does not keep the others from being read."""
    merchants = await verify.chains(cloud.db)
    async with cloud.db.write() as session:
        for merchant_id in merchants:
            await schedule(
                session,
                merchant_id=merchant_id,
                kind=READ,
                ref=f"{merchant_id}:{job.ref}",
                run_at=job.run_at,
                clock="wire",
            )


async def _read(cloud: Cloud, job: DueJob) -> None:
    readings: dict[str, asyncio.Task[verify.Verdict]] = cloud.parts.setdefault(_PART, {})
    task = readings.get(job.ref)
    if task is None:
        merchant_id = job.ref.partition(":")[0]
        task = asyncio.create_task(verify.verify(cloud.db, merchant_id, cloud.settings.data_dir))
        readings[job.ref] = task
    await asyncio.wait({task}, timeout=QUICK_S)
    if not task.done():
        raise Again(LOOK_S, "the chain is being read")
    del readings[job.ref]
    await _tell(cloud, task.result())


async def _tell(cloud: Cloud, verdict: verify.Verdict) -> None:
    """The alarm of the merchant whose chain it is; the installation's own is told to a sole one."""
    _log.log(
        40 if verdict.broken else 20,
        "audit.broken" if verdict.broken else "audit.whole",
        merchant_id=verdict.merchant_id,
        entries=verdict.entries,
        broken=verdict.broken,
    )
    async with cloud.db.write() as session:
        query = select(col(Merchant.id)).limit(2)
        if verdict.merchant_id != INSTALLATION:
            query = query.where(col(Merchant.id) == verdict.merchant_id)
        told = (await session.exec(query)).all()
        if len(told) != 1:
            return
        await signal(
            session,
            merchant_id=told[0],
            store_id=None,
            kind=BROKEN,
            subject=f"audit:{verdict.merchant_id}",
            active=bool(verdict.broken),
            data={"detail": verdict.broken},
            at=cloud.clocks.real,
        )


register(CHECKPOINT, _checkpoint)
register(VERIFY, _verify)
register(READ, _read)
every_day(VERIFY, lambda _settings: "00:05")
every_day(CHECKPOINT, lambda _settings: "00:10")
