"""The installation's own certificate authority: who may connect to the broker, and which broker is ours.

``data_dir/authority/`` holds the root (``ca.pem``, ``ca.key``) and the cloud's own client
certificate. All keys are ECDSA P-256: OpenSSL, Go and small boards take it alike. A store's
certificate names the store (CN, for brokers that put the user name into a pattern) and the
credential (a DNS name in SAN, unique, for brokers that list users): see docs/broker.md.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.files import locked, write_whole

FOLDER = "authority"
CLOUD_USER = "cloud.kaimen.internal"
CLOUD_NAME = "kaimen-cloud"  # its CN
STORE_DAYS = 397
ROOT_DAYS = 7300
_BRIEF_DAYS = 10 / 1440
_BACKDATED = timedelta(minutes=10)  # a store's clock may be a little behind
RENEW_BEFORE = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate that was just made."""

    pem: str
    serial: str  # hex
    not_after: datetime


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """Paths of PEM files for a TLS client."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class BrokerFiles:
    """Paths of PEM files for the broker."""

    ca: Path
    cert: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Authority:
    """The root. ``certificate`` is public, the key is not."""

    folder: Path
    certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def ca_pem(self) -> str:
        """The root's certificate, for those who must believe it."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def issue_store(self, csr_pem: str, *, store_id: str, user: str, now: datetime) -> Issued:
        """A client certificate for the key in ``csr_pem``; nothing else of the request is taken.

        ``now`` is wire time. Raises KaimenError ``enrol.bad_csr``.
        """
        key = _requested(csr_pem)
        return self._client(key, common_name=store_id, user=user, days=STORE_DAYS, now=now)

    def cloud_client(self, now: datetime) -> ClientFiles:
        """The cloud's own client certificate; made or renewed where needed."""
        files = ClientFiles(
            self.folder / "ca.pem", self.folder / "cloud.pem", self.folder / "cloud.key"
        )
        with locked(self.folder):
            if not _lasts(files.cert, now) or not files.key.exists():
                key = ec.generate_private_key(ec.SECP256R1())
                issued = self._client(
                    key.public_key(), common_name=CLOUD_NAME, user=CLOUD_USER, days=825, now=now
                )
                write_whole(files.key, _pem(key))
                write_whole(files.cert, issued.pem.encode(), 0o644)
        return files

    def issue_broker(
        self, folder: Path, names: list[str], now: datetime, *, cluster: bool = False
    ) -> BrokerFiles:
        """The broker's server certificate for ``names`` (host names and addresses), in ``folder``.

        A node of a ``cluster`` shows it to the other nodes as a client as well. Made anew where it
        is missing, ends within 60 days, or lacks a name or a use.
        """
        uses = [ExtendedKeyUsageOID.SERVER_AUTH]
        uses += [ExtendedKeyUsageOID.CLIENT_AUTH] if cluster else []
        files = BrokerFiles(folder / "ca.pem", folder / "broker.pem", folder / "broker.key")
        with locked(folder):
            write_whole(files.ca, self.ca_pem.encode(), 0o644)
            fits = (
                _lasts(files.cert, now)
                and files.key.exists()
                and _names(files.cert) == set(names)
                and _uses(files.cert) == set(uses)
            )
            if not fits:
                key = ec.generate_private_key(ec.SECP256R1())
                builder = self._builder(key.public_key(), names[0], 825, now).add_extension(
                    x509.SubjectAlternativeName([_name(one) for one in names]), critical=False
                )
                certificate = self._sign(builder, uses)
                write_whole(files.key, _pem(key))
                write_whole(files.cert, certificate.public_bytes(Encoding.PEM), 0o644)
        return files

    def renew_broker(self, folder: Path, now: datetime) -> bool:
        """Make the broker's certificate in ``folder`` anew, for the same names, where it ends within 60
        days; whether it did. A folder without one is somebody else's.
        """
        held = folder / "broker.pem"
        if not held.exists() or _lasts(held, now):
            return False
        certificate = x509.load_pem_x509_certificate(held.read_bytes())
        first = str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
        others = sorted(_names(held) - {first})
        cluster = ExtendedKeyUsageOID.CLIENT_AUTH in _uses(held)
        self.issue_broker(folder, [first, *others], now, cluster=cluster)
        return True

    def brief_client(
        self, folder: Path, common_name: str, now: datetime
    ) -> tuple[ClientFiles, str]:
        """A client certificate of a few minutes for the cloud's own use, as files in ``folder``.

        Also its serial (hex). No broker that lists users knows it.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        issued = self._client(
            key.public_key(),
            common_name=common_name,
            user=f"{common_name.lower()}.brief.kaimen.internal",
            days=_BRIEF_DAYS,
            now=now,
        )
        files = ClientFiles(
            self.folder / "ca.pem", folder / f"{common_name}.pem", folder / f"{common_name}.key"
        )
        write_whole(files.key, _pem(key))
        write_whole(files.cert, issued.pem.encode(), 0o644)
        return files, issued.serial

    def revocation_list(
        self, serials: list[tuple[str, datetime]], now: datetime, *, days: int = 30
    ) -> str:
        """A CRL (PEM) of revoked serials (hex) with the instants they were revoked at.

        For brokers that read one (Mosquitto's ``crlfile``). Dated ``now``, valid for ``days``.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now)
            .next_update(now + timedelta(days=days))
        )
        for serial, at in serials:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(int(serial, 16))
                .revocation_date(at)
                .build()
            )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def _client(
        self,
        key: ec.EllipticCurvePublicKey,
        *,
        common_name: str,
        user: str,
        days: float,
        now: datetime,
    ) -> Issued:
        builder = self._builder(key, common_name, days, now).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(user)]), critical=False
        )
        certificate = self._sign(builder, [ExtendedKeyUsageOID.CLIENT_AUTH])
        return Issued(
            certificate.public_bytes(Encoding.PEM).decode(),
            f"{certificate.serial_number:x}",
            certificate.not_valid_after_utc,
        )

    def _builder(
        self, key: ec.EllipticCurvePublicKey, common_name: str, days: float, now: datetime
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(now + timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        )

    def _sign(
        self, builder: x509.CertificateBuilder, uses: list[x509.ObjectIdentifier]
    ) -> x509.Certificate:
        root = x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())
        return (
            builder.add_extension(x509.ExtendedKeyUsage(uses), critical=False)
            .add_extension(root, critical=False)
            .sign(self._key, hashes.SHA256())
        )


def same_key(csr_pem: str, certificate_pem: str) -> bool:
    """Whether a request is for the key of a certificate. Raises KaimenError ``enrol.bad_csr``."""
    held = x509.load_pem_x509_certificate(certificate_pem.encode()).public_key()
    return _requested(csr_pem) == held


def _requested(csr_pem: str) -> ec.EllipticCurvePublicKey:
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        key = csr.public_key() if csr.is_signature_valid else None
    except ValueError:
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not _strong(key):
        raise KaimenError(
            "enrol.bad_csr",
            "证书申请不正确：需要由 P-256 密钥自签的 PEM 申请",
            field="csr",
        )
    return key


def load_authority(data_dir: Path, now: datetime) -> Authority:
    """The installation's authority; made on the first call, by one process only."""
    folder = data_dir / FOLDER
    cert_file, key_file = folder / "ca.pem", folder / "ca.key"
    with locked(folder):
        if not key_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            write_whole(cert_file, _root(key, now).public_bytes(Encoding.PEM), 0o644)
            write_whole(key_file, _pem(key))
        certificate = x509.load_pem_x509_certificate(cert_file.read_bytes())
        private = load_pem_private_key(key_file.read_bytes(), password=None)
    if not isinstance(private, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{key_file} is no ECDSA key")
    return Authority(folder, certificate, private)


def _root(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Kaimen"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Kaimen store authority"),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=ROOT_DAYS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _strong(key: ec.EllipticCurvePublicKey) -> bool:
    return isinstance(key.curve, ec.SECP256R1)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _lasts(path: Path, now: datetime) -> bool:
    if not path.exists():
        return False
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return certificate.not_valid_after_utc - now > RENEW_BEFORE


def _names(path: Path) -> set[str]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(one.value) for one in found}


def _uses(path: Path) -> set[x509.ObjectIdentifier]:
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    return set(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)
