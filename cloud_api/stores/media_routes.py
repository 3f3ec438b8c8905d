"""/console/…/media: photos and videos of stores and rooms. An upload is the file itself as the body."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.auth.deps import actor
from cloud_api.kit.actor import Actor, Staff
from cloud_api.kit.errors import Conflict
from cloud_api.kit.http import cloud_of
from cloud_api.kit.throttle import hit
from cloud_api.media import service as media
from cloud_api.media.models import Media
from cloud_api.media.schemas import MediaEdit, MediaList, MediaOrder, MediaOut
from cloud_api.settings import Settings
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import STORE_EDIT
from cloud_api.stores.service import get_room, get_store

router = APIRouter(tags=["media"])
StaffWho = Annotated[Staff, Depends(staff_actor)]
Id = Annotated[str, Query(max_length=64)]

_UPLOADS = re.compile(
    r"/api/v1/(me/photos|console/(stores/[^/]+/media|campaigns/[^/]+/media(/[^/]+/poster)?"
    r"|media/[^/]+/poster|cleaning/tasks/[^/]+/photos|brand/logos/[a-z]+))"
)
MOST_UPLOADS = (
    120,
    3600,
)  # uploads of one member of staff in an hour: each costs the processor a second


def upload_limit(settings: Settings) -> Callable[[str, str], int | None]:
    """How long the body of an upload may be; the route itself knows the limit of its kind."""
    most = max(media.limit_bytes(settings, kind) for kind in media.KINDS) + 1

    def wide(method: str, path: str) -> int | None:
        return most if method in ("POST", "PUT") and _UPLOADS.fullmatch(path) else None

    return wide


@router.get("/stores/{store_id}/media")
async def list_media(
    request: Request, store_id: str, who: Annotated[Actor, Depends(actor)], room_id: Id = ""
) -> MediaList:
    """Photos and videos of a store, or of one of its rooms."""
    async with cloud_of(request).db.read() as session:
        await get_store(session, who, store_id)
        found = await media.of_place(session, store_id, room_id or None)
    return MediaList(items=[MediaOut.of(one) for one in found])


@router.post("/console/stores/{store_id}/media", status_code=201)
async def upload(
    request: Request,
    store_id: str,
    who: StaffWho,
    kind: Literal["photo", "logo", "video"] = "photo",
    room_id: Id = "",
    alt: Annotated[str, Query(max_length=100)] = "",
) -> MediaOut:
    """Take a file in: JPEG, PNG or WebP; a video as MP4 with H.264. 413 ``media.too_large``."""
    who.need(STORE_EDIT)
    cloud = cloud_of(request)
    stated = request.headers.get("content-length", "")
    limit = media.limit_bytes(cloud.settings, kind)
    if stated.isdigit() and int(stated) > limit:
        raise media.too_large(limit)
    async with cloud.db.write() as session:
        store = await get_store(session, who, store_id)
        if room_id and (await get_room(session, who, room_id)).store_id != store.id:
            raise Conflict("media.other_store", "这个包间不在这家店")
        await hit(session, f"upload:{who.staff_id}", *MOST_UPLOADS, cloud.clocks.real)
    async with media.arriving(request.stream(), cloud.settings, kind) as path:
        prepared = await asyncio.to_thread(media.prepare, path, kind, cloud.settings)
    async with cloud.db.write() as session:
        made = await media.add(
            session,
            prepared,
            merchant_id=store.merchant_id,
            store_id=store.id,
            room_id=room_id or None,
            alt=alt.strip(),
            now=cloud.clocks.real,
        )
        await _record(session, who, made, "media.add", cloud.clocks)
    return MediaOut.of(made)


@router.put("/console/media/{media_id}/poster")
async def poster(request: Request, media_id: str, who: StaffWho) -> MediaOut:
    """The picture that a video shows before it plays."""
    who.need(STORE_EDIT)

    async def find(session: AsyncSession) -> Media:
        return await media.one(session, who, media_id)

    return MediaOut.of(await media.give_poster(cloud_of(request), request.stream(), find))


@router.patch("/console/media/{media_id}")
async def edit(request: Request, media_id: str, body: MediaEdit, who: StaffWho) -> MediaOut:
    """Say what it shows."""
    who.need(STORE_EDIT)
    async with cloud_of(request).db.write() as session:
        found = await media.one(session, who, media_id)
        found.alt = body.alt
        session.add(found)
    return MediaOut.of(found)


@router.put("/console/stores/{store_id}/media-order")
async def order(
    request: Request, store_id: str, body: MediaOrder, who: StaffWho, room_id: Id = ""
) -> MediaList:
    """The order in which they are shown; the first is the cover."""
    who.need(STORE_EDIT)
    async with cloud_of(request).db.write() as session:
        await get_store(session, who, store_id)
        await media.order(
            session, await media.of_place(session, store_id, room_id or None), body.ids
        )
        await session.flush()
        found = await media.of_place(session, store_id, room_id or None)
    return MediaList(items=[MediaOut.of(one) for one in found])


@router.delete("/console/media/{media_id}", status_code=204)
async def delete(request: Request, media_id: str, who: StaffWho) -> None:
    """Take it off every page; its files go soon after."""
    who.need(STORE_EDIT)
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        found = await media.one(session, who, media_id)
        await media.give_up(session, found, cloud.clocks.real)
        await _record(session, who, found, "media.delete", cloud.clocks)


async def _record(session: Any, who: Staff, found: Media, action: str, clocks: Any) -> None:
    await audit.record(
        session,
        who,
        action,
        merchant_id=found.merchant_id,
        store_id=found.store_id,
        subject=f"media:{found.id}",
        after={"kind": found.kind, "room_id": found.room_id},
        clocks=clocks,
    )
