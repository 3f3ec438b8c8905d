"""What an account at Alipay is: the credentials that a merchant copies from the open platform."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from pydantic import BaseModel, ConfigDict, Field, field_validator

from cloud_api.auth.alipay_oauth import OPEN_URL, AlipayApp
from cloud_api.kit import rsa2


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
        rsa2.private_key(value)
        return value

    @field_validator("alipay_public_key")
    @classmethod
    def _public_is_rsa(cls, value: str) -> str:
        rsa2.public_key(value)
        return value

    @cached_property
    def key(self) -> RSAPrivateKey:
        """Ours: signs requests."""
        return rsa2.private_key(self.private_key)

    @cached_property
    def theirs(self) -> RSAPublicKey:
        """Alipay's: verifies answers and notifications."""
        return rsa2.public_key(self.alipay_public_key)

    @property
    def app(self) -> AlipayApp:
        """The app whose users can be known (auth/alipay_oauth.py)."""
        return AlipayApp(self.app_id, self.key, self.theirs, self.base_url, self.open_url)
