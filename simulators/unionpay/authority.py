"""The simulator's own certificate authority: a root, an intermediate, UnionPay's and merchants' leaves."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509.oid import NameOID

OWNER = "041@Z2026@中国银联股份有限公司@00000001"


@dataclass(frozen=True, slots=True)
class Pair:
    """A private key and its certificate."""

    key: RSAPrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        """The certificate, for anybody."""
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> str:
        """The private key, for the state file alone."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode()

    @classmethod
    def read(cls, key_pem: str, pem: str) -> Pair:
        """From the two texts."""
        key = serialization.load_pem_private_key(key_pem.encode(), None)
        assert isinstance(key, RSAPrivateKey)
        return cls(key, x509.load_pem_x509_certificate(pem.encode()))


def make(
    name: str,
    *,
    issuer: Pair | None = None,
    issues: bool = False,
    days: float = 3650,
    begins: datetime | None = None,
) -> Pair:
    """A new pair; without ``issuer`` it signs itself."""
    key = generate_private_key(65537, 2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    start = begins or datetime.now(UTC) - timedelta(days=1)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=issues, path_length=None), critical=True)
        .sign(key if issuer is None else issuer.key, SHA256())
    )
    return Pair(key, certificate)


def pfx(pair: Pair, password: str) -> str:
    """The pair as a merchant gets it: a PKCS#12 file, in Base64."""
    raw = pkcs12.serialize_key_and_certificates(
        b"merchant",
        pair.key,
        pair.certificate,
        None,
        serialization.BestAvailableEncryption(password.encode()),
    )
    return base64.b64encode(raw).decode()
