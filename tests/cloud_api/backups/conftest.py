"""A cloud whose backups go to a folder, with a key of its owner and something worth keeping."""

from __future__ import annotations

from pathlib import Path

import pytest

import cloud_api.audit.jobs
import cloud_api.backups.jobs  # noqa: F401  registers its handlers
from cloud_api.backups import key as keys
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.keys import load_keys


@pytest.fixture
def backed(cloud: Cloud, tmp_path: Path) -> Cloud:
    """``cloud`` with backups set up, a picture and signing keys."""
    settings = cloud.settings
    settings.data_dir = tmp_path / "data"
    settings.media_dir = tmp_path / "data" / "media"
    settings.media_dir.mkdir(parents=True)
    (settings.media_dir / "room.jpg").write_bytes(b"\xff\xd8" + bytes(range(256)) * 10)
    load_keys(settings.data_dir)
    settings.backup_to = str(tmp_path / "backups")
    settings.backup_key_file = tmp_path / "owner.key"
    keys.make_file(settings.backup_key_file)
    return cloud
