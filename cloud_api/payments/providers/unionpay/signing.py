"""How messages of UnionPay's gateway 5.1.0 are signed, and whom a signature is believed.

What is signed: all fields but ``signature``, sorted, as ``key=value`` joined by ``&`` in UTF-8; of that
the SHA-256 in lower-case hex; of these 64 characters an RSA signature (PKCS #1 v1.5, SHA-256) in Base64.
Ours is named by ``certId``, the decimal serial number of our certificate; theirs comes with its
certificate (``signPubKeyCert``), which counts only if it was issued through UnionPay's intermediate and
root and names UnionPay as its owner. Source: 全渠道平台接入接口规范 5.1.0 and UnionPay's own acp sdk.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from cloud_api.payments.certificates import LEAST_BITS, SigningPair

SIGNATURE: Final = "signature"
OWNER: Final = "中国银联股份有限公司"
TEST_OWNER: Final = "00040000:SIGN"  # of the certificates of UnionPay's own test gateway


class Unsigned(Exception):
    """The fields are not what UnionPay signed; the text says why."""


def digest(fields: Mapping[str, str]) -> bytes:
    """The 64 characters that are signed."""
    joined = "&".join(f"{key}={fields[key]}" for key in sorted(fields) if key != SIGNATURE)
    return hashlib.sha256(joined.encode()).hexdigest().encode()


def signed(fields: Mapping[str, str], pair: SigningPair) -> dict[str, str]:
    """The fields with ``certId`` and ``signature``; empty ones are left out, as UnionPay wants."""
    full = {key: value for key, value in fields.items() if value != ""}
    full["certId"] = str(pair.certificate.serial_number)
    made = pair.key.sign(digest(full), PKCS1v15(), SHA256())
    return full | {SIGNATURE: base64.b64encode(made).decode()}


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose signatures are believed: the root, the intermediate under it, and the owner's names."""

    root: x509.Certificate
    middle: x509.Certificate
    owners: frozenset[str]

    def key_of(self, pem: str, now: datetime) -> RSAPublicKey:
        """The key of a certificate that came with a message. Raises Unsigned."""
        try:
            leaf = x509.load_pem_x509_certificate(pem.strip().encode())
            leaf.verify_directly_issued_by(self.middle)
            self.middle.verify_directly_issued_by(self.root)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
            raise Unsigned(f"certificate: {type(error).__name__}") from error
        for one in (leaf, self.middle, self.root):
            if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
                raise Unsigned("a certificate of the chain is not valid now")
        if owner_of(leaf) not in self.owners:
            raise Unsigned("the certificate is not UnionPay's")
        key = leaf.public_key()
        if not isinstance(key, RSAPublicKey) or key.key_size < LEAST_BITS:
            raise Unsigned("not an RSA key of 2048 bits")
        return key

    def verify(self, fields: Mapping[str, str], now: datetime) -> None:
        """Raise Unsigned unless UnionPay signed exactly these fields."""
        key = self.key_of(fields.get("signPubKeyCert", ""), now)
        try:
            made = base64.b64decode(fields.get(SIGNATURE, ""), validate=True)
            key.verify(made, digest(fields), PKCS1v15(), SHA256())
        except (binascii.Error, ValueError, InvalidSignature) as error:
            raise Unsigned(f"signature: {type(error).__name__}") from error


def owner_of(certificate: x509.Certificate) -> str:
    """The owner in UnionPay's way of naming: the third part of the common name, ``041@Z2018@owner@1``."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    parts = str(names[0].value).split("@") if names else []
    return parts[2] if len(parts) > 2 else ""


def is_issuer(certificate: x509.Certificate) -> bool:
    """Whether it may issue others."""
    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return False
    return found.value.ca


def parse_answer(text: str) -> dict[str, str]:
    """The fields of an answer's body: ``key=value`` joined by ``&``, not percent-encoded.

    Values in braces or brackets may hold ``&`` and ``=`` themselves.
    """
    fields: dict[str, str] = {}
    depth, key, start = 0, None, 0
    closes = {"{": "}", "[": "]"}
    for index, character in enumerate(f"{text}&"):
        if key is None:
            if character == "=":
                key, start = text[start:index], index + 1
            elif character == "&":
                start = index + 1
            continue
        if character in closes and (depth or index == start):
            depth += 1
        elif character in closes.values() and depth:
            depth -= 1
        elif character == "&" and not depth:
            fields[key] = text[start:index]
            key, start = None, index + 1
    return fields
