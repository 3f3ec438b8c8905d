"""Files of media that nobody shows any more go: at once when one is deleted, by night what was left over."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from ulid import ULID

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob
from cloud_api.kit.recurring import every_day
from cloud_api.media.models import Media
from cloud_api.media.service import DROP, orphans
from cloud_api.media.storage import open_media

SWEEP: Final = "media.sweep"
_YOUNG: Final = timedelta(days=1)  # an upload under way has files and no row yet


async def drop(cloud: Cloud, job: DueJob) -> None:
    """The files, then the row; again does no harm."""
    async with cloud.db.read() as session:
        media = await session.get(Media, job.ref)
    if media is None or media.deleted_at is None:
        return
    storage = open_media(cloud.settings)
    await asyncio.to_thread(storage.drop, media.id)
    async with cloud.db.write() as session:
        gone = await session.get(Media, job.ref)
        if gone is not None:
            await session.delete(gone)


async def sweep(cloud: Cloud, job: DueJob) -> None:
    """What uploads that broke off left in the storage more than a day ago."""
    del job
    storage = open_media(cloud.settings)
    async with cloud.db.read() as session:
        left = await orphans(session, storage)
    for media_id in left:
        made = made_at(media_id)
        if made is not None and cloud.clocks.real - made > _YOUNG:
            await asyncio.to_thread(storage.drop, media_id)


def made_at(media_id: str) -> datetime | None:
    """When an id was made: it begins with its milliseconds (ULID). None for what is no id of ours."""
    try:
        return ULID.from_str(media_id).datetime
    except ValueError:
        return None


register(DROP, drop)
register(SWEEP, sweep)
every_day(SWEEP, lambda settings: "04:40")
