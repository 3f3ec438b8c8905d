"""What runs later for the audit: each night the ends of all chains are signed."""

from __future__ import annotations

from typing import Final

from cloud_api.audit import checkpoints
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob
from cloud_api.kit.recurring import every_day

CHECKPOINT: Final = "audit.checkpoint"


async def _checkpoint(cloud: Cloud, job: DueJob) -> None:
    del job
    await checkpoints.sign_all(cloud)


register(CHECKPOINT, _checkpoint)
every_day(CHECKPOINT, lambda _settings: "00:10")
