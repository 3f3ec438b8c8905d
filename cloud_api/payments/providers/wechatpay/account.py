"""What an account at WeChat Pay is: the credentials that a merchant copies from its console."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cloud_api.auth.wechat_oauth import API_URL, OPEN_URL, WechatApp
from cloud_api.kit import rsa2

PUBLIC_KEY_PREFIX = "PUB_KEY_ID_"
_LETTERS = r"^([A-Za-z0-9]{16,64})?$"


def _pem(key: str) -> None:
    if not key.lstrip().startswith("-----BEGIN"):
        raise ValueError("the key is no PEM")


class WechatPayAccount(BaseModel):
    """Credentials of an account, as stored (encrypted). Keys are PEM.

    ``public_key`` with ``public_key_id`` are WeChat Pay's own; older merchants have none and are served
    with platform certificates, which we fetch. During the change-over both kinds arrive. The app's
    secrets tell who pays inside WeChat (auth/wechat_oauth.py); without them nobody can there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    mchid: Annotated[str, Field(title="商户号", pattern=r"^[0-9]{6,32}$")]
    appid: Annotated[str, Field(title="公众号 AppID", pattern=r"^[A-Za-z0-9]{4,32}$")]
    mini_appid: Annotated[str, Field(title="小程序 AppID", pattern=r"^[A-Za-z0-9]{0,32}$")] = ""
    serial: Annotated[str, Field(title="商户 API 证书序列号", pattern=r"^[0-9A-Fa-f]{8,64}$")]
    private_key: Annotated[str, Field(title="商户 API 证书私钥")]
    api_v3_key: Annotated[str, Field(title="APIv3 密钥", min_length=32, max_length=32)]
    public_key_id: Annotated[str, Field(title="微信支付公钥 ID")] = ""
    public_key: Annotated[str, Field(title="微信支付公钥")] = ""
    app_secret: Annotated[str, Field(title="公众号 AppSecret", pattern=_LETTERS)] = ""
    mini_secret: Annotated[str, Field(title="小程序 AppSecret", pattern=_LETTERS)] = ""
    base_url: Annotated[str, Field(title="接口地址", pattern=r"^https?://")] = (
        "https://api.mch.weixin.qq.com"
    )
    open_url: Annotated[str, Field(title="授权页地址", pattern=r"^https?://")] = OPEN_URL
    api_url: Annotated[str, Field(title="公众平台接口地址", pattern=r"^https?://")] = API_URL

    @field_validator("private_key")
    @classmethod
    def _is_rsa(cls, value: str) -> str:
        _pem(value)
        rsa2.private_key(value)
        return value

    @field_validator("api_v3_key")
    @classmethod
    def _is_32_bytes(cls, value: str) -> str:
        if len(value.encode()) != 32:
            raise ValueError("the APIv3 key has 32 bytes")
        return value

    @model_validator(mode="after")
    def _public_key_has_both(self) -> WechatPayAccount:
        if bool(self.public_key) != bool(self.public_key_id):
            raise ValueError("public_key and public_key_id come together")
        if self.public_key_id and not self.public_key_id.startswith(PUBLIC_KEY_PREFIX):
            raise ValueError(f"public_key_id begins with {PUBLIC_KEY_PREFIX}")
        if self.public_key:
            _pem(self.public_key)
            rsa2.public_key(self.public_key)
        return self

    @cached_property
    def key(self) -> RSAPrivateKey:
        """Ours: signs requests."""
        return rsa2.private_key(self.private_key)

    @property
    def appids(self) -> frozenset[str]:
        """The apps whose payers may pay into this account."""
        return frozenset({self.appid, self.mini_appid} - {""})

    @property
    def page_app(self) -> WechatApp | None:
        """The official account whose pages are paid in; None where its secret is not known."""
        return self._app(self.appid, self.app_secret)

    @property
    def mini_app(self) -> WechatApp | None:
        """The mini-program; None where there is none, or its secret is not known."""
        return self._app(self.mini_appid, self.mini_secret)

    def _app(self, appid: str, secret: str) -> WechatApp | None:
        return WechatApp(appid, secret, self.open_url, self.api_url) if appid and secret else None
