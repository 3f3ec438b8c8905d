"""What keeps other software informed: reading the feed every few seconds, and each try of a delivery.

Importing this module registers the handlers.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, register
from cloud_api.kit.models import DueJob
from cloud_api.kit.recurring import every_day
from cloud_api.webhooks import sending

EVERY_S: Final = 5.0


async def _follow(cloud: Cloud, job: DueJob) -> None:
    """For a day from its slot on; the next day's job takes over."""
    await sending.follow(cloud)
    if job.run_at + timedelta(days=1) > cloud.clocks.real:
        raise Again(EVERY_S, "the next look")


register(sending.FOLLOW, _follow)
register(sending.SEND, sending.send)
every_day(sending.FOLLOW, lambda _settings: "00:00")
