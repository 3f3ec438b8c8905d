"""/media/{id}/{file}: photos and videos, kept for a year by browsers; parts of a video by Range."""

from __future__ import annotations

import asyncio
import re
from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.responses import StreamingResponse

from cloud_api.kit.http import cloud_of
from cloud_api.media.storage import open_media

router = APIRouter(include_in_schema=False)

_TYPES: Final = {"webp": "image/webp", "jpg": "image/jpeg", "png": "image/png", "mp4": "video/mp4"}
_RANGE: Final = re.compile(r"bytes=(\d{0,15})-(\d{0,15})")
_FOREVER: Final = "public, max-age=31536000, immutable"


@router.api_route("/media/{media_id}/{name}", methods=["GET", "HEAD"])
async def get_file(request: Request, media_id: str, name: str) -> Response:
    """A file never changes under its name: a new photo has a new id."""
    storage = open_media(cloud_of(request).settings)
    tag = f'"{media_id}-{name}"'
    headers = {
        "Cache-Control": _FOREVER,
        "ETag": tag,
        "Accept-Ranges": "bytes",
        "Content-Security-Policy": "default-src 'none'; sandbox",
    }
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    size = await asyncio.to_thread(storage.size, media_id, name)
    kind = _TYPES[name.rpartition(".")[2]]
    asked = request.headers.get("range", "")
    if request.headers.get("if-range", tag) != tag:
        asked = ""
    start, end, status = 0, size, 200
    if asked:
        part = part_of(asked, size)
        if part is None:
            return Response(
                status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"}
            )
        if part != (0, size) or asked:
            start, end = part
            status = 206
            headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=kind)
    return StreamingResponse(
        storage.read(media_id, name, start, end), status, headers, media_type=kind
    )


def part_of(asked: str, size: int) -> tuple[int, int] | None:
    """What a Range header asks for (half open); all of it for several ranges; None: nothing there is."""
    if "," in asked:
        return 0, size
    found = _RANGE.fullmatch(asked.strip())
    if found is None:
        return 0, size
    first, last = found.groups()
    if not first and not last:
        return 0, size
    if not first:  # the last so many bytes
        count = min(int(last), size)
        return (size - count, size) if count else None
    start = int(first)
    end = min(int(last) + 1, size) if last else size
    return (start, end) if start < end else None
