"""What runs later for people: gathering the copy of their data."""

from __future__ import annotations

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob
from cloud_api.members import service


async def _export(cloud: Cloud, job: DueJob) -> None:
    await service.make_export(cloud, job.ref)


register(service.EXPORT, _export)
