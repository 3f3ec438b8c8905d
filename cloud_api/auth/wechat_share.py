"""What WeChat's script wants before a page may say how it is shared: a signature of the page's address.

Source: developers.weixin.qq.com, JS-SDK (``stable_token``, ``ticket/getticket``, 附录1 签名算法). Token and
ticket are good for two hours, and asking is limited: each process keeps its own copies. The signature is
SHA-1 because WeChat says so; it protects nothing of ours.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import structlog

from cloud_api.auth.outside import WECHAT, app_of
from cloud_api.auth.wechat_oauth import TIMEOUT_S, WechatApp
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.kit.ids import new_token
from cloud_api.settings import Settings

SCRIPT_HOST: Final = "https://res.wx.qq.com"
SCRIPT: Final = f"{SCRIPT_HOST}/open/js/jweixin-1.6.0.js"
_EARLY_S: Final = 300.0  # given up so long before their end
_BAD_TOKEN: Final = frozenset({40001, 40014, 42001})
_PART: Final = "wechat_share.tickets"
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Signed:
    """What ``wx.config`` takes."""

    app_id: str
    timestamp: int
    nonce: str
    signature: str


@dataclass(slots=True)
class _Kept:
    """An app's token and ticket in this process; ``until`` is monotonic time."""

    token: str = ""
    token_until: float = 0.0
    ticket: str = ""
    ticket_until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


def offered(settings: Settings) -> bool:
    """Whether pages use WeChat's script inside WeChat: where it is switched on and there is an account."""
    return settings.wechat_share and app_of(settings, WECHAT) is not None


def sign(ticket: str, nonce: str, timestamp: int, url: str) -> str:
    """The signature of ``url``, which is the page's address without what stands behind ``#``."""
    text = f"jsapi_ticket={ticket}&noncestr={nonce}&timestamp={timestamp}&url={url}"
    return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()


async def signed_for(cloud: Cloud, url: str) -> Signed:
    """The configuration of one of our own pages.

    Raises NotFound where it is not offered, KaimenError ``wechat.url`` (422) for another's page,
    ``wechat.silent`` (503) where WeChat does not answer or refuses us.
    """
    app = app_of(cloud.settings, WECHAT)
    if not cloud.settings.wechat_share or not isinstance(app, WechatApp):
        raise NotFound("wechat_share", "没有开通微信分享")
    ours = cloud.settings.public_url.rstrip("/") + "/"
    if not url.startswith(ours) or "#" in url or not url.isprintable():
        raise KaimenError("wechat.url", "只给本站的页面签名", status=422, field="url")
    nonce, timestamp = new_token(96), int(cloud.clocks.real.timestamp())
    ticket = await _ticket(cloud, app)
    return Signed(app.appid, timestamp, nonce, sign(ticket, nonce, timestamp, url))


async def _ticket(cloud: Cloud, app: WechatApp) -> str:
    kept: _Kept = cloud.parts.setdefault(_PART, {}).setdefault(app.appid, _Kept())
    async with kept.lock:
        if kept.ticket and cloud.clocks.wire.monotonic() < kept.ticket_until:
            return kept.ticket
        said: dict[str, Any] = {}
        for force in (False, True):  # a token that somebody else made worthless is renewed once
            token = await _token(cloud, app, kept, force=force)
            query = {"access_token": token, "type": "jsapi"}
            said = await _ask(cloud, app, "GET", "/cgi-bin/ticket/getticket", params=query)
            if said.get("errcode") not in _BAD_TOKEN:
                break
        ticket = said.get("ticket")
        if not isinstance(ticket, str) or not ticket:
            raise _silent(said)
        kept.ticket, kept.ticket_until = ticket, _until(cloud, said)
        return ticket


async def _token(cloud: Cloud, app: WechatApp, kept: _Kept, *, force: bool) -> str:
    if not force and kept.token and cloud.clocks.wire.monotonic() < kept.token_until:
        return kept.token
    body = {
        "grant_type": "client_credential",
        "appid": app.appid,
        "secret": app.secret,
        "force_refresh": force,
    }
    said = await _ask(cloud, app, "POST", "/cgi-bin/stable_token", json=body)
    token = said.get("access_token")
    if not isinstance(token, str) or not token:
        raise _silent(said)
    kept.token, kept.token_until = token, _until(cloud, said)
    return token


async def _ask(cloud: Cloud, app: WechatApp, method: str, path: str, **body: Any) -> dict[str, Any]:
    try:
        answer = await cloud.http.request(
            method, app.api_url.rstrip("/") + path, timeout=TIMEOUT_S, **body
        )
        said = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise _silent({"errmsg": type(error).__name__}) from error
    return said if isinstance(said, dict) else {}


def _until(cloud: Cloud, said: dict[str, Any]) -> float:
    lives = float(said.get("expires_in", 7200)) - _EARLY_S
    return cloud.clocks.wire.monotonic() + max(60.0, lives)


def _silent(said: dict[str, Any]) -> KaimenError:
    code = said.get("errcode", "")
    _log.warning("wechat.no_ticket", code=code, detail=str(said.get("errmsg", ""))[:80])
    return KaimenError("wechat.silent", "微信没有回话，分享照样能用，只是没有图", status=503)
