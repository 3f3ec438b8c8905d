"""A backup's inner form: members one after the other, each streamed, and a manifest at the end.

Frames: one letter, four bytes of length, the bytes. ``M`` begins a member (JSON: path), ``D`` is data,
``E`` ends it (JSON: size, sha256), ``Z`` is the manifest and the end. A size need not be known before.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any, Final

from cloud_api.backups.sealed import Damaged
from cloud_api.kit.i18n import gettext as _

_HEAD: Final = struct.Struct(">cI")
_PIECE: Final = 1 << 18
_JSON_MAX: Final = 1 << 24


@dataclass(frozen=True, slots=True)
class Member:
    """What an archive holds under a path."""

    path: str
    size: int
    sha256: str


class Writer:
    """Puts members into ``target``; ``heard`` is told how many bytes went in."""

    def __init__(
        self, target: IO[bytes], heard: Callable[[int], None] = lambda _bytes: None
    ) -> None:
        self._target, self._heard = target, heard
        self.members: list[Member] = []

    def add(self, path: str, source: IO[bytes]) -> Member:
        """Copy all of ``source`` in."""
        self._json(b"M", {"path": path})
        digest, size = hashlib.sha256(), 0
        while piece := source.read(_PIECE):
            self._frame(b"D", piece)
            digest.update(piece)
            size += len(piece)
            self._heard(len(piece))
        member = Member(path, size, digest.hexdigest())
        self._json(b"E", {"size": size, "sha256": member.sha256})
        self.members.append(member)
        return member

    def finish(self, facts: dict[str, Any]) -> dict[str, Any]:
        """Write the manifest, and return it."""
        manifest = facts | {
            "members": [{"path": m.path, "size": m.size, "sha256": m.sha256} for m in self.members]
        }
        self._json(b"Z", manifest)
        return manifest

    def _json(self, letter: bytes, value: dict[str, Any]) -> None:
        self._frame(letter, json.dumps(value, ensure_ascii=False).encode())

    def _frame(self, letter: bytes, data: bytes) -> None:
        self._target.write(_HEAD.pack(letter, len(data)))
        self._target.write(data)


def read(
    source: IO[bytes],
    sink: Callable[[str], IO[bytes] | None],
    heard: Callable[[int], None] = lambda _bytes: None,
) -> dict[str, Any]:
    """Read a whole archive; members go where ``sink(path)`` says (None: only checked).

    Returns the manifest, after every hash was compared. Raises Damaged.
    """
    found: list[Member] = []
    while True:
        letter, data = _frame(source)
        if letter == b"Z":
            manifest = _parse(data)
            promised = [Member(m["path"], m["size"], m["sha256"]) for m in manifest["members"]]
            if promised != found or source.read(1):
                raise Damaged(_("清单和内容对不上"))
            return manifest
        if letter != b"M":
            raise Damaged(_("段的次序不对"))
        found.append(_member(source, safe(str(_parse(data)["path"])), sink, heard))


def _member(
    source: IO[bytes],
    path: str,
    sink: Callable[[str], IO[bytes] | None],
    heard: Callable[[int], None],
) -> Member:
    target = sink(path)
    digest, size = hashlib.sha256(), 0
    try:
        for piece in _pieces(source):
            if isinstance(piece, dict):
                if piece != {"size": size, "sha256": digest.hexdigest()}:
                    raise Damaged(_("{path} 的校验和不对").format(path=path))
                break
            digest.update(piece)
            size += len(piece)
            heard(len(piece))
            if target is not None:
                target.write(piece)
    finally:
        if target is not None:
            target.close()
    return Member(path, size, digest.hexdigest())


def _pieces(source: IO[bytes]) -> Iterator[bytes | dict[str, Any]]:
    while True:
        letter, data = _frame(source)
        if letter == b"E":
            yield _parse(data)
            return
        if letter != b"D":
            raise Damaged(_("段的次序不对"))
        yield data


def _frame(source: IO[bytes]) -> tuple[bytes, bytes]:
    letter, length = _HEAD.unpack(_exactly(source, _HEAD.size))
    if length > (_PIECE if letter == b"D" else _JSON_MAX):
        raise Damaged(_("段太长"))
    return letter, _exactly(source, length)


def _exactly(source: IO[bytes], count: int) -> bytes:
    parts = []
    while count:
        part = source.read(count)
        if not part:
            raise Damaged(_("内容不完整"))
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def _parse(data: bytes) -> dict[str, Any]:
    read_ = json.loads(data)
    assert isinstance(read_, dict)
    return read_


def safe(path: str) -> str:
    """``path`` if it stays below where it is put. Raises Damaged."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or "\0" in path:
        raise Damaged(_("里面有越界的路径"))
    return path


def files_below(folder: Path, skip: Callable[[Path], bool]) -> Iterator[Path]:
    """Every regular file below ``folder``, in a stable order; links are not followed."""
    if not folder.is_dir():
        return
    for root, folders, names in os.walk(folder):
        here = Path(root)
        folders[:] = sorted(name for name in folders if not skip(here / name))
        for name in sorted(names):
            path = here / name
            if path.is_file() and not path.is_symlink() and not skip(path):
                yield path
