"""Signatures of the gateway 5.1.0, written from its specification and apart from the cloud's code."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from simulators.unionpay.authority import Pair

Fields = dict[str, str]


def to_sign(fields: Mapping[str, str]) -> bytes:
    """The hex digest that is signed."""
    pairs = sorted((key, value) for key, value in fields.items() if key != "signature")
    text = "&".join(f"{key}={value}" for key, value in pairs)
    return hashlib.sha256(text.encode("utf-8")).hexdigest().encode("ascii")


def sign(fields: Mapping[str, str], pair: Pair, *, show: Pair | None = None) -> Fields:
    """The fields with ``signPubKeyCert`` and ``signature``; ``show`` sends another certificate along."""
    full = {**fields, "signPubKeyCert": (show or pair).pem}
    made = pair.key.sign(to_sign(full), padding.PKCS1v15(), SHA256())
    return {**full, "signature": base64.b64encode(made).decode()}


def good(fields: Mapping[str, str], certificate_pem: str) -> bool:
    """Whether the merchant of this certificate signed the fields, and named it by its serial number."""
    certificate = x509.load_pem_x509_certificate(certificate_pem.encode())
    key = certificate.public_key()
    if fields.get("certId") != str(certificate.serial_number) or not isinstance(key, RSAPublicKey):
        return False
    try:
        key.verify(
            base64.b64decode(fields.get("signature", ""), validate=True),
            to_sign(fields),
            padding.PKCS1v15(),
            SHA256(),
        )
    except (InvalidSignature, ValueError):
        return False
    return True


def body(fields: Mapping[str, str]) -> str:
    """An answer as the gateway writes it: not percent-encoded."""
    return "&".join(f"{key}={value}" for key, value in fields.items())
