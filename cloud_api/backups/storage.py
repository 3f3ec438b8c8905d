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
from typing import BinaryIO, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from cloud_api.kit.errors import KaimenError
from cloud_api.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_TIME_S = 60.0
RETRIES = 3
T = TypeVar("T")


class StorageFailed(KaimenError):
    """The storage refused or was not reached."""

    def __init__(self, what: object) -> None:
        super().__init__("backup.storage", f"备份存储出错：{str(what)[:300]}")


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
    return S3(settings) if where.startswith("s3://") else Folder(Path(where))


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
        return self.folder / _plain(name)

    def _sync(self) -> None:
        handle = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class S3:
    """A bucket, and a prefix in it, of any storage that speaks S3. The bucket must be there."""

    def __init__(self, settings: Settings) -> None:
        assert settings.backup_to is not None
        target = urlsplit(settings.backup_to)
        endpoint = urlsplit(settings.backup_s3_endpoint or "https://s3.amazonaws.com")
        if endpoint.scheme not in {"http", "https"} or not endpoint.netloc or not target.netloc:
            raise KaimenError(
                "backup.not_configured",
                "KAIMEN_BACKUP_TO 要写成 s3://桶/前缀，KAIMEN_BACKUP_S3_ENDPOINT 要写成 https://…",
            )
        self._bucket = target.netloc
        self._prefix = f"{target.path.strip('/')}/".lstrip("/")
        self.place = f"s3://{self._bucket}/{self._prefix}（{endpoint.netloc}）"
        self._client = Minio(
            endpoint=endpoint.netloc,
            access_key=settings.backup_s3_access_key,
            secret_key=settings.backup_s3_secret_key,
            region=settings.backup_s3_region,
            secure=endpoint.scheme == "https",
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=10, read=_TIME_S),
                retries=urllib3.Retry(
                    total=RETRIES, backoff_factor=0.5, status_forcelist=[500, 502, 503]
                ),
            ),
        )

    def put(self, name: str, source: Path, heard: Callable[[int], None]) -> None:
        """Upload (in parts where it is long); an object is there when its last part is."""
        with source.open("rb") as file:
            size = source.stat().st_size
            self._call(
                lambda: self._client.put_object(
                    bucket_name=self._bucket,
                    object_name=self._key(name),
                    data=cast(BinaryIO, _Heard(file, heard)),
                    length=size,
                    part_size=16 << 20 if size > 16 << 20 else 0,
                )
            )
        there = self._call(
            lambda: (
                self._client.stat_object(bucket_name=self._bucket, object_name=self._key(name)).size
            )
        )
        if there != size:
            raise StorageFailed(f"{name} 只到了 {there} / {size} 字节")

    def put_bytes(self, name: str, data: bytes) -> None:
        """Upload."""
        self._call(
            lambda: self._client.put_object(
                bucket_name=self._bucket,
                object_name=self._key(name),
                data=io.BytesIO(data),
                length=len(data),
            )
        )

    def get(self, name: str, target: Path) -> None:
        """Download."""
        self._call(
            lambda: self._client.fget_object(
                bucket_name=self._bucket, object_name=self._key(name), file_path=str(target)
            )
        )

    def read(self, name: str) -> bytes:
        """Download a short file."""

        def act() -> bytes:
            answer = self._client.get_object(bucket_name=self._bucket, object_name=self._key(name))
            try:
                return bytes(answer.read())
            finally:
                answer.close()
                answer.release_conn()

        return self._call(act)

    def listed(self) -> list[Stored]:
        """The objects below the prefix."""

        def act() -> list[Stored]:
            found = self._client.list_objects(bucket_name=self._bucket, prefix=self._prefix)
            return [
                Stored(str(one.object_name)[len(self._prefix) :], int(one.size or 0))
                for one in found
                if not one.is_dir
            ]

        return self._call(act)

    def delete(self, name: str) -> None:
        """Remove the object."""
        self._call(
            lambda: self._client.remove_object(
                bucket_name=self._bucket, object_name=self._key(name)
            )
        )

    def _key(self, name: str) -> str:
        return f"{self._prefix}{_plain(name)}"

    def _call(self, act: Callable[[], T]) -> T:
        try:
            return act()
        except S3Error as error:
            raise StorageFailed(f"{error.code} {error.message}") from error
        except (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise StorageFailed(error) from error


class _Heard(io.RawIOBase):
    """A file that tells how much of it was read."""

    def __init__(self, file: io.BufferedReader, heard: Callable[[int], None]) -> None:
        super().__init__()
        self._file, self._tell = file, heard

    def read(self, size: int = -1) -> bytes:
        """Read, and tell."""
        data = self._file.read(size)
        self._tell(len(data))
        return data


def _private(path: Path) -> io.BufferedWriter:
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    return os.fdopen(handle, "wb")


def _plain(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise KaimenError("backup.bad_name", f"没有叫 {name!r} 的备份", status=404)
    return name
