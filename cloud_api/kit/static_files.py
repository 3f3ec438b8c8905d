"""Files that pages stand on: kept for long by their hash, and packed for whoever takes them so.

Only files are packed, never pages: what is packed together with a secret can be guessed by its length
(BREACH), and a file holds none.
"""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers, QueryParams
from starlette.responses import FileResponse, Response
from starlette.types import Scope

_PACKED: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_LEAST: Final = 1024  # bytes; a smaller file gains nothing


_MODULES: Final = "m-"  # a folder of the address, before all scripts
_FOREVER: Final = "public, max-age=31536000, immutable"
_SHORT: Final = "public, max-age=300"


def file_digest(path: Path) -> str:
    """What an address says of a file's content."""
    return _digest_of(str(path), path.stat().st_mtime_ns)


Bundles = Mapping[str, tuple[str, ...]]
"""By its name, the files that stand in it one after the other: one request instead of one for each."""


def bundle_digest(directory: Path, parts: tuple[str, ...]) -> str:
    """What an address says of a bundle's content."""
    whole = "\n".join(file_digest(directory / part) for part in parts)
    return hashlib.sha256(whole.encode()).hexdigest()[:10]


def bundle_content(directory: Path, parts: tuple[str, ...]) -> bytes:
    """The files of a bundle, one after the other."""
    return b"\n".join((directory / part).read_bytes() for part in parts)


@cache
def modules_folder(directory: Path) -> str:
    """``m-{digest of all scripts}``: the folder that scripts are asked for under.

    They import each other by relative paths, so the folder's name is in the address of each of them, and
    changes for all when one changes: never an old part beside a new one.
    """
    whole = hashlib.sha256()
    for path in sorted(directory.rglob("*.js")):
        whole.update(f"{path.relative_to(directory)}\n{file_digest(path)}\n".encode())
    return f"{_MODULES}{whole.hexdigest()[:10]}"


def inside(path: str) -> str:
    """A file's path below its directory, from one of an address: without the folder of all scripts."""
    folder, _, rest = path.partition("/")
    return rest if folder.startswith(_MODULES) else path


class StaticForLong(StaticFiles):
    """Static files; an address that says what is in the file (``?v=``, ``m-…/``) may be kept for a year.

    One that says something else, as while two versions run side by side, is kept by nobody.
    """

    def __init__(self, directory: Path, bundles: Bundles | None = None) -> None:
        super().__init__(directory=directory)
        self._modules = modules_folder(directory)
        self._folder, self._bundles = directory, bundles or {}

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file with its Cache-Control, gzipped where that is asked for."""
        name = inside(path)
        if name in self._bundles and scope["method"] in ("GET", "HEAD"):
            return self._bundle(self._bundles[name], scope)
        response = await super().get_response(name, scope)
        told = _SHORT
        if name != path:
            told = _FOREVER if path.startswith(f"{self._modules}/") else "no-store"
        elif isinstance(response, FileResponse) and (said := _said(scope)) is not None:
            told = _FOREVER if said == file_digest(Path(response.path)) else "no-store"
        if isinstance(response, FileResponse) and scope["method"] == "GET":
            response = _packed(response, Headers(scope=scope))
        response.headers["Cache-Control"] = told
        return response

    def _bundle(self, parts: tuple[str, ...], scope: Scope) -> Response:
        digest = bundle_digest(self._folder, parts)
        plain, packed = _together(str(self._folder), parts, digest)
        takes = "gzip" in Headers(scope=scope).get("accept-encoding", "")
        told = {"Vary": "Accept-Encoding"} | ({"Content-Encoding": "gzip"} if takes else {})
        said = _said(scope)
        told["Cache-Control"] = (
            _SHORT if said is None else _FOREVER if said == digest else "no-store"
        )
        kind = _PACKED[Path(parts[0]).suffix]
        return Response(packed if takes else plain, media_type=kind, headers=told)


def _said(scope: Scope) -> str | None:
    return QueryParams(scope.get("query_string", b"")).get("v")


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


@lru_cache(maxsize=512)
def _digest_of(path: str, mtime_ns: int) -> str:
    """Of the content; another time is another file."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:10]


@lru_cache(maxsize=256)
def _gzip(path: str, mtime_ns: int, size: int) -> bytes:
    """The packed file; another time or size is another file."""
    return gzip.compress(Path(path).read_bytes(), 9, mtime=0)


@lru_cache(maxsize=16)
def _together(directory: str, parts: tuple[str, ...], digest: str) -> tuple[bytes, bytes]:
    """A bundle plain and packed; another digest is another bundle."""
    whole = bundle_content(Path(directory), parts)
    return whole, gzip.compress(whole, 9, mtime=0)
