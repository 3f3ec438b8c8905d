"""The service's and its merchant's keys, and how both sign (opendocs.alipay.com/common/02kf5q)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from simulators.counter.desk import Desk
from store_link.clock import Clock

APP_ID: Final = "2021000000000001"
SELLER_ID: Final = "2088000000000001"


class AlipayDesk(Desk):
    """One app of one merchant."""

    def __init__(
        self, state_dir: Path | None, *, public_url: str, admin_token: str | None = None,
        business: Clock | None = None, wire: Clock | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            "alipay", state_dir, public_url=public_url, admin_token=admin_token,
            business=business, wire=wire,
        )  # fmt: skip
        self.merchant_pem = self.book.setting("merchant_key", _new_key)
        self.merchant_key = _load(self.merchant_pem)
        self.key = _load(self.book.setting("alipay_key", _new_key))
        self.other_key = self.merchant_key  # signs what shall not verify
        self.codes: dict[str, tuple[str, float]] = {}  # auth_code → person and wire time

    def account(self) -> dict[str, str]:
        """The merchant's credentials, as the cloud stores them."""
        pem = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {
            "app_id": APP_ID,
            "seller_id": SELLER_ID,
            "private_key": self.merchant_pem,
            "alipay_public_key": pem.decode(),
            "base_url": f"{self.public_url}/gateway.do",
            "open_url": self.public_url,
        }

    def is_merchants(self, params: Mapping[str, str]) -> bool:
        """Whether the merchant signed these parameters."""
        text = "&".join(f"{k}={params[k]}" for k in sorted(params) if k != "sign" and params[k])
        try:
            self.merchant_key.public_key().verify(
                base64.b64decode(params.get("sign", "")),
                text.encode(),
                padding.PKCS1v15(),
                hashes.SHA256(),
            )
        except (InvalidSignature, ValueError):
            return False
        return True

    def sign(self, text: str, *, wrong: bool = False) -> str:
        """Our signature, or one by a stranger."""
        key = self.other_key if wrong else self.key
        signed = key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signed).decode()


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
