"""Taking in, listing and giving up photos and videos. Files are made outside of any transaction."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.kit.actor import Actor, System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_id, new_token
from cloud_api.media import mp4, photos
from cloud_api.media.models import Media
from cloud_api.media.storage import MediaStorage, open_media
from cloud_api.settings import Settings

PHOTO: Final = "photo"
LOGO: Final = "logo"
VIDEO: Final = "video"
KINDS: Final = (PHOTO, LOGO, VIDEO)
DROP: Final = "media.drop"
MOST: Final = 24  # of a room or of a store itself
_UPLOADS: Final = ".uploads"
Find = Callable[[AsyncSession], Awaitable[Media]]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Files that lie in the storage under ``id``, and what the row will say of them."""

    id: str
    kind: str
    width: int
    height: int
    bytes: int
    sizes: list[int]
    seconds: int | None = None


def limit_bytes(settings: Settings, kind: str) -> int:
    """How long an upload of a kind may be."""
    return (settings.video_mb if kind == VIDEO else settings.photo_mb) << 20


@asynccontextmanager
async def arriving(
    chunks: AsyncIterator[bytes], settings: Settings, kind: str, most: int | None = None
) -> AsyncIterator[Path]:
    """The upload as a file that is gone afterwards. Raises KaimenError ``media.too_large`` (413).

    ``most``: fewer bytes than its kind may have.
    """
    folder = settings.data_dir / _UPLOADS
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True, mode=0o700)
    path, limit, seen = folder / new_token(64), most or limit_bytes(settings, kind), 0
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            async for chunk in chunks:
                seen += len(chunk)
                if seen > limit:
                    raise too_large(limit)
                await asyncio.to_thread(file.write, chunk)
        if not seen:
            raise KaimenError("media.empty", "没有收到文件，再选一次", status=422, field="file")
        yield path
    finally:
        path.unlink(missing_ok=True)


def too_large(limit: int) -> KaimenError:
    """413 with what would do."""
    return KaimenError(
        "media.too_large", _("文件最大 {limit} MB，压缩一下再传").format(limit=limit >> 20), status=413, field="file",
        extra={"limit_bytes": limit},
    )  # fmt: skip


def prepare(source: Path, kind: str, settings: Settings) -> Prepared:
    """Check an upload, make its files and store them. Blocks. Raises KaimenError ``media.*``."""
    storage, media_id = open_media(settings), new_id()
    if kind == VIDEO:
        video = mp4.inspect(source)
        storage.put(media_id, "video.mp4", source)
        return Prepared(
            media_id, kind, video.width, video.height, source.stat().st_size, [], video.seconds
        )
    made = photos.remake(source, photos.LOGO_WIDTHS if kind == LOGO else photos.WIDTHS)
    for name, data in made.files.items():
        storage.put(media_id, name, data)
    whole = sum(len(data) for data in made.files.values())
    return Prepared(media_id, kind, made.width, made.height, whole, made.sizes)


def add_poster(source: Path, media_id: str, settings: Settings) -> list[int]:
    """A video's picture before it plays: files beside it. Blocks. Returns the widths there are."""
    storage, made = open_media(settings), photos.remake(source)
    for name, data in made.files.items():
        storage.put(media_id, name, data)
    return made.sizes


async def give_poster(cloud: Cloud, chunks: AsyncIterator[bytes], find: Find) -> Media:
    """Take in the picture that a video shows before it plays.

    ``find`` gets the video within the asker's rights, before the file is taken in and again after. Raises
    what it raises, Conflict ``media.no_video``, and what a photo may be refused for.
    """
    async with cloud.db.write() as session:
        found = await find(session)
    if found.kind != VIDEO:
        raise Conflict("media.no_video", "只有视频要封面")
    async with arriving(chunks, cloud.settings, PHOTO) as path:
        sizes = await asyncio.to_thread(add_poster, path, found.id, cloud.settings)
    async with cloud.db.write() as session:
        found = await find(session)
        found.sizes = sizes
        session.add(found)
    return found


async def add(
    session: AsyncSession,
    prepared: Prepared,
    *,
    merchant_id: str,
    store_id: str,
    room_id: str | None,
    alt: str,
    now: datetime,
    subject: str | None = None,
) -> Media:
    """The row of what was stored. A new logo takes the place of the old. Raises ``media.too_many``.

    ``subject``: what it is evidence of; it is shown there and not as a picture of the place.
    """
    beside = (
        await of_place(session, store_id, room_id)
        if subject is None
        else await of_subject(session, subject)
    )
    if prepared.kind == LOGO:
        for old in beside:
            if old.kind == LOGO:
                await give_up(session, old, now)
    elif len(beside) >= MOST:
        raise Conflict("media.too_many", _("一处最多 {most} 张，先删掉几张旧的").format(most=MOST))
    made = Media(
        id=prepared.id,
        merchant_id=merchant_id,
        store_id=store_id,
        room_id=room_id,
        subject=subject,
        kind=prepared.kind,
        alt=alt,
        width=prepared.width,
        height=prepared.height,
        seconds=prepared.seconds,
        bytes=prepared.bytes,
        sizes=prepared.sizes,
        sort=max((one.sort for one in beside), default=0) + 1,
        created_at=now,
    )
    session.add(made)
    await session.flush()
    return made


async def of_place(session: AsyncSession, store_id: str, room_id: str | None) -> list[Media]:
    """What there is of a room, or of the store itself, in its order."""
    query = _there().where(
        col(Media.store_id) == store_id,
        col(Media.subject).is_(None),
        col(Media.room_id).is_(None) if room_id is None else col(Media.room_id) == room_id,
    )
    return list((await session.exec(query)).all())


async def of_stores(session: AsyncSession, store_ids: Iterable[str]) -> dict[str, list[Media]]:
    """By room id, and by store id for what is of the store itself; one query for any number."""
    found: dict[str, list[Media]] = {}
    query = _there().where(col(Media.store_id).in_(set(store_ids)), col(Media.subject).is_(None))
    for one in (await session.exec(query)).all():
        found.setdefault(one.room_id or one.store_id, []).append(one)
    return found


async def of_subject(session: AsyncSession, subject: str) -> list[Media]:
    """The photos that are evidence of something."""
    return list((await session.exec(_there().where(col(Media.subject) == subject))).all())


async def one(session: AsyncSession, actor: Actor, media_id: str) -> Media:
    """One that is there. Raises NotFound."""
    query = scoped(actor, Media).where(col(Media.id) == media_id, col(Media.deleted_at).is_(None))
    found = (await session.exec(query)).one_or_none()
    if found is None:
        raise NotFound("media")
    return found


async def order(session: AsyncSession, found: Sequence[Media], wanted: Sequence[str]) -> None:
    """Put ``found`` into the order of their ids in ``wanted``. Raises ``media.order`` if they differ."""
    by_id = {media.id: media for media in found}
    if set(by_id) != set(wanted):
        raise Conflict("media.order", "照片刚刚有变化，刷新再排")
    for place, media_id in enumerate(wanted):
        by_id[media_id].sort = place
        session.add(by_id[media_id])


async def give_up(session: AsyncSession, media: Media, now: datetime) -> None:
    """No page shows it any more; a job takes its files away."""
    media.deleted_at = now
    session.add(media)
    await schedule(
        session,
        merchant_id=media.merchant_id,
        kind=DROP,
        ref=media.id,
        run_at=now,
        clock="wire",
    )


async def orphans(session: AsyncSession, storage: MediaStorage) -> list[str]:
    """Ids whose files are there without a row: what an upload that broke off left behind."""
    there = await asyncio.to_thread(storage.ids)
    known = set((await session.exec(select(col(Media.id)).where(col(Media.id).in_(there)))).all())
    return [media_id for media_id in there if media_id not in known]


async def count(session: AsyncSession) -> int:
    """How many there are."""
    return (await session.exec(select(func.count()).select_from(Media))).one()


def _there() -> SelectOfScalar[Media]:
    query = scoped(System(), Media).where(col(Media.deleted_at).is_(None))
    return query.order_by(col(Media.sort), col(Media.id))
