"""What reviews and tickets do when two customers of a merchant are one person; photos that nothing named go."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit import merging
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob
from cloud_api.support import photos
from cloud_api.support.models import Review, Ticket


async def _merge(session: AsyncSession, merge: merging.Merge) -> None:
    await merge.rows(session, Ticket, "tickets")
    await merge.rows(session, Review, "reviews")


merging.register("support", _merge)


async def unused(cloud: Cloud, job: DueJob) -> None:
    """A photo was sent a day ago."""
    async with cloud.db.write() as session:
        await photos.unused(session, job.ref, cloud.clocks)


register(photos.UNUSED, unused)
