"""Renews this store's certificate before it ends: a new key, the same name, nobody has to come.

Run as a program of its own, once in a while (``kaimen-edge renew``): what it needs of `cryptography` are
megabytes that a controller at work has no use for. The link reads the files for each connection, so the
new certificate counts from the next one; the one that stands is left alone.

The new key is on the disk before the cloud hears of it. Whatever is lost after that, the answer or this
process, the next run asks with the same key and gets the same certificate.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from controller import cloud_http
from controller.enroll import make_csr, request_for
from controller.identity import NEXT_CERT, NEXT_KEY, Identity, finish_renewal, load, write_private
from store_link.clock import ms

BEFORE = timedelta(days=60)


class NotRenewed(Exception):
    """It did not work this time; the text says why. The next run tries again."""


def renew(state_dir: Path, now: datetime) -> datetime | None:
    """Renew where the certificate ends within 60 days; until when the new one is valid. Blocking; wire time.

    Raises NotRenewed, and NotEnrolled where there is no identity.
    """
    identity = load(state_dir)
    if not identity.mqtt.tls:
        return None
    finish_renewal(state_dir)
    ends = _ends((state_dir / "client.pem").read_bytes())
    if not identity.cloud or ends - now > BEFORE or ends < now:
        return None  # one that is over proves nothing any more: enrol
    csr = _request(state_dir)
    made = _ask(identity, csr, now)
    write_private(state_dir / NEXT_CERT, made.encode())
    finish_renewal(state_dir)
    return _ends(made.encode())


def _request(state_dir: Path) -> str:
    """A request for the key that is kept for it, which is made where there is none."""
    kept = state_dir / NEXT_KEY
    if not kept.exists():
        private, csr = make_csr()
        write_private(kept, private)
        return csr
    return request_for(load_pem_private_key(kept.read_bytes(), None))


def _ask(identity: Identity, csr: str, now: datetime) -> str:
    try:
        made = cloud_http.renew(identity.cloud, identity.store, identity.mac().secret, ms(now), csr)
        given = x509.load_pem_x509_certificate(made.encode())
    except (cloud_http.CloudRefused, cloud_http.CloudUnreachable) as error:
        raise NotRenewed(f"the cloud did not renew the certificate: {error}") from None
    except ValueError:
        raise NotRenewed("the cloud answered with what is no certificate") from None
    if given.public_key() != x509.load_pem_x509_csr(csr.encode()).public_key():
        raise NotRenewed("the cloud's certificate is for another key")
    return made


def _ends(pem: bytes) -> datetime:
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.astimezone(UTC)
