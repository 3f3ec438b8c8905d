"""Where backups lie: a folder, or storage that speaks S3. Both know whole files only.

A file appears under its name complete or not at all. All of it blocks; it runs in threads.
"""

from __future__ import annotations

import io
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


class StorageFailed(KaimenError):
    """The storage refused or was not reached."""

    def __init__(self, what: object) -> None:
        super().__init__("backup.storage", _("备份存储出错：{what}").format(what=str(what)[:300]))


@dataclass(frozen=True, slots=True)
class Stored:
    """A file in the storage."""

    name: str
    size: int


class Storage(Protocol):
    """A place for files. All raise StorageFailed."""

    place: str  # for people, without secrets

    def put(self, name: str, source: Path, heard: Callable[[int], None]) -> None:
        """Store a file whole; ``heard`` gets the bytes as they go."""
        ...

    def put_bytes(self, name: str, data: bytes) -> None:
        """Store a short file."""
        ...

    def get(self, name: str, target: Path) -> None:
        """Fetch a file."""
        ...

    def read(self, name: str) -> bytes:
        """Fetch a short file."""
        ...

    def listed(self) -> list[Stored]:
        """What is there."""
        ...

    def delete(self, name: str) -> None:
        """Delete a file; fine if it is gone."""
        ...


def open_storage(settings: Settings) -> Storage:
    """The storage of the settings. Raises KaimenError ``backup.not_configured``."""
    where = settings.backup_to
    if not where:
        raise KaimenError(
            "backup.not_configured", "还没有设置备份放哪里：KAIMEN_BACKUP_TO（文件夹或 s3://…）"
        )
    if not where.startswith("s3://"):
        return Folder(Path(where))
    # The client of S3 is a tenth of a second of loading, which only those who use it pay.
    from cloud_api.backups.s3 import S3

    return S3(settings)


class Folder:
    """A folder of this machine or of a mounted one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = str(folder)

    def put(self, name: str, source: Path, heard: Callable[[int], None]) -> None:
        """Copy beside, sync, rename."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            part = self._path(f"{name}.part")
            with source.open("rb") as read, _private(part) as written:
                while piece := read.read(1 << 20):
                    written.write(piece)
                    heard(len(piece))
                written.flush()
                os.fsync(written.fileno())
            part.replace(self._path(name))
            self._sync()
        except OSError as error:
            raise StorageFailed(error) from error

    def put_bytes(self, name: str, data: bytes) -> None:
        """As ``put``."""
        try:
            part = self._path(f"{name}.part")
            with _private(part) as written:
                written.write(data)
                written.flush()
                os.fsync(written.fileno())
            part.replace(self._path(name))
            self._sync()
        except OSError as error:
            raise StorageFailed(error) from error

    def get(self, name: str, target: Path) -> None:
        """Copy."""
        try:
            shutil.copyfile(self._path(name), target)
        except OSError as error:
            raise StorageFailed(error) from error

    def read(self, name: str) -> bytes:
        """Read."""
        try:
            return self._path(name).read_bytes()
        except OSError as error:
            raise StorageFailed(error) from error

    def listed(self) -> list[Stored]:
        """Every file, unfinished ones as well (``.part``)."""
        try:
            if not self.folder.is_dir():
                return []
            return [
                Stored(path.name, path.stat().st_size)
                for path in sorted(self.folder.iterdir())
                if path.is_file()
            ]
        except OSError as error:
            raise StorageFailed(error) from error

    def delete(self, name: str) -> None:
        """Unlink."""
        try:
            self._path(name).unlink(missing_ok=True)
        except OSError as error:
            raise StorageFailed(error) from error

    def _path(self, name: str) -> Path:
        return self.folder / plain_name(name)

    def _sync(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _private(path: Path) -> io.BufferedWriter:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(handle, "wb")


def plain_name(name: str) -> str:
    """``name`` as it is. Raises KaimenError ``backup.bad_name`` for what no backup is called."""
    if not _NAME.fullmatch(name):
        raise KaimenError(
            "backup.bad_name", _("没有叫 {name!r} 的备份").format(name=name), status=404
        )
    return name
