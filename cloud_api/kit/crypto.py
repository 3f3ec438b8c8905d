"""Encryption at rest, blind indexes and token hashes, all from one secret of the installation.

Each use derives its own key (HKDF-SHA256), so that a leaked index key opens no phone number.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class Vault:
    """Encrypts small texts with AES-256-GCM under the first secret; decrypts under any of them.

    Indexes and token hashes are made with ``index_secret``, or with the last of ``secrets``: they
    must not change when a new secret is put in front.
    """

    def __init__(self, secrets: list[bytes], index_secret: bytes | None = None) -> None:
        index = secrets[-1] if index_secret is None and secrets else index_secret
        if index is None or not secrets or any(len(s) < 32 for s in (*secrets, index)):
            raise ValueError("the installation needs at least one secret of 32 bytes or more")
        self._boxes = [(_kid(s), AESGCM(_derive(s, b"box"))) for s in secrets]
        self.kids = tuple(kid for kid, _ in self._boxes)  # the first encrypts
        self.index_kid = _kid(index)
        self._index_key = _derive(index, b"index")
        self._hash_key = _derive(index, b"token")

    def seal(self, plain: str, context: str) -> str:
        """Ciphertext (base64, with key id and nonce); ``context`` (``table.column``) is bound in."""
        kid, box = self._boxes[0]
        nonce = os.urandom(_NONCE)
        sealed = box.encrypt(nonce, plain.encode(), context.encode())
        return f"{kid}.{base64.urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """The plain text. Raises ValueError for a wrong key, context or a changed text."""
        kid, _, body = sealed.partition(".")
        raw = base64.urlsafe_b64decode(body)
        for known, box in self._boxes:
            if known == kid:
                try:
                    return box.decrypt(raw[:_NONCE], raw[_NONCE:], context.encode()).decode()
                except InvalidTag as error:
                    raise ValueError(f"{context} was not sealed by this installation") from error
        raise ValueError(f"no key {kid!r} to open {context}")

    def index(self, plain: str) -> str:
        """A keyed hash to look a value up by, without storing it."""
        return hmac.new(self._index_key, plain.encode(), hashlib.sha256).hexdigest()

    def hash_token(self, token: str) -> str:
        """What is stored of a bearer token, a code or a one-time secret."""
        return hmac.new(self._hash_key, token.encode(), hashlib.sha256).hexdigest()


def _derive(secret: bytes, use: bytes) -> bytes:
    return HKDF(hashes.SHA256(), 32, salt=b"kaimen", info=use).derive(secret)


def _kid(secret: bytes) -> str:
    return hashlib.sha256(b"kaimen-kid" + secret).hexdigest()[:8]


_vault: Vault | None = None


def use_vault(vault: Vault) -> None:
    """Set the vault that encrypted columns use in this process; done once at start."""
    global _vault  # noqa: PLW0603  encrypted columns have no other way to their key
    _vault = vault


def vault() -> Vault:
    """The process's vault. Raises RuntimeError before ``use_vault``."""
    if _vault is None:
        raise RuntimeError("no vault: call use_vault(settings.vault()) at start")
    return _vault
