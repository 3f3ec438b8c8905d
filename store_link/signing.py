r"""The envelope: who said it, to which store, for what purpose, over the exact bytes that were sent.

On the wire an envelope is a header line, one newline, and the payload::

    {"alg":"ed25519","kid":"d1","sig":"<86 base64url>"}\n<payload>      cloud to store
    {"alg":"hs256","kid":"m1","mac":"<43 base64url>"}\n<payload>        store to cloud

What is signed is ``b"kaimen/1/" + purpose + b"/" + store + b"\n" + payload``: a message can be
neither moved to another store nor used for another purpose. The header has exactly one spelling per
signature (no spaces, no padding, no stray bits), so that a changed byte is never accepted.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from store_link.messages import PublicKey, Reason

KeyPurpose = Literal["desired", "command", "pass"]
KEY_PURPOSES: tuple[KeyPurpose, ...] = ("desired", "command", "pass")
MAC_SECRET_BYTES = 32

_ID = r"[A-Za-z0-9_.:-]{1,64}"
_KID = re.compile(_ID, re.ASCII)
_STORE = re.compile(_ID, re.ASCII)
_SIGNED = re.compile(
    rb'\{"alg":"ed25519","kid":"([A-Za-z0-9_.:-]{1,64})","sig":"([A-Za-z0-9_-]{86})"\}'
)
_MACED = re.compile(
    rb'\{"alg":"hs256","kid":"([A-Za-z0-9_.:-]{1,64})","mac":"([A-Za-z0-9_-]{43})"\}'
)
_HEADER_MAX = 256


class Purpose(StrEnum):
    """What an envelope is for: the domain of its signature or MAC."""

    DESIRED = "desired"
    COMMAND = "command"
    EVENT_ACK = "event-ack"
    EVENT = "event"
    ACK = "ack"
    REPORTED = "reported"
    PRESENCE = "presence"
    TELEMETRY = "telemetry"

    @property
    def key_purpose(self) -> KeyPurpose | None:
        """The purpose of the Ed25519 key that signs it; None where the store's MAC key does."""
        return _KEY_PURPOSE.get(self)

    @property
    def max_bytes(self) -> int:
        """Longest envelope, header included: 1 MiB for desired, 64 KiB for all others."""
        return 1 << 20 if self is Purpose.DESIRED else 1 << 16


_KEY_PURPOSE: dict[Purpose, KeyPurpose] = {
    Purpose.DESIRED: "desired",
    Purpose.COMMAND: "command",
    Purpose.EVENT_ACK: "command",
}


class EnvelopeError(ValueError):
    """An envelope that was refused: ``Reason.BAD_MESSAGE``, ``UNKNOWN_KEY`` or ``BAD_SIGNATURE``."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


class EnvelopeTooLong(ValueError):
    """A payload that no receiver would take: send less at once."""


class SigningKey:
    """An Ed25519 private key with its key id and its one purpose. Its repr shows no secret."""

    def __init__(self, private: Ed25519PrivateKey, kid: str, purpose: KeyPurpose) -> None:
        if purpose not in KEY_PURPOSES:
            raise ValueError(f"a key is for one of {', '.join(KEY_PURPOSES)}")
        if _KID.fullmatch(kid) is None:
            raise ValueError("a key id is 1 to 64 letters, digits or any of _.:-")
        self._private = private
        self.kid = kid
        self.purpose: KeyPurpose = purpose

    @classmethod
    def generate(cls, kid: str, purpose: KeyPurpose) -> SigningKey:
        """A fresh key from the system's randomness."""
        return cls(Ed25519PrivateKey.generate(), kid, purpose)

    @classmethod
    def from_hex(cls, text: str, kid: str, purpose: KeyPurpose) -> SigningKey:
        """From the 32-byte seed of RFC 8032 as 64 hex digits. Raises ValueError."""
        return cls(Ed25519PrivateKey.from_private_bytes(bytes.fromhex(text)), kid, purpose)

    @classmethod
    def from_pem(cls, pem: bytes, kid: str, purpose: KeyPurpose) -> SigningKey:
        """From unencrypted PKCS#8 PEM. Raises ValueError for anything but an Ed25519 key."""
        private = load_pem_private_key(pem, password=None)
        if not isinstance(private, Ed25519PrivateKey):
            raise ValueError("not an Ed25519 private key")
        return cls(private, kid, purpose)

    def to_hex(self) -> str:
        """The secret seed as 64 hex digits."""
        return self._private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()).hex()

    def to_pem(self) -> bytes:
        """The secret key as unencrypted PKCS#8 PEM."""
        return self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def public(self) -> PublicKey:
        """What stores are given of it."""
        raw = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return PublicKey(kid=self.kid, purpose=self.purpose, key=raw.hex())

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over ``message``; callers put a domain in front."""
        return self._private.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.kid!r}, purpose={self.purpose!r})"


class PublicKeyRing:
    """The public keys in force, found by key id and purpose together.

    ``retired`` names key ids that are no longer believed though their keys are still listed.
    Raises ValueError for a key that is no Ed25519 key, and for two keys of one id and purpose.
    """

    def __init__(self, keys: Iterable[PublicKey] = (), retired: Collection[str] = ()) -> None:
        self._keys: dict[tuple[str, str], Ed25519PublicKey] = {}
        hidden = frozenset(retired)
        for key in keys:
            slot = (key.kid, key.purpose)
            if slot in self._keys:
                raise ValueError(f"two keys are called {key.kid} for {key.purpose}")
            if key.kid not in hidden:
                self._keys[slot] = Ed25519PublicKey.from_public_bytes(bytes.fromhex(key.key))

    def __len__(self) -> int:
        return len(self._keys)

    def has(self, kid: str, purpose: KeyPurpose) -> bool:
        """Whether a key is known for this purpose and not retired."""
        return (kid, purpose) in self._keys

    def check(self, kid: str, purpose: KeyPurpose, signature: bytes, message: bytes) -> None:
        """Raises EnvelopeError: UNKNOWN_KEY, or BAD_SIGNATURE."""
        key = self._keys.get((kid, purpose))
        if key is None:
            raise EnvelopeError(Reason.UNKNOWN_KEY)
        try:
            key.verify(signature, message)
        except InvalidSignature:
            raise EnvelopeError(Reason.BAD_SIGNATURE) from None


@dataclass(frozen=True, slots=True)
class MacKey:
    """A store's symmetric key (32 bytes), shared with the cloud alone."""

    kid: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if _KID.fullmatch(self.kid) is None:
            raise ValueError("a key id is 1 to 64 letters, digits or any of _.:-")
        if len(self.secret) != MAC_SECRET_BYTES:
            raise ValueError(f"a MAC key has {MAC_SECRET_BYTES} bytes")

    @classmethod
    def generate(cls, kid: str) -> MacKey:
        """A fresh key from the system's randomness."""
        return cls(kid, secrets.token_bytes(MAC_SECRET_BYTES))


def seal(payload: bytes, purpose: Purpose, store: str, key: SigningKey | MacKey) -> bytes:
    """The envelope of ``payload`` for ``store``.

    Raises ValueError for a key of the wrong kind or purpose, and EnvelopeTooLong (a ValueError) for
    a payload beyond ``purpose.max_bytes``.
    """
    message = _domain(purpose, store) + payload
    needed = purpose.key_purpose
    if isinstance(key, SigningKey):
        if key.purpose != needed:
            raise ValueError(f"a key for {key.purpose} does not sign {purpose.value}")
        header = f'{{"alg":"ed25519","kid":"{key.kid}","sig":"{_b64(key.sign(message))}"}}\n'
    else:
        if needed is not None:
            raise ValueError(f"{purpose.value} is signed by the cloud, not by a store's MAC key")
        mac = hmac.digest(key.secret, message, hashlib.sha256)
        header = f'{{"alg":"hs256","kid":"{key.kid}","mac":"{_b64(mac)}"}}\n'
    raw = header.encode() + payload
    if len(raw) > purpose.max_bytes:
        raise EnvelopeTooLong(f"{purpose.value} is at most {purpose.max_bytes} bytes long")
    return raw


def open_signed(raw: bytes, purpose: Purpose, store: str, ring: PublicKeyRing) -> bytes:
    """The payload of an envelope that the cloud signed for this store and purpose.

    Raises EnvelopeError: BAD_MESSAGE for its form, UNKNOWN_KEY where no key of this id and purpose
    is in force, BAD_SIGNATURE. Raises ValueError where the purpose is one of the store's.
    """
    needed = purpose.key_purpose
    if needed is None:
        raise ValueError(f"{purpose.value} carries a MAC, no signature")
    kid, signature, payload = _split(raw, purpose, _SIGNED)
    ring.check(kid, needed, signature, _domain(purpose, store) + payload)
    return payload


def open_mac(raw: bytes, purpose: Purpose, store: str, mac_keys: Iterable[MacKey]) -> bytes:
    """The payload of an envelope that the store sealed.

    ``mac_keys`` are the keys of this store alone (several while one replaces another). Raises
    EnvelopeError as ``open_signed`` does.
    """
    if purpose.key_purpose is not None:
        raise ValueError(f"{purpose.value} carries a signature, no MAC")
    kid, mac, payload = _split(raw, purpose, _MACED)
    key = next((key for key in mac_keys if key.kid == kid), None)
    if key is None:
        raise EnvelopeError(Reason.UNKNOWN_KEY)
    if not hmac.compare_digest(
        hmac.digest(key.secret, _domain(purpose, store) + payload, hashlib.sha256), mac
    ):
        raise EnvelopeError(Reason.BAD_SIGNATURE)
    return payload


def _domain(purpose: Purpose, store: str) -> bytes:
    if _STORE.fullmatch(store) is None:
        raise ValueError("a store id is 1 to 64 letters, digits or any of _.:-")
    return f"kaimen/1/{purpose.value}/{store}\n".encode()


def _split(raw: bytes, purpose: Purpose, form: re.Pattern[bytes]) -> tuple[str, bytes, bytes]:
    """Key id, signature and payload; every form but the canonical one is BAD_MESSAGE."""
    if not isinstance(raw, bytes) or len(raw) > purpose.max_bytes:
        raise EnvelopeError(Reason.BAD_MESSAGE)
    end = raw.find(b"\n", 0, _HEADER_MAX)
    match = form.fullmatch(raw[:end]) if end > 0 else None
    if match is None:
        raise EnvelopeError(Reason.BAD_MESSAGE)
    text = match[2].decode()
    try:
        proof = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        raise EnvelopeError(Reason.BAD_MESSAGE) from None
    if _b64(proof) != text:  # the last character has bits to spare: only noughts are canonical
        raise EnvelopeError(Reason.BAD_MESSAGE)
    return match[1].decode(), proof, raw[end + 1 :]


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
