r"""What is signed, both ways: the exact bytes, with what they are, when, and a nonce. Ed25519.

    KAIMEN-CASHIER\n{what}\n{timestamp}\n{nonce}\n{body}

``what``: ``POST /v1/payments`` of a request · ``200 {nonce of the request}`` of an answer ·
``NOTIFY /path`` of a notification.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

FRESH_S: Final = 300
_PREFIX: Final = b"KAIMEN-CASHIER\n"


class Unsigned(Exception):
    """The bytes are not what their headers say; the text says why."""


def headers(key: Ed25519PrivateKey, what: str, body: bytes, now: float) -> dict[str, str]:
    """Signature headers for ``body``; ``now`` in seconds since the epoch."""
    stamp, nonce = str(int(now)), secrets.token_urlsafe(16)
    signed = key.sign(_signed(what, stamp, nonce, body))
    return {
        "Cashier-Timestamp": stamp,
        "Cashier-Nonce": nonce,
        "Cashier-Signature": base64.b64encode(signed).decode(),
    }


def verify(
    key: Ed25519PublicKey, what: str, given: Mapping[str, str], body: bytes, now: float
) -> str:
    """The nonce of a good and fresh signature. Raises Unsigned."""
    try:
        stamp, nonce = given["Cashier-Timestamp"], given["Cashier-Nonce"]
        signature = base64.b64decode(given["Cashier-Signature"], validate=True)
        key.verify(signature, _signed(what, stamp, nonce, body))
        age = abs(now - int(stamp))
    except (KeyError, ValueError, InvalidSignature) as error:
        raise Unsigned(f"signature: {type(error).__name__}") from error
    if age > FRESH_S:
        raise Unsigned(f"timestamp is off by {age:.0f} s")
    return nonce


def _signed(what: str, stamp: str, nonce: str, body: bytes) -> bytes:
    return _PREFIX + f"{what}\n{stamp}\n{nonce}\n".encode() + body
