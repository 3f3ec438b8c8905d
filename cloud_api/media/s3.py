"""Media in storage that speaks S3. Apart from storage.py because its client is slow to load."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import urllib3
from minio import Minio
from minio.deleteobjects import DeleteObject
from minio.error import MinioException, S3Error

from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.media.storage import CHUNK, key_of, storage_failed
from cloud_api.settings import Settings

_TYPES: Final = {"webp": "image/webp", "jpg": "image/jpeg", "png": "image/png", "mp4": "video/mp4"}
_GONE: Final = frozenset({"NoSuchKey", "NoSuchObject", "NoSuchBucket"})
_FAILED = (MinioException, urllib3.exceptions.HTTPError, OSError, ValueError)


class S3Media:
    """A bucket, and a prefix in it. The bucket must be there; it is backed up by its own means."""

    def __init__(self, settings: Settings) -> None:
        target = urlsplit(settings.media_to or "")
        endpoint = urlsplit(settings.media_s3_endpoint or "https://s3.amazonaws.com")
        if target.scheme != "s3" or not target.netloc or not endpoint.netloc:
            raise KaimenError(
                "media.not_configured",
                "KAIMEN_MEDIA_TO 要写成 s3://桶/前缀，KAIMEN_MEDIA_S3_ENDPOINT 要写成 https://…",
            )
        self._bucket = target.netloc
        self._prefix = f"{target.path.strip('/')}/".lstrip("/")
        self._client = Minio(
            endpoint=endpoint.netloc,
            access_key=settings.media_s3_access_key,
            secret_key=settings.media_s3_secret_key,
            region=settings.media_s3_region,
            secure=endpoint.scheme == "https",
            http_client=urllib3.PoolManager(
                timeout=urllib3.Timeout(connect=5, read=30),
                retries=urllib3.Retry(
                    total=2, backoff_factor=0.3, status_forcelist=[500, 502, 503]
                ),
            ),
        )

    def put(self, media_id: str, name: str, data: bytes | Path) -> None:
        """Upload; an object is there when all of it is."""
        key, kind = self._key(media_id, name), _TYPES[name.rpartition(".")[2]]
        try:
            if isinstance(data, Path):
                self._client.fput_object(
                    bucket_name=self._bucket,
                    object_name=key,
                    file_path=str(data),
                    content_type=kind,
                )
            else:
                self._client.put_object(
                    bucket_name=self._bucket,
                    object_name=key,
                    data=io.BytesIO(data),
                    length=len(data),
                    content_type=kind,
                )
        except _FAILED as error:
            raise storage_failed(type(error).__name__) from error

    def size(self, media_id: str, name: str) -> int:
        """Its length."""
        try:
            found = self._client.stat_object(
                bucket_name=self._bucket, object_name=self._key(media_id, name)
            )
        except S3Error as error:
            raise self._refused(error) from error
        except _FAILED as error:
            raise storage_failed(type(error).__name__) from error
        return int(found.size or 0)

    def read(self, media_id: str, name: str, start: int, end: int) -> Iterator[bytes]:
        """In chunks."""
        if end <= start:
            return
        try:
            answer = self._client.get_object(
                bucket_name=self._bucket,
                object_name=self._key(media_id, name),
                offset=start,
                length=end - start,
            )
        except S3Error as error:
            raise self._refused(error) from error
        except _FAILED as error:
            raise storage_failed(type(error).__name__) from error
        try:
            yield from answer.stream(CHUNK)
        finally:
            answer.close()
            answer.release_conn()

    def drop(self, media_id: str) -> None:
        """All objects of one."""
        try:
            found = list(
                self._client.list_objects(
                    bucket_name=self._bucket, prefix=f"{self._prefix}{media_id}/"
                )
            )
            gone = [DeleteObject(str(one.object_name)) for one in found]
            failed = list(
                self._client.remove_objects(bucket_name=self._bucket, delete_object_list=gone)
            )
        except _FAILED as error:
            raise storage_failed(type(error).__name__) from error
        if failed:
            raise storage_failed(failed[0].code)

    def ids(self) -> list[str]:
        """The first part of each key."""
        try:
            found = self._client.list_objects(bucket_name=self._bucket, prefix=self._prefix)
            return sorted(
                str(one.object_name)[len(self._prefix) :].strip("/") for one in found if one.is_dir
            )
        except _FAILED as error:
            raise storage_failed(type(error).__name__) from error

    def _key(self, media_id: str, name: str) -> str:
        return f"{self._prefix}{key_of(media_id, name)}"

    def _refused(self, error: S3Error) -> KaimenError:
        return NotFound("media") if error.code in _GONE else storage_failed(error.code)
