"""The service's and its merchant's keys, and how both sign (pay.weixin.qq.com, documents 4012365342 ff.)."""

from __future__ import annotations

import base64
import json
import re
import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.x509.oid import NameOID

from simulators.counter.desk import Desk
from store_link.clock import Clock

MCHID: Final = "1900000001"
APPID: Final = "wx1234567890abcdef"
MINI_APPID: Final = "wxfedcba0987654321"
FRESH_S: Final = 300


class WechatDesk(Desk):
    """``mode`` says which key signs: ``certificate``, ``public_key``, or ``both`` in turn (change-over)."""

    def __init__(
        self, state_dir: Path | None, *, public_url: str, mode: str = "both",
        admin_token: str | None = None, business: Clock | None = None, wire: Clock | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "wechatpay", state_dir, public_url=public_url, admin_token=admin_token,
            business=business, wire=wire,
        )  # fmt: skip
        self.mode = mode
        self.merchant_pem = self.book.setting("merchant_key", _new_key)
        self.merchant_key = _load(self.merchant_pem)
        self.merchant_serial = self.book.setting(
            "merchant_serial", lambda: secrets.token_hex(20).upper()
        )
        self.api_v3_key = self.book.setting("api_v3_key", lambda: secrets.token_hex(16))
        self.app_secret = self.book.setting("app_secret", lambda: secrets.token_hex(16))
        self.mini_secret = self.book.setting("mini_secret", lambda: secrets.token_hex(16))
        self.public_key = _load(self.book.setting("public_key", _new_key))
        self.public_key_id = self.book.setting(
            "public_key_id", lambda: f"PUB_KEY_ID_0119{secrets.randbelow(10**16):016d}"
        )
        self.platform: list[tuple[rsa.RSAPrivateKey, x509.Certificate]] = []
        self._add_certificate(_load(self.book.setting("platform_key", _new_key)))
        self._turn = 0

    # -------------------------------------------------------------------------------------- keys

    def rotate(self) -> None:
        """A new certificate signs from now on; both are given out."""
        self._add_certificate(_load(_new_key()))

    def _add_certificate(self, key: rsa.RSAPrivateKey) -> None:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Tenpay.com simulator")])
        now = self.wire.now()
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(int.from_bytes(b"\x5e" + secrets.token_bytes(19)))
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=5 * 365))
            .sign(key, hashes.SHA256())
        )
        self.platform.append((key, made))

    def account(self, *, public_key: bool = True) -> dict[str, str]:
        """The merchant's credentials, as the cloud stores them."""
        found = {
            "mchid": MCHID,
            "appid": APPID,
            "mini_appid": MINI_APPID,
            "serial": self.merchant_serial,
            "private_key": self.merchant_pem,
            "api_v3_key": self.api_v3_key,
            "base_url": self.public_url,
            "app_secret": self.app_secret,
            "mini_secret": self.mini_secret,
            "open_url": self.public_url,
            "api_url": self.public_url,
        }
        if public_key:
            pem = self.public_key.public_key().public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            found |= {"public_key_id": self.public_key_id, "public_key": pem.decode()}
        return found

    # ------------------------------------------------------------------------------------ signing

    def verify(self, authorization: str, method: str, path: str, raw: bytes) -> str:
        """Empty for a request of our merchant's; else what is wrong with it."""
        scheme, _, rest = authorization.partition(" ")
        given = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if scheme != "WECHATPAY2-SHA256-RSA2048" or given.get("mchid") != MCHID:
            return "Authorization"
        if given.get("serial_no") != self.merchant_serial:
            return "serial_no"
        if abs(self.book.real - int(given.get("timestamp", "0"))) > FRESH_S:
            return "timestamp"
        text = f"{method}\n{path}\n{given['timestamp']}\n{given.get('nonce_str', '')}\n".encode()
        try:
            self.merchant_key.public_key().verify(
                base64.b64decode(given.get("signature", "")),
                text + raw + b"\n",
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except InvalidSignature:
            return "signature"
        return ""

    def headers(self, raw: bytes, *, wrong: str = "", age_s: float = 0) -> dict[str, str]:
        """Signature headers. ``wrong``: ``signature``, ``probe`` or ``serial``."""
        self._turn += 1
        certain = self.mode == "certificate" or (self.mode == "both" and self._turn % 2)
        key, serial = self.public_key, self.public_key_id
        if certain:
            key, certificate = self.platform[-1]
            serial = f"{certificate.serial_number:X}"
        if wrong == "serial":
            key, serial = self.merchant_key, secrets.token_hex(20).upper()
        stamp, nonce = str(int(self.book.real - age_s)), secrets.token_hex(16)
        signed = f"{stamp}\n{nonce}\n".encode() + raw + b"\n"
        signature = base64.b64encode(
            key.sign(signed + (b"!" if wrong == "signature" else b""), padding.PKCS1v15(), hashes.SHA256())
        ).decode()  # fmt: skip
        if wrong == "probe":
            signature = "WECHATPAY/SIGNTEST/" + signature[19:]
        return {
            "Wechatpay-Timestamp": stamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature": signature,
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature-Type": "WECHATPAY2-SHA256-RSA2048",
            "Request-ID": secrets.token_hex(8),
        }

    def seal(self, what: dict[str, Any] | str, associated: str) -> dict[str, str]:
        """AEAD_AES_256_GCM under the APIv3 key."""
        text = what if isinstance(what, str) else json.dumps(what, ensure_ascii=False)
        nonce = secrets.token_hex(6)
        sealed = AESGCM(self.api_v3_key.encode()).encrypt(
            nonce.encode(), text.encode(), associated.encode()
        )
        return {
            "algorithm": "AEAD_AES_256_GCM",
            "ciphertext": base64.b64encode(sealed).decode(),
            "associated_data": associated,
            "nonce": nonce,
        }


def _new_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _load(pem: str) -> rsa.RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key
