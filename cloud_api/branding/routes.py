"""/console/brand: how guests see the merchant; /brand/{merchant}.css: its colour for every page."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.branding import service
from cloud_api.branding.colour import ramp
from cloud_api.branding.looks import forget, looks_of
from cloud_api.branding.models import Brand
from cloud_api.branding.pictures import MOST_BYTES, Shape, prepare
from cloud_api.branding.schemas import BrandIn, BrandOut, ColourIn, RampOut, VersionIn
from cloud_api.branding.stylesheet import stylesheet
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.http import cloud_of
from cloud_api.kit.ids import new_id
from cloud_api.kit.throttle import hit
from cloud_api.media import service as media
from cloud_api.media.storage import open_media
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console/brand", tags=["console: settings"])
files = APIRouter(include_in_schema=False)
Who = Annotated[Staff, Depends(staff_actor)]
MOST_LOGOS: Final = (60, 3600)  # of one member of staff in an hour
_FOREVER: Final = "public, max-age=31536000, immutable"


@router.get("")
async def read(request: Request, who: Who) -> BrandOut:
    """The merchant's brand; empty values are Kaimen's own. Needs brand.edit."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found, version = await service.of(session, who, cloud.clocks)
    return BrandOut.of(found, version=version)


@router.put("")
async def save(body: BrandIn, request: Request, who: Who) -> BrandOut:
    """Take these words and this colour. 409 ``brand.changed`` if ``version`` is not the last. Needs brand.edit."""
    words = body.model_dump(exclude={"version"})
    return await _changed(
        request, lambda session, clocks: service.save(session, who, words, body.version, clocks)
    )


@router.post("/reset")
async def reset(body: VersionIn, request: Request, who: Who) -> BrandOut:
    """Kaimen's own look again. Needs brand.edit."""
    return await _changed(
        request, lambda session, clocks: service.reset(session, who, body.version, clocks)
    )


@router.post("/undo")
async def undo(body: VersionIn, request: Request, who: Who) -> BrandOut:
    """Take the last change back; twice brings it again. Needs brand.edit."""
    return await _changed(
        request, lambda session, clocks: service.undo(session, who, body.version, clocks)
    )


@router.post("/ramp")
async def look_at(body: ColourIn, who: Who) -> RampOut:
    """What a colour becomes in light and dark, and where it had to change. Changes nothing. Needs brand.edit."""
    service.need(who)
    if not body.colour:
        raise KaimenError("brand.colour", "先选一个颜色", status=422, field="colour")
    return RampOut.of(ramp(body.colour))


@router.put("/logos/{shape}")
async def logo(shape: Shape, request: Request, who: Who) -> BrandOut:
    """Take a logo in: PNG, JPEG or WebP as the body, 2 MB at most; ``square`` or ``wide``. Needs brand.edit.

    413 ``media.too_large``, 422 ``media.not_a_photo``, ``media.too_small``, ``brand.shape``.
    """
    service.need(who)
    cloud = cloud_of(request)
    stated = request.headers.get("content-length", "")
    if stated.isdigit() and int(stated) > MOST_BYTES:
        raise media.too_large(MOST_BYTES)
    async with cloud.db.write() as session:
        await hit(session, f"upload:{who.staff_id}", *MOST_LOGOS, cloud.clocks.real)
    async with media.arriving(request.stream(), cloud.settings, media.LOGO, MOST_BYTES) as path:
        prepared = await asyncio.to_thread(
            prepare, path, shape, new_id(), open_media(cloud.settings)
        )
    return await _changed(
        request, lambda session, clocks: service.set_logo(session, who, shape, prepared, clocks)
    )


@router.delete("/logos/{shape}")
async def drop_logo(shape: Shape, request: Request, who: Who) -> BrandOut:
    """Show Kaimen's mark in its place. Needs brand.edit."""
    return await _changed(
        request, lambda session, clocks: service.set_logo(session, who, shape, None, clocks)
    )


async def _changed(
    request: Request, act: Callable[[AsyncSession, Clocks], Awaitable[Brand]]
) -> BrandOut:
    """What ``act`` made of the brand, once it is committed: pages of this process look anew."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        made = await act(session, cloud.clocks)
    forget(cloud)
    return BrandOut.of(made)


@files.get("/brand/{merchant_id}.css")
async def css(merchant_id: str, request: Request, v: str = "") -> Response:
    """A merchant's colour. Its address names the version; one that names another is kept by nobody."""
    look = (await looks_of(cloud_of(request))).of(merchant_id or "-")
    if look.ramp is None:
        raise NotFound("brand", "这个商家没有自己的颜色")
    kept = _FOREVER if v == str(look.version) else "no-store"
    return Response(stylesheet(look.ramp), media_type="text/css", headers={"Cache-Control": kept})
