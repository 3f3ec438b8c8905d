"""The owner's key to the backups: a file, or a passphrase. The installation's own secrets do not serve:
they lie inside the backup, and a backup must open when all else is lost.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.files import write_whole
from cloud_api.kit.i18n import gettext as _
from cloud_api.settings import Settings

SCRYPT_N: Final = 1 << 16  # 64 MiB and a third of a second
_R, _P = 8, 1
_MAX_N: Final = 1 << 20  # a header cannot make us take more than 1 GiB
_SHORTEST = 12
_TITLE = "# Kaimen backup key. Keep a copy away from this machine.\n"


class WrongKey(KaimenError):
    """The backup was made with another key."""

    def __init__(self) -> None:
        super().__init__(
            "backup.wrong_key", _("这份备份是用另一把密钥加密的，请用 --key-file 指定当时的那把")
        )


class NoKey(KaimenError):
    """No key is configured."""

    def __init__(self) -> None:
        super().__init__(
            "backup.no_key",
            _("还没有备份密钥：设置 KAIMEN_BACKUP_KEY_FILE 或 KAIMEN_BACKUP_PASSPHRASE"),
        )


@dataclass(frozen=True, slots=True)
class OwnerKey:
    """A master key and how it came about. ``id`` tells keys apart and says nothing of them."""

    master: bytes = field(repr=False)
    passphrase: str | None = field(default=None, repr=False)
    kdf: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """Eight hex digits."""
        derived = HKDF(hashes.SHA256(), 4, salt=None, info=b"kaimen-backup-id").derive(self.master)
        return derived.hex()

    def header(self) -> dict[str, Any]:
        """What a backup's header says of its key."""
        return {"id": self.id, "kdf": self.kdf}

    def fits(self, header: dict[str, Any]) -> bool:
        """Whether this is the key of a backup with such a header."""
        return bool(header.get("id") == self.id)


def from_settings(settings: Settings) -> OwnerKey:
    """The key to make backups with. Raises NoKey, KaimenError ``backup.bad_key``."""
    if settings.backup_key_file is not None:
        return from_file(settings.backup_key_file)
    if settings.backup_passphrase:
        if len(settings.backup_passphrase) < _SHORTEST:
            raise KaimenError(
                "backup.bad_key", _("备份口令至少要 {shortest} 个字").format(shortest=_SHORTEST)
            )
        return from_passphrase(settings.backup_passphrase, os.urandom(16))
    raise NoKey


def for_header(settings: Settings, header: dict[str, Any], key_file: Path | None) -> OwnerKey:
    """The key to read a backup with: of ``key_file``, else of the settings. Raises as above."""
    if key_file is not None:
        return from_file(key_file)
    kdf = header["key"].get("kdf")
    if kdf is None:
        if settings.backup_key_file is None:
            raise NoKey
        return from_file(settings.backup_key_file)
    if not settings.backup_passphrase:
        raise NoKey
    try:
        salt, n = bytes.fromhex(kdf["salt"]), int(kdf["n"])
    except (KeyError, ValueError, TypeError):
        raise WrongKey from None
    if not 1 < n <= _MAX_N or n & (n - 1):
        raise WrongKey
    return from_passphrase(settings.backup_passphrase, salt, n)


def from_file(path: Path) -> OwnerKey:
    """The key in a file: 64 hex digits; lines with ``#`` are remarks."""
    try:
        lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
        master = bytes.fromhex("".join(lines).strip())
    except (OSError, ValueError) as error:
        raise KaimenError("backup.bad_key", _("读不了备份密钥 {path}").format(path=path)) from error
    if len(master) < 32:
        raise KaimenError(
            "backup.bad_key", _("备份密钥 {path} 太短，要 64 位十六进制数").format(path=path)
        )
    return OwnerKey(master)


@lru_cache(maxsize=4)
def from_passphrase(passphrase: str, salt: bytes, n: int = SCRYPT_N) -> OwnerKey:
    """The key of a passphrase, by scrypt (RFC 7914)."""
    master = hashlib.scrypt(
        passphrase.encode(), salt=salt, n=n, r=_R, p=_P, maxmem=256 * n * _R, dklen=32
    )
    return OwnerKey(master, passphrase, {"name": "scrypt", "n": n, "salt": salt.hex()})


def make_file(path: Path) -> OwnerKey:
    """Write a new key; never over one that is there. Raises FileExistsError."""
    if path.exists():
        raise FileExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, f"{_TITLE}{os.urandom(32).hex()}\n".encode())
    return from_file(path)
