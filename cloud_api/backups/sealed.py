r"""A backup's outer form: a stream of AES-256-GCM chunks whose order and end are authenticated.

    kaimen-backup 1\n
    {header as one line of JSON}\n
    chunk, chunk, … last chunk            each: ciphertext and 16 bytes of tag

The file's own key comes from the owner's by HKDF with the header's random salt, so a chunk's number
serves as its nonce: 8 bytes of number, 4 bytes that say whether it is the last (the STREAM construction
of Hoang, Reyhanitabar, Rogaway and Vizár, 2015). The header's hash is each chunk's associated data.
A chunk that is changed, moved, left out, repeated or cut off at the end is found when it is read.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from typing import IO, Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cloud_api.backups.key import OwnerKey, WrongKey
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import gettext as _

MAGIC: Final = b"kaimen-backup 1\n"
CHUNK: Final = 1 << 20
_TAG: Final = 16
_HEADER_MAX: Final = 4096


class Damaged(KaimenError):
    """The backup is not as it was written."""

    def __init__(self, what: str) -> None:
        super().__init__("backup.damaged", _("备份文件坏了：{what}").format(what=what))


class Sealer(io.RawIOBase):
    """Write plain bytes, get a sealed stream in ``target``. Without ``finish`` it is no backup."""

    def __init__(self, target: IO[bytes], key: OwnerKey, facts: dict[str, Any]) -> None:
        super().__init__()
        salt = os.urandom(32)
        header = {"v": 1, "key": key.header(), "salt": salt.hex(), "chunk": CHUNK, **facts}
        head = MAGIC + json.dumps(header, separators=(",", ":")).encode() + b"\n"
        if len(head) > _HEADER_MAX:
            raise ValueError("the header is too long")
        self._target = target
        self._box, self._aad = _box(key, salt), hashlib.sha256(head).digest()
        self._plain, self._number = bytearray(), 0
        target.write(head)

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, data: Any) -> int:
        """Seal what fills chunks; keep the rest."""
        self._plain += data
        while len(self._plain) > CHUNK:  # the last chunk is never empty unless all is
            self._put(bytes(self._plain[:CHUNK]), last=False)
            del self._plain[:CHUNK]
        return len(data)

    def finish(self) -> None:
        """Write the last chunk."""
        self._put(bytes(self._plain), last=True)
        self._plain.clear()

    def _put(self, plain: bytes, *, last: bool) -> None:
        self._target.write(self._box.encrypt(_nonce(self._number, last), plain, self._aad))
        self._number += 1


class Opener(io.RawIOBase):
    """Read the plain bytes of a sealed stream. Raises Damaged, WrongKey."""

    def __init__(self, source: IO[bytes], key: OwnerKey) -> None:
        super().__init__()
        head = source.readline(len(MAGIC))
        if head != MAGIC:
            raise Damaged(_("不是开门的备份"))
        line = source.readline(_HEADER_MAX)
        self.header = read_header(head + line)
        if not key.fits(self.header["key"]):
            raise WrongKey
        self._source = source
        self._box = _box(key, bytes.fromhex(self.header["salt"]))
        self._aad = hashlib.sha256(head + line).digest()
        self._sealed = int(self.header["chunk"]) + _TAG
        self._next = source.read(self._sealed)
        self._number, self._plain, self._ended = 0, b"", False

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes; 0 at the authenticated end."""
        while not self._plain and not self._ended:
            self._more()
        given = self._plain[: len(buffer)]
        buffer[: len(given)] = given
        self._plain = self._plain[len(given) :]
        return len(given)

    def _more(self) -> None:
        chunk, self._next = self._next, self._source.read(self._sealed)
        last = not self._next
        try:
            self._plain = self._box.decrypt(_nonce(self._number, last), chunk, self._aad)
        except InvalidTag:
            where = (
                _("结尾被截断")
                if last
                else _("第 {number} 段对不上").format(number=self._number + 1)
            )
            raise Damaged(where) from None
        self._number += 1
        self._ended = last


def read_header(head: bytes) -> dict[str, Any]:
    """The header of a sealed stream from its first two lines. Raises Damaged."""
    magic, _end, line = head.partition(b"\n")
    try:
        header = json.loads(line)
        if magic + b"\n" != MAGIC or header["v"] != 1:
            raise ValueError(header["v"])
        bytes.fromhex(header["salt"])
        if not 0 < int(header["chunk"]) <= 1 << 26:
            raise ValueError(header["chunk"])
        header["key"]["id"]
    except (ValueError, KeyError, TypeError):
        raise Damaged(_("读不懂文件头")) from None
    assert isinstance(header, dict)
    return header


def _box(key: OwnerKey, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(hashes.SHA256(), 32, salt=salt, info=b"kaimen-backup").derive(key.master))


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(8, "big") + (b"\0\0\0\1" if last else b"\0\0\0\0")
