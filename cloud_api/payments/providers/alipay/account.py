"""What an account at Alipay is: the credentials that a merchant copies from the open platform."""

from __future__ import annotations

import base64
import binascii
from functools import cached_property
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_der_public_key,
    load_pem_private_key,
    load_pem_public_key,
)
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cloud_api.auth.alipay_oauth import OPEN_URL, AlipayApp


class AlipayAccount(BaseModel):
    """Credentials of an account, as stored (encrypted), for an app in public-key mode (RSA2).

    Keys are PEM, or bare Base64 as Alipay's key tool writes them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    app_id: Annotated[str, Field(title="应用 APPID", pattern=r"^[0-9]{10,32}$")]
    seller_id: Annotated[str, Field(title="商户 PID", pattern=r"^2088[0-9]{12}$")]
    private_key: Annotated[str, Field(title="应用私钥")]
    alipay_public_key: Annotated[str, Field(title="支付宝公钥")]
    base_url: Annotated[str, Field(title="网关地址", pattern=r"^https?://")] = (
        "https://openapi.alipay.com/gateway.do"
    )
    open_url: Annotated[str, Field(title="授权页地址", pattern=r"^https?://")] = OPEN_URL

    @field_validator("private_key")
    @classmethod
    def _private_is_rsa(cls, value: str) -> str:
        _private(value)
        return value

    @field_validator("alipay_public_key")
    @classmethod
    def _public_is_rsa(cls, value: str) -> str:
        _public(value)
        return value

    @cached_property
    def key(self) -> RSAPrivateKey:
        """Ours: signs requests."""
        return _private(self.private_key)

    @cached_property
    def theirs(self) -> RSAPublicKey:
        """Alipay's: verifies answers and notifications."""
        return _public(self.alipay_public_key)

    @property
    def app(self) -> AlipayApp:
        """The app whose users can be known (auth/alipay_oauth.py)."""
        return AlipayApp(self.app_id, self.key, self.theirs, self.base_url, self.open_url)


def _private(text: str) -> RSAPrivateKey:
    raw = text.strip().encode()
    key = (
        load_pem_private_key(raw, None)
        if raw.startswith(b"-----")
        else load_der_private_key(_bare(raw), None)
    )
    if not isinstance(key, RSAPrivateKey):
        raise ValueError("the private key is no RSA key")
    return key


def _public(text: str) -> RSAPublicKey:
    raw = text.strip().encode()
    key = load_pem_public_key(raw) if raw.startswith(b"-----") else load_der_public_key(_bare(raw))
    if not isinstance(key, RSAPublicKey):
        raise ValueError("the public key is no RSA key")
    return key


def _bare(raw: bytes) -> bytes:
    try:
        return base64.b64decode(b"".join(raw.split()), validate=True)
    except binascii.Error as error:
        raise ValueError("the key is neither PEM nor Base64") from error
