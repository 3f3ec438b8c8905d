"""What of room time runs later: a mode whose time is over."""

from __future__ import annotations

from cloud_api.claims import modes
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob


async def mode_over(cloud: Cloud, job: DueJob) -> None:
    """Take a room's mode back."""
    async with cloud.db.write() as session:
        await modes.over(session, job.ref, cloud.clocks)


register(modes.OVER, mode_over)
