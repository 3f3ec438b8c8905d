"""Certificates and keys as merchants hand them in: PEM text, DER or PKCS#12 files in Base64.

What is said of them on pages is what anybody may know: serial numbers, owners, the last day.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

LEAST_BITS = 2048


@dataclass(frozen=True, slots=True)
class Fact:
    """Something about an account that may be shown. ``until`` is the last moment of a certificate."""

    title: str
    text: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class SigningPair:
    """A merchant's private key with its certificate."""

    key: RSAPrivateKey
    certificate: x509.Certificate


def read_certificate(text: str) -> x509.Certificate:
    """A certificate from PEM text, or from a DER or PEM file in Base64. Raises ValueError."""
    raw = text.strip().encode()
    if b"-----BEGIN" not in raw:
        raw = _bytes(text)
    try:
        if b"-----BEGIN" in raw:
            return x509.load_pem_x509_certificate(raw)
        return x509.load_der_x509_certificate(raw)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("not a certificate") from error


def read_pfx(text: str, password: str) -> SigningPair:
    """The key and certificate of a PKCS#12 file (.pfx, .p12) in Base64.

    Raises ValueError: ``not Base64``, ``wrong password or not a .pfx file``, ``no key in it``, ``not RSA …``.
    """
    raw = _bytes(text)
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(raw, password.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError("wrong password or not a .pfx file") from error
    if key is None or certificate is None:
        raise ValueError("no key in it")
    if not isinstance(key, RSAPrivateKey) or key.key_size < LEAST_BITS:
        raise ValueError("not RSA of 2048 bits or more")
    return SigningPair(key, certificate)


def about(title: str, certificate: x509.Certificate) -> Fact:
    """Owner, serial number and last day of a certificate."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    owner = str(names[0].value) if names else certificate.subject.rfc4514_string()
    return Fact(title, f"{owner} · {certificate.serial_number:X}", certificate.not_valid_after_utc)


def fingerprint(secret: str) -> str:
    """Enough of a secret's hash to tell two apart, far too little to find it."""
    return hashlib.sha256(b"kaimen.fingerprint\n" + secret.encode()).hexdigest()[:8].upper()


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not Base64") from error
