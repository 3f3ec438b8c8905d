"""/console/campaigns/…/media: photos and films of a campaign. An upload is the file itself as the body."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import pictures
from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.throttle import hit
from cloud_api.media import service as media
from cloud_api.media.models import Media
from cloud_api.media.schemas import MediaList, MediaOrder, MediaOut
from cloud_api.staff.deps import staff_actor
from cloud_api.stores.media_routes import MOST_UPLOADS

router = APIRouter(prefix="/console/campaigns/{campaign_id}", tags=["console: group-buy"])
Who = Annotated[Staff, Depends(staff_actor)]


@router.post("/media", status_code=201)
async def upload(
    request: Request,
    campaign_id: str,
    who: Who,
    kind: Literal["photo", "video"] = "photo",
    alt: Annotated[str, Query(max_length=100)] = "",
) -> MediaOut:
    """Take a file in: JPEG, PNG or WebP; a video as MP4 with H.264. 413 ``media.too_large``."""
    cloud = cloud_of(request)
    stated = request.headers.get("content-length", "")
    limit = media.limit_bytes(cloud.settings, kind)
    if stated.isdigit() and int(stated) > limit:
        raise media.too_large(limit)
    async with cloud.db.write() as session:
        await pictures.editable(session, who, campaign_id)
        await hit(session, f"upload:{who.staff_id}", *MOST_UPLOADS, cloud.clocks.real)
    async with media.arriving(request.stream(), cloud.settings, kind) as path:
        prepared = await asyncio.to_thread(media.prepare, path, kind, cloud.settings)
    async with cloud.db.write() as session:
        made = await pictures.add(session, who, campaign_id, prepared, alt.strip(), cloud.clocks)
    return MediaOut.of(made)


@router.put("/media-order")
async def order(request: Request, campaign_id: str, body: MediaOrder, who: Who) -> MediaList:
    """The order in which they are shown; the first is the cover, the poster's picture too."""
    async with cloud_of(request).db.write() as session:
        campaign = await pictures.order(session, who, campaign_id, body.ids)
        found = (await pictures.of(session, [campaign])).get(campaign.id, [])
    return MediaList(items=[MediaOut.of(one) for one in found])


@router.put("/media/{media_id}/poster")
async def film_poster(request: Request, campaign_id: str, media_id: str, who: Who) -> MediaOut:
    """The picture that a film shows before it plays."""

    async def find(session: AsyncSession) -> Media:
        return await pictures.named(
            session, await pictures.editable(session, who, campaign_id), media_id
        )

    return MediaOut.of(await media.give_poster(cloud_of(request), request.stream(), find))


@router.delete("/media/{media_id}", status_code=204)
async def delete(request: Request, campaign_id: str, media_id: str, who: Who) -> None:
    """Take it off the campaign's pages; its files go soon after."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await pictures.drop(session, who, campaign_id, media_id, cloud.clocks)
