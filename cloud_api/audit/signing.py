"""The key that signs the audit's checkpoints: ``data_dir/audit-keys.json``, apart from those of stores.

Who can write to the database alone cannot make a checkpoint; a public key checks one without any
secret (``audit export`` carries it).
"""

from __future__ import annotations

import base64
import binascii
import json
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from cloud_api.audit.canonical import canonical
from cloud_api.audit.models import AuditCheckpoint
from cloud_api.kit.files import locked, write_whole

FILE: Final = "audit-keys.json"
_DOMAIN: Final = b"kaimen/1/audit-checkpoint\n"


class AuditKeys:
    """The installation's keys for checkpoints, newest last; the newest signs."""

    def __init__(self, seeds: dict[str, bytes]) -> None:
        self._keys = {
            kid: Ed25519PrivateKey.from_private_bytes(seed) for kid, seed in seeds.items()
        }
        self.kid = list(seeds)[-1]

    def sign(self, checkpoint: AuditCheckpoint) -> None:
        """Fill in ``kid`` and ``signature``."""
        checkpoint.kid = self.kid
        signed = self._keys[self.kid].sign(message_of(checkpoint))
        checkpoint.signature = base64.b64encode(signed).decode()

    def public(self) -> dict[str, str]:
        """Public keys by kid, base64."""
        return {
            kid: base64.b64encode(key.public_key().public_bytes_raw()).decode()
            for kid, key in self._keys.items()
        }


def load_keys(data_dir: Path) -> AuditKeys:
    """The installation's keys; made on the first call. Raises ValueError for a damaged file."""
    path = data_dir / FILE
    with locked(data_dir):
        if not path.exists():
            seed = Ed25519PrivateKey.generate().private_bytes_raw()
            write_whole(path, json.dumps({"a1": seed.hex()}).encode())
        try:
            read = json.loads(path.read_text())
            return AuditKeys({str(kid): bytes.fromhex(seed) for kid, seed in read.items()})
        except (ValueError, AttributeError, TypeError, IndexError):
            raise ValueError(f"{path} is damaged: put it back from a backup") from None


def message_of(checkpoint: AuditCheckpoint) -> bytes:
    """What is signed."""
    return (
        _DOMAIN
        + canonical(
            {
                "v": 1,
                "merchant": checkpoint.merchant_id,
                "number": checkpoint.number,
                "kind": checkpoint.kind,
                "seq": checkpoint.seq,
                "hash": checkpoint.hash,
                "at": checkpoint.at,
                "kid": checkpoint.kid,
            }
        ).encode()
    )


def is_genuine(checkpoint: AuditCheckpoint, public: dict[str, str]) -> bool:
    """Whether the signature is that of one of ``public`` (base64 by kid) over this checkpoint."""
    raw = public.get(checkpoint.kid)
    if raw is None:
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(raw))
        key.verify(base64.b64decode(checkpoint.signature), message_of(checkpoint))
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True
