"""Where photos and videos lie: a folder (backed up with the database), or storage that speaks S3.

Keys are ``{media id}/{file}``. A file appears complete or not at all. All of it blocks; it runs in threads.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Protocol

from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.settings import Settings

CHUNK: Final = 256 << 10
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FILE: Final = re.compile(r"[a-z0-9-]{1,32}\.(webp|jpg|png|mp4)")


class MediaStorage(Protocol):
    """A place for files. Raises KaimenError ``media.storage`` (503) where it is not reached."""

    def put(self, media_id: str, name: str, data: bytes | Path) -> None:
        """Store a file whole."""
        ...

    def size(self, media_id: str, name: str) -> int:
        """Its length in bytes. Raises NotFound."""
        ...

    def read(self, media_id: str, name: str, start: int, end: int) -> Iterator[bytes]:
        """Bytes ``start``..``end`` (half open), in chunks. Raises NotFound."""
        ...

    def drop(self, media_id: str) -> None:
        """All files of one; fine if they are gone."""
        ...

    def ids(self) -> list[str]:
        """Whose files are there."""
        ...


def open_media(settings: Settings) -> MediaStorage:
    """The storage of the settings."""
    if not settings.media_to:
        return Folder(settings.media_dir)
    from cloud_api.media.s3 import S3Media  # slow to load; only those who use it pay

    return S3Media(settings)


class Folder:
    """A folder of this machine or of a mounted one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, media_id: str, name: str, data: bytes | Path) -> None:
        """Write beside, sync, rename."""
        target = self._path(media_id, name)
        part = target.with_name(f"{name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
            if isinstance(data, Path):
                shutil.copyfile(data, part)
            else:
                part.write_bytes(data)
            with part.open("rb+") as written:
                os.fsync(written.fileno())
            part.replace(target)
        except OSError as error:
            raise storage_failed(error) from error

    def size(self, media_id: str, name: str) -> int:
        """Its length."""
        try:
            return self._path(media_id, name).stat().st_size
        except FileNotFoundError as error:
            raise NotFound("media") from error

    def read(self, media_id: str, name: str, start: int, end: int) -> Iterator[bytes]:
        """In chunks."""
        try:
            file = self._path(media_id, name).open("rb")
        except FileNotFoundError as error:
            raise NotFound("media") from error
        with file:
            file.seek(start)
            left = end - start
            while left > 0 and (piece := file.read(min(CHUNK, left))):
                left -= len(piece)
                yield piece

    def drop(self, media_id: str) -> None:
        """The folder of it."""
        if _ID.fullmatch(media_id):
            shutil.rmtree(self.folder / media_id, ignore_errors=True)

    def ids(self) -> list[str]:
        """The folders."""
        if not self.folder.is_dir():
            return []
        return sorted(one.name for one in self.folder.iterdir() if one.is_dir())

    def _path(self, media_id: str, name: str) -> Path:
        return self.folder / key_of(media_id, name)


def key_of(media_id: str, name: str) -> str:
    """The key. Raises NotFound for what no file of ours is called."""
    if not _ID.fullmatch(media_id) or not _FILE.fullmatch(name):
        raise NotFound("media")
    return f"{media_id}/{name}"


def storage_failed(error: object) -> KaimenError:
    """The storage refused or was not reached."""
    return KaimenError(
        "media.storage", "照片存不进去，稍后再试。已有的照片都在", status=503,
        extra={"why": str(error)[:120]},
    )  # fmt: skip
