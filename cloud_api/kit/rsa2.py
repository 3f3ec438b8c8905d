"""RSA2 as Alipay defines it (opendocs.alipay.com/common/02kf5q): SHA256withRSA over parameters by name,
and over the exact bytes of an answer's node.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)

KEPT = 128  # keys
ERROR_NODE = "error_response"  # where some calls put their refusals


def sign(key: RSAPrivateKey, params: Mapping[str, str]) -> str:
    """The ``sign`` of a request: everything but itself and what is empty."""
    text = "&".join(f"{name}={params[name]}" for name in sorted(params) if params[name])
    return base64.b64encode(key.sign(text.encode(), PKCS1v15(), SHA256())).decode()


def verify(key: RSAPublicKey, signed: bytes, given: str) -> None:
    """Raises ValueError unless ``given`` is its signature over ``signed``."""
    try:
        key.verify(base64.b64decode(given, validate=True), signed, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise ValueError(f"signature: {type(error).__name__}") from error


def read_answer(key: RSAPublicKey, raw: bytes, method: str) -> dict[str, Any]:
    """The verified node of an answer to ``method``. Raises ValueError."""
    try:
        text = raw.decode("utf-8")
        node = f'"{method.replace(".", "_")}_response"'
        if node not in text:
            node = f'"{ERROR_NODE}"'
        start = text.index(":", text.index(node) + len(node)) + 1
        while text[start] in " \t\r\n":
            start += 1
        found, end = json.JSONDecoder().raw_decode(text, start)
        given = json.loads(text)["sign"]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        raise ValueError(f"unreadable answer: {type(error).__name__}") from error
    if not isinstance(found, dict) or not isinstance(given, str):
        raise ValueError("unreadable answer")
    verify(key, text[start:end].encode(), given)
    return found


@lru_cache(maxsize=KEPT)
def private_key(text: str) -> RSAPrivateKey:
    """A key as PEM, or as the bare Base64 that Alipay's key tool writes. Raises ValueError.

    Read once in a process: proving that its numbers belong together takes longer than signing.
    """
    raw = text.strip().encode()
    pem = raw.startswith(b"-----")
    key = load_pem_private_key(raw, None) if pem else load_der_private_key(_bare(raw), None)
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the private key is no RSA key")
    return key


@lru_cache(maxsize=KEPT)
def public_key(text: str) -> RSAPublicKey:
    """The same for a public key."""
    raw = text.strip().encode()
    key = load_pem_public_key(raw) if raw.startswith(b"-----") else load_der_public_key(_bare(raw))
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the public key is no RSA key")
    return key


def _bare(raw: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(raw.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("the key is neither PEM nor Base64") from error
