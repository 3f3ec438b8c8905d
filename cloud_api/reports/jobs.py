"""What keeps the rollups fresh: a look every other minute, and every night the last weeks once more.

Importing this module registers the handlers.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit import merging
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, register
from cloud_api.kit.models import DueJob
from cloud_api.kit.recurring import every_day
from cloud_api.reports import export, rollup

FOLLOW: Final = "reports.follow"
AGAIN: Final = "reports.again"
EVERY_S: Final = 120.0
_BUSY_S: Final = 25.0  # of a handler's fifty
_WEEKS: Final = timedelta(days=42)


async def _follow(cloud: Cloud, job: DueJob) -> None:
    """For a day from its slot on: look, work, and look again; the next day's job takes over."""
    begun = time.monotonic()
    more = True
    while more and time.monotonic() - begun < _BUSY_S:
        more = await rollup.look(cloud)
        more |= bool(await rollup.work(cloud, most=50))
    if job.run_at + timedelta(days=1) > cloud.clocks.real:
        raise Again(0.1 if more else EVERY_S, "the next look")


async def _again(cloud: Cloud, job: DueJob) -> None:
    """Whatever a look might have missed: the last weeks are marked, ``_follow`` makes them again."""
    del job
    today = cloud.clocks.now.date()
    async with cloud.db.write() as session:
        await rollup.touch(session, today - _WEEKS, today + timedelta(days=14))


register(FOLLOW, _follow)
register(AGAIN, _again)
register(export.MAKE, export.make)
every_day(FOLLOW, lambda _settings: "00:00")
every_day(AGAIN, lambda _settings: "04:20")


async def _merge(session: AsyncSession, merge: merging.Merge) -> None:
    """The days on which the one who vanished came are counted again, by whom they are of now."""
    await rollup.touch_guest(session, merge.merchant_id, merge.old)


merging.register("reports", _merge)
