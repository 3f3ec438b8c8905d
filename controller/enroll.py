"""Makes this store's key and trades the owner's one-time code for its credentials."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from controller import cloud_http
from controller.identity import Identity, save


class EnrolRefused(Exception):
    """It did not work; the text says why and what to do."""


def make_csr() -> tuple[bytes, str]:
    """A fresh P-256 key (PEM, never leaves this machine) and a request for its certificate (PEM).

    The name in the request means nothing: the cloud puts the store's.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), request_for(key)


def request_for(key: PrivateKeyTypes) -> str:
    """A request (PEM) for the certificate of a key. Raises ValueError for a key that is not P-256's kind."""
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError("the key is of another kind")
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kaimen-store")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return csr.public_bytes(Encoding.PEM).decode()


def enroll(cloud: str, code: str, state_dir: Path) -> Identity:
    """Enrol and keep the identity in ``state_dir``. Blocking. Raises EnrolRefused.

    An identity that is there already is replaced only once the new one is complete; the journal
    stays, so that events of the old one still reach the cloud.
    """
    private, csr = make_csr()
    try:
        answer = cloud_http.enroll(cloud, code.strip(), csr)
    except cloud_http.CloudRefused as error:
        raise EnrolRefused(
            f"the cloud refused the code ({error.code or error.status}): {error}. "
            "A code works once, for 15 minutes: make a new one in the console"
        ) from None
    except cloud_http.CloudUnreachable as error:
        raise EnrolRefused(f"{error}") from None
    try:
        identity = Identity.model_validate(
            {
                "store": answer.get("store_id"),
                "cloud": cloud.rstrip("/"),
                "mac_kid": answer.get("mac_kid"),
                "mac_key": answer.get("mac_key"),
                "keys": answer.get("keys"),
                "mqtt": answer.get("mqtt"),
                "ports_hint": answer.get("ports_hint") or {},
            }
        )
        x509.load_pem_x509_certificate(str(answer["certificate"]).encode())
        x509.load_pem_x509_certificate(str(answer["ca"]).encode())
    except (ValidationError, KeyError, ValueError) as error:
        what = "fields" if isinstance(error, ValidationError) else "certificates"
        raise EnrolRefused(
            f"the cloud's answer lacks {what} that this version needs: update both"
        ) from None
    save(state_dir, identity, private, answer)
    return identity
