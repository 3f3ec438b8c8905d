"""Every night what is older than a merchant keeps it goes, in batches.

Importing this module registers the handlers.
"""

from __future__ import annotations

from typing import Final

from sqlmodel import col, select

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, register, schedule
from cloud_api.kit.models import DueJob
from cloud_api.kit.recurring import every_day
from cloud_api.merchants.models import Merchant
from cloud_api.retention import service

NIGHT: Final = "retention.night"
CLEAR: Final = "retention.clear"  # ref: "<merchant>:<night>"
PAUSE_S: Final = 1.0


async def _night(cloud: Cloud, job: DueJob) -> None:
    """A job for each merchant."""
    async with cloud.db.write() as session:
        for merchant_id in (await session.exec(select(col(Merchant.id)))).all():
            await schedule(
                session,
                merchant_id=merchant_id,
                kind=CLEAR,
                ref=f"{merchant_id}:{job.ref}",
                run_at=job.run_at,
                clock="wire",
            )


async def _clear(cloud: Cloud, job: DueJob) -> None:
    merchant_id, _, night = job.ref.partition(":")
    if not await service.clear(cloud, merchant_id, night, job.run_at):
        raise Again(PAUSE_S, "more is old")


register(NIGHT, _night)
register(CLEAR, _clear)
every_day(NIGHT, lambda _settings: "03:50")
