"""WECHATPAY2-SHA256-RSA2048: what is signed both ways, and by whose key (documents 4012365342, 4013053249).

A request: method, path with query, seconds, nonce, body, each with a line feed. An answer and a
notification: seconds, nonce, body. ``Wechatpay-Serial`` names the key: a platform certificate, or
WeChat Pay's public key (``PUB_KEY_ID_…``). Both come during a merchant's change-over (4012154180).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificate

from cloud_api.kit import rsa2
from cloud_api.payments.providers.base import BadNotification, ProbeNotification, UnknownKey
from cloud_api.payments.providers.wechatpay.account import PUBLIC_KEY_PREFIX, WechatPayAccount

SCHEME: Final = "WECHATPAY2-SHA256-RSA2048"
FRESH_S: Final = 300
_PROBE: Final = "WECHATPAY/SIGNTEST/"


def sign(account: WechatPayAccount, *lines: str) -> str:
    """Our signature over ``lines``, Base64."""
    text = "".join(f"{line}\n" for line in lines).encode()
    return base64.b64encode(account.key.sign(text, PKCS1v15(), SHA256())).decode()


def authorization(
    account: WechatPayAccount, method: str, path: str, body: str, now: datetime, nonce: str
) -> str:
    """The header of a request. ``path`` is with its query, ``body`` the exact text that is sent."""
    stamp = str(int(now.timestamp()))
    signature = sign(account, method, path, stamp, nonce, body)
    return (
        f'{SCHEME} mchid="{account.mchid}",nonce_str="{nonce}",timestamp="{stamp}",'
        f'serial_no="{account.serial}",signature="{signature}"'
    )


def verify(
    account: WechatPayAccount,
    certificates: Mapping[str, str],
    headers: Mapping[str, str],
    raw: bytes,
    now: datetime,
) -> None:
    """Raise BadNotification unless ``raw`` is WeChat Pay's, signed within five minutes of ``now``.

    ProbeNotification for a signature that is wrong on purpose, UnknownKey for a serial that we lack.
    """
    try:
        stamp, nonce = headers["Wechatpay-Timestamp"], headers["Wechatpay-Nonce"]
        given, serial = headers["Wechatpay-Signature"], headers["Wechatpay-Serial"]
        age = abs(now.timestamp() - int(stamp))
    except (KeyError, ValueError, OverflowError) as error:
        raise BadNotification(f"headers: {error!r}") from error
    if given.startswith(_PROBE):
        raise ProbeNotification("a probe of our verification")
    if age > FRESH_S:
        raise BadNotification(f"stale by {age:.0f} s")
    key = _key(account, certificates, serial, now)
    try:
        signature = base64.b64decode(given, validate=True)
        signed = f"{stamp}\n{nonce}\n".encode() + raw + b"\n"
        key.verify(signature, signed, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise BadNotification(f"signature: {type(error).__name__}") from error


def _key(
    account: WechatPayAccount, certificates: Mapping[str, str], serial: str, now: datetime
) -> RSAPublicKey:
    if serial.startswith(PUBLIC_KEY_PREFIX):
        if serial != account.public_key_id:
            raise BadNotification("signed with a public key that is not in the credentials")
        return rsa2.public_key(account.public_key)
    pem = certificates.get(serial.upper())
    if pem is None:
        raise UnknownKey("signed with a certificate that is not known here")
    certificate = load_pem_x509_certificate(pem.encode())
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise BadNotification("signed with a certificate that is not valid now")
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise BadNotification("not an RSA key")
    return key


def unseal(account: WechatPayAccount, sealed: Mapping[str, str]) -> bytes:
    """Decrypt a resource (AEAD_AES_256_GCM, APIv3 key). Raises BadNotification."""
    try:
        if sealed.get("algorithm") != "AEAD_AES_256_GCM":
            raise BadNotification("another algorithm")
        return AESGCM(account.api_v3_key.encode()).decrypt(
            sealed["nonce"].encode(),
            base64.b64decode(sealed["ciphertext"], validate=True),
            sealed.get("associated_data", "").encode(),
        )
    except (KeyError, ValueError, AttributeError, InvalidTag) as error:
        raise BadNotification(f"cannot be decrypted: {type(error).__name__}") from error
