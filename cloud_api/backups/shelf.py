"""What lies in the storage: a backup is good when its manifest is there and its file is of that size.

The manifest is written last. So an upload that broke off, or is still going on, is never listed.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cloud_api.backups.retention import Keep, stays
from cloud_api.backups.storage import Storage, StorageFailed
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _

SUFFIX: Final = ".kmb"
_NAME = re.compile(r"kaimen-(\d{8}T\d{6}Z)-[0-9a-f]{8}\.kmb(\.json)?(\.part)?")
_LEFT_OVER: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Backup:
    """A good backup. ``manifest`` is the public one beside the file: hashes and sizes, no data."""

    name: str
    made_at: datetime
    size: int
    manifest: dict[str, Any]

    @property
    def key_id(self) -> str:
        """Which key opens it."""
        return str(self.manifest.get("key_id", ""))


def backups(storage: Storage) -> list[Backup]:
    """All good backups, the newest first."""
    files = {one.name: one.size for one in storage.listed()}
    found = []
    for name, size in files.items():
        if name.endswith(SUFFIX) and f"{name}.json" in files:
            backup = _read(storage, name, size)
            if backup is not None:
                found.append(backup)
    return sorted(found, key=lambda one: (one.made_at, one.name), reverse=True)


def one(storage: Storage, name: str | None) -> Backup:
    """The backup called ``name``, or the newest. Raises KaimenError ``backup.none`` (404)."""
    for backup in backups(storage):
        if name is None or backup.name == name:
            return backup
    what = (
        _("还没有一份完整的备份")
        if name is None
        else _("没有叫 {name} 的完整备份").format(name=name)
    )
    raise KaimenError("backup.none", what, status=404)


def sweep(storage: Storage, keep: Keep, tz: str, now: datetime) -> list[str]:
    """Delete what retention does not keep, and what broken uploads left; the names that went."""
    good = backups(storage)
    kept = stays([(one.name, one.made_at) for one in good], keep, tz, now)
    gone = [one.name for one in good if one.name not in kept]
    for name in gone:  # the manifest first: without it the rest is no backup
        storage.delete(f"{name}.json")
        storage.delete(name)
    known = {one.name for one in good}
    for file in storage.listed():
        match = _NAME.fullmatch(file.name)
        if match is None or file.name.removesuffix(".json") in known:
            continue
        made = datetime.strptime(match[1] + "+0000", "%Y%m%dT%H%M%SZ%z")
        if now - made > _LEFT_OVER:
            storage.delete(file.name)
            gone.append(file.name)
    return gone


def _read(storage: Storage, name: str, size: int) -> Backup | None:
    try:
        manifest = json.loads(storage.read(f"{name}.json"))
        if manifest["name"] != name or manifest["size"] != size:
            return None
        return Backup(name, datetime.fromisoformat(manifest["made_at"]), size, manifest)
    except (StorageFailed, ValueError, KeyError, TypeError):
        return None
