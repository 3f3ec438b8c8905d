"""Logging in by WeChat and Alipay: which apps this installation has, the way there, and who comes back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cloud_api.auth import alipay_oauth, wechat_oauth
from cloud_api.auth.alipay_oauth import AlipayApp
from cloud_api.auth.wechat_oauth import WechatApp
from cloud_api.kit import rsa2
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import NotFound
from cloud_api.settings import Settings

WECHAT: Final = "wechat"
ALIPAY: Final = "alipay"
NAMES: Final = {WECHAT: "微信", ALIPAY: "支付宝"}


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as one app knows them."""

    provider: str
    app: str
    subject: str = field(repr=False)


def app_of(settings: Settings, provider: str) -> WechatApp | AlipayApp | None:
    """The app that people log in by there; None where the installation has none.

    Raises ValueError for keys that are none.
    """
    at = dict(
        part.strip().split("=", 1) for part in settings.login_endpoints.split(",") if "=" in part
    )
    if provider == WECHAT and settings.wechat_login_app and settings.wechat_login_secret:
        return WechatApp(
            settings.wechat_login_app,
            settings.wechat_login_secret,
            at.get("wechat_open", wechat_oauth.OPEN_URL),
            at.get("wechat_api", wechat_oauth.API_URL),
        )
    theirs, key = settings.alipay_login_public_key, settings.alipay_login_key
    if provider == ALIPAY and settings.alipay_login_app and key and theirs:
        return AlipayApp(
            settings.alipay_login_app,
            rsa2.private_key(key),
            rsa2.public_key(theirs),
            at.get("alipay_gateway", alipay_oauth.GATEWAY),
            at.get("alipay_open", alipay_oauth.OPEN_URL),
        )
    return None


def has(settings: Settings, provider: str) -> bool:
    """Whether people can log in there."""
    return app_of(settings, provider) is not None


def authorize_url(cloud: Cloud, provider: str, back: str, state: str) -> tuple[str, str]:
    """The app's id, and where a browser inside the provider's own app is sent. Raises NotFound."""
    app = _need(cloud, provider)
    if isinstance(app, WechatApp):
        return app.appid, wechat_oauth.authorize_url(app, back, state)
    return app.app_id, alipay_oauth.authorize_url(app, back, state)


async def person_of(cloud: Cloud, provider: str, code: str) -> Person:
    """Whose a code is; asks the provider, so outside any transaction. Raises what the two modules raise."""
    app = _need(cloud, provider)
    if isinstance(app, WechatApp):
        known = await wechat_oauth.by_page_code(cloud.http, app, code)
        return Person(provider, known.appid, known.openid)
    found = await alipay_oauth.by_code(cloud.http, app, code, cloud.clocks.real)
    return Person(provider, found.app_id, found.subject)


def _need(cloud: Cloud, provider: str) -> WechatApp | AlipayApp:
    app = app_of(cloud.settings, provider)
    if app is None:
        raise NotFound("login", "这里不能这样登录，用手机号")
    return app
