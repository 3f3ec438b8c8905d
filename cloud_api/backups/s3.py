"""Backups in storage that speaks S3. Apart from storage.py because its client is slow to load."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, TypeVar, cast
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.error import MinioException, S3Error

from cloud_api.backups.storage import StorageFailed, Stored, plain_name
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.settings import Settings

_TIME_S = 60.0
RETRIES = 3
T = TypeVar("T")


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
        self.place = f"s3://{self._bucket}/{self._prefix}({endpoint.netloc})"
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
            raise StorageFailed(
                _("{name} 只到了 {there} / {size} 字节").format(name=name, there=there, size=size)
            )

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
        return f"{self._prefix}{plain_name(name)}"

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
