"""Backups in storage that speaks S3, proved against a server of our own (moto), parts and all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from minio import Minio
from moto.server import ThreadedMotoServer

from cloud_api.backups import make, s3, service
from cloud_api.backups.s3 import S3
from cloud_api.backups.storage import StorageFailed
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.settings import Settings
from tests.cloud_api.backups.test_make import backup, opened
from tests.cloud_api.factories import Shop

BUCKET = "kaimen-backups"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    office = Minio(
        endpoint=f"{host}:{port}",
        access_key="key",
        secret_key="secret",
        region="us-east-1",
        secure=False,
    )
    office.make_bucket(bucket_name=BUCKET)
    yield url
    server.stop()


def settings(endpoint: str, **changes: str) -> Settings:
    values = {
        "backup_to": f"s3://{BUCKET}/house/one",
        "backup_s3_endpoint": endpoint,
        "backup_s3_access_key": "key",
        "backup_s3_secret_key": "secret",
        "backup_s3_region": "us-east-1",
    }
    return Settings(secrets="11" * 32, **(values | changes))  # type: ignore[arg-type]


def test_files_go_in_whole_and_come_back(endpoint: str, tmp_path: Path):
    storage = S3(settings(endpoint))
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_bytes(b"hello")
    large.write_bytes(os.urandom((16 << 20) + 12345))  # in two parts
    heard: list[int] = []
    storage.put("small", small, heard.append)
    storage.put("large", large, heard.append)
    assert sum(heard) == 5 + large.stat().st_size
    storage.put_bytes("note.json", b"{}")
    assert {one.name: one.size for one in storage.listed()} == {
        "small": 5,
        "large": large.stat().st_size,
        "note.json": 2,
    }
    back = tmp_path / "back"
    storage.get("large", back)
    assert back.read_bytes() == large.read_bytes()
    assert storage.read("note.json") == b"{}"
    for name in ("small", "large", "note.json", "never"):
        storage.delete(name)
    assert storage.listed() == []
    assert "secret" not in storage.place


def test_prefixes_do_not_see_each_other(endpoint: str):
    one = S3(settings(endpoint))
    other = S3(settings(endpoint, backup_to=f"s3://{BUCKET}/house/one2"))
    root = S3(settings(endpoint, backup_to=f"s3://{BUCKET}"))
    other.put_bytes("x", b"1")
    root.put_bytes("y", b"1")
    assert one.listed() == []
    assert [file.name for file in root.listed()] == ["y"]
    other.delete("x")
    root.delete("y")


def test_what_the_storage_refuses_is_said(endpoint: str, tmp_path: Path):
    missing = S3(settings(endpoint, backup_to="s3://no-such-bucket/x"))
    with pytest.raises(StorageFailed, match="NoSuchBucket"):
        missing.put_bytes("a", b"1")
    with pytest.raises(StorageFailed):
        S3(settings(endpoint)).read("never")


def test_a_storage_that_is_away_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(s3, "RETRIES", 0)
    away = S3(settings("http://127.0.0.1:9"))
    with pytest.raises(StorageFailed):
        away.listed()


@pytest.mark.parametrize("db_url", ["sqlite"], indirect=True)
async def test_a_backup_goes_there_and_can_be_verified(backed: Cloud, shop: Shop, endpoint: str):
    for name, value in settings(endpoint).model_dump().items():
        if name.startswith("backup_s3") or name == "backup_to":
            setattr(backed.settings, name, value)
    run = await backup(backed)
    assert (run.state, run.error) == ("good", None)
    assert [one.name for one in await service.stored(backed)] == [run.name]
    inner = await service.verify(backed, System(), None, opened(backed), make.Progress())
    assert inner["name"] == run.name
