"""The cloud's own Ed25519 keys, one set per purpose, so that a leaked pass key commands no store.

``data_dir/keys.json`` (mode 0600) holds them as ``{"desired": [{"kid", "seed"}], …}``, the newest
last. The last one signs; those before it are still given to stores until somebody takes them out,
so that a key can be replaced while documents, commands and passes of the old one are about.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from cloud_api.kit.files import locked, write_whole
from store_link.messages import PublicKey
from store_link.signing import KEY_PURPOSES, KeyPurpose, SigningKey

FILE = "keys.json"
_LETTER: dict[KeyPurpose, str] = {"desired": "d", "command": "c", "pass": "p"}
_LIVE = 2  # kids of a purpose at a time


@dataclass(frozen=True, slots=True)
class CloudKeys:
    """The keys in force, newest last."""

    keys: dict[KeyPurpose, tuple[SigningKey, ...]] = field(repr=False)

    def signing(self, purpose: KeyPurpose) -> SigningKey:
        """The key that signs for ``purpose`` now."""
        return self.keys[purpose][-1]

    def public(self) -> tuple[PublicKey, ...]:
        """What stores believe: all keys in force, in a stable order."""
        return tuple(key.public() for purpose in KEY_PURPOSES for key in self.keys[purpose])


def load_keys(data_dir: Path) -> CloudKeys:
    """The installation's keys; made on the first call, by one process only.

    Raises ValueError for a file that is damaged or lacks a purpose: making new keys without a word
    would shut every store out.
    """
    path = data_dir / FILE
    with locked(data_dir):
        if not path.exists():
            fresh = {
                purpose: [SigningKey.generate(f"{_LETTER[purpose]}1", purpose)]
                for purpose in KEY_PURPOSES
            }
            _store(path, fresh)
        return _read(path)


@cache
def keys_of(data_dir: Path) -> CloudKeys:
    """``load_keys``, read once per process: what routes and jobs use (``settings.data_dir``)."""
    return load_keys(data_dir)


def rotate(data_dir: Path, purpose: KeyPurpose) -> CloudKeys:
    """Add a new key for ``purpose``, which signs from now on; the one before stays believed.

    The one before that is dropped. Running processes go on with the old one until they start anew.
    """
    load_keys(data_dir)
    path = data_dir / FILE
    with locked(data_dir):
        keys = {name: list(value) for name, value in _read(path).keys.items()}
        number = int(keys[purpose][-1].kid[1:]) + 1
        keys[purpose].append(SigningKey.generate(f"{_LETTER[purpose]}{number}", purpose))
        keys[purpose] = keys[purpose][-_LIVE:]
        _store(path, keys)
        return _read(path)


def _store(path: Path, keys: dict[KeyPurpose, list[SigningKey]]) -> None:
    plain = {
        purpose: [{"kid": key.kid, "seed": key.to_hex()} for key in row]
        for purpose, row in keys.items()
    }
    write_whole(path, json.dumps(plain, indent=1).encode())


def _read(path: Path) -> CloudKeys:
    try:
        plain = json.loads(path.read_text())
        keys: dict[KeyPurpose, tuple[SigningKey, ...]] = {
            purpose: tuple(
                SigningKey.from_hex(row["seed"], row["kid"], purpose) for row in plain[purpose]
            )
            for purpose in KEY_PURPOSES
        }
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{path} is damaged: put it back from a backup") from None
    if any(not row for row in keys.values()):
        raise ValueError(f"{path} lacks a key: put it back from a backup")
    return CloudKeys(keys)
