"""Who somebody is to an app at WeChat: the way to its authorize page, and what a code is worth.

Sources: developers.weixin.qq.com, 网页授权 (``connect/oauth2/authorize``, ``sns/oauth2/access_token``)
and ``code2Session``. A code is good once and for five minutes. Tokens and session keys that come with an
answer end here: nothing of ours wants them. An openid names a person to one app and proves nothing: it is
believed only as the answer to a code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import urlencode

import httpx
import structlog

from cloud_api.kit.errors import KaimenError

OPEN_URL: Final = "https://open.weixin.qq.com"
API_URL: Final = "https://api.weixin.qq.com"
TIMEOUT_S: Final = 6.0
BASE: Final = "snsapi_base"  # without a question, for the openid alone
USERINFO: Final = "snsapi_userinfo"  # WeChat asks; only after a tap, or it gives a made-up person
_USED_UP: Final = frozenset({40029, 40163, 42003, 41008})  # wrong, used, too old, none
_LATER: Final = frozenset({-1, 45011})
_BLOCKED: Final = 40226
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WechatApp:
    """An official account or a mini-program; the addresses differ where it is simulated."""

    appid: str
    secret: str = field(repr=False)
    open_url: str = OPEN_URL
    api_url: str = API_URL


@dataclass(frozen=True, slots=True)
class WechatIdentity:
    """Somebody as one app knows them; ``unionid`` where its owner has bound several apps together."""

    appid: str
    openid: str = field(repr=False)
    unionid: str = field(default="", repr=False)


def authorize_url(
    app: WechatApp,
    redirect_uri: str,
    state: str,
    scope: Literal["snsapi_base", "snsapi_userinfo"] = BASE,
) -> str:
    """Where a browser inside WeChat is sent; it comes back to ``redirect_uri`` with code and state.

    ``redirect_uri`` is on the domain that the official account names (网页授权域名). ``state``: letters
    and digits, 128 at most.
    """
    if not state.isalnum() or len(state) > 128:
        raise ValueError("WeChat takes letters and digits as state, 128 at most")
    query = urlencode(  # in WeChat's own order, which it asks for
        {
            "appid": app.appid,
            "redirect_uri": redirect_uri,
            "response_type": "code",
            "scope": scope,
            "state": state,
        }
    )
    return f"{app.open_url.rstrip('/')}/connect/oauth2/authorize?{query}#wechat_redirect"


async def by_page_code(http: httpx.AsyncClient, app: WechatApp, code: str) -> WechatIdentity:
    """Whose a code is that came back from the authorize page. Raises as ``by_mini_code``.

    A made-up person (快照页) is none: KaimenError ``wechat.snapshot``.
    """
    said = await _ask(
        http,
        app,
        "/sns/oauth2/access_token",
        {"appid": app.appid, "secret": app.secret, "code": code},
    )
    if said.get("is_snapshotuser") == 1:
        raise KaimenError(
            "wechat.snapshot", "微信给的是预览页，点右上角用完整服务再试", status=422, field="code"
        )
    return _identity(app, said)


async def by_mini_code(http: httpx.AsyncClient, app: WechatApp, code: str) -> WechatIdentity:
    """Whose a code is that ``wx.login`` gave a mini-program (``code2Session``).

    Raises KaimenError: ``wechat.bad_code`` (used, old or wrong: get another), ``wechat.blocked``,
    ``wechat.away``, ``wechat.app`` where the app's own id or secret is wrong.
    """
    params = {"appid": app.appid, "secret": app.secret, "js_code": code}
    return _identity(app, await _ask(http, app, "/sns/jscode2session", params))


async def _ask(
    http: httpx.AsyncClient, app: WechatApp, path: str, params: dict[str, str]
) -> dict[str, Any]:
    """What WeChat answers; never logs the address, which carries the secret."""
    asked = {**params, "grant_type": "authorization_code"}
    try:
        answer = await http.get(f"{app.api_url.rstrip('/')}{path}", params=asked, timeout=TIMEOUT_S)
        said = answer.json() if answer.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        _log.warning("wechat.no_answer", path=path, error=type(error).__name__)
        said = None
    if not isinstance(said, dict):
        raise KaimenError("wechat.away", "微信没有回应，过一会儿再试", status=503)
    code = said.get("errcode", 0)
    if code == 0:
        return said
    _log.warning("wechat.refused", path=path, code=code)
    if code in _USED_UP:
        raise KaimenError("wechat.bad_code", "微信登录已过期，请重新进入", status=422, field="code")
    if code in _LATER:
        raise KaimenError("wechat.away", "微信没有回应，过一会儿再试", status=503)
    if code == _BLOCKED:
        raise KaimenError("wechat.blocked", "微信不让这个账号登录，请换一种方式", status=403)
    raise KaimenError(
        "wechat.app", "门店的微信资料不对，请联系店家", status=502, extra={"errcode": code}
    )


def _identity(app: WechatApp, said: dict[str, Any]) -> WechatIdentity:
    openid, unionid = said.get("openid"), said.get("unionid")
    if not isinstance(openid, str) or not openid:
        raise KaimenError("wechat.away", "微信没有回应，过一会儿再试", status=503)
    return WechatIdentity(app.appid, openid, unionid if isinstance(unionid, str) else "")
