"""Files that pages stand on: kept for long by their hash, and packed for whoever takes them so.

Only files are packed, never pages: what is packed together with a secret can be guessed by its length
(BREACH), and a file holds none.
"""

from __future__ import annotations

import gzip
from functools import lru_cache
from pathlib import Path
from typing import Final

from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.types import Scope

_PACKED: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_LEAST: Final = 1024  # bytes; a smaller file gains nothing


class StaticForLong(StaticFiles):
    """Static files; an address with a content hash (``?v=``) may be kept for a year."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file with its Cache-Control, gzipped where that is asked for."""
        response = await super().get_response(path, scope)
        if isinstance(response, FileResponse) and scope["method"] == "GET":
            response = _packed(response, Headers(scope=scope))
        hashed = b"v=" in scope.get("query_string", b"")
        response.headers["Cache-Control"] = (
            "public, max-age=31536000, immutable" if hashed else "public, max-age=300"
        )
        return response


def _packed(response: FileResponse, asked: Headers) -> Response:
    file = Path(response.path)
    kind = _PACKED.get(file.suffix)
    if kind is None or response.status_code != 200:
        return response
    response.headers["Vary"] = "Accept-Encoding"
    if "gzip" not in asked.get("accept-encoding", "") or "range" in asked:
        return response
    stat = file.stat()
    if stat.st_size < _LEAST:
        return response
    packed = _gzip(str(file), stat.st_mtime_ns, stat.st_size)
    told = {"Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
    if "etag" in response.headers:
        told["ETag"] = response.headers["etag"]
    return Response(packed, media_type=kind, headers=told)


@lru_cache(maxsize=256)
def _gzip(path: str, mtime_ns: int, size: int) -> bytes:
    """The packed file; another time or size is another file."""
    return gzip.compress(Path(path).read_bytes(), 9, mtime=0)
