"""Who somebody is: the authorize page, and codes that are good once and for five minutes.

As developers.weixin.qq.com tells of 网页授权 and ``code2Session``; their error codes: 40013 appid, 40125
secret, 40029 a code that is none (or another app's), 40163 a used one, 42003 one that is too old.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse

from simulators.counter import pages
from simulators.counter.desk import Desk

router = APIRouter()
CODE_LIVES_S: Final = 300
PERSON: Final = "wechat_person"  # the cookie that says who sits at this phone
SOMEBODY: Final = "somebody"
_SCOPES: Final = frozenset({"snsapi_base", "snsapi_userinfo"})


@dataclass(slots=True)
class Code:
    """What a code stands for; ``at`` is wire time."""

    appid: str
    person: str
    scope: str
    at: float
    used: bool = False


@dataclass(slots=True)
class Apps:
    """Apps and their secrets, the domains they may send people back to, and the codes that are out."""

    desk: Desk
    secrets: dict[str, str]
    hosts: frozenset[str] = frozenset()  # 网页授权域名; empty: all
    snapshot: bool = False  # answers are about a made-up person
    codes: dict[str, Code] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)  # openid → the app that it is of

    def openid(self, appid: str, person: str) -> str:
        """The same person is somebody else to every app."""
        key = self.desk.book.setting("openid_key", lambda: secrets.token_hex(16))
        raw = hmac.new(key.encode(), f"{appid}\n{person}".encode(), hashlib.sha256).digest()
        made = "o" + urlsafe_b64encode(raw).decode()[:27]
        self.known[made] = appid
        return made

    def code(self, appid: str, person: str, scope: str = "") -> str:
        """A new code, as the authorize page or ``wx.login`` gives one."""
        made = "0" + secrets.token_hex(15)
        self.codes[made] = Code(appid, person, scope, self.desk.book.real)
        return made

    def use(self, appid: str, secret: str, code: str, *, page: bool) -> Code | tuple[int, str]:
        """The code, used up; or the error that WeChat answers."""
        if appid not in self.secrets:
            return 40013, "invalid appid"
        if not hmac.compare_digest(secret, self.secrets[appid]):
            return 40125, "invalid appsecret"
        known = self.codes.get(code)
        if known is None or known.appid != appid or bool(known.scope) is not page:
            return 40029, "invalid code"
        if known.used:
            return 40163, "code been used"
        if self.desk.book.real - known.at >= CODE_LIVES_S:
            return 42003, "code expired"
        known.used = True
        return known


@router.get("/connect/oauth2/authorize")
async def authorize(
    request: Request, appid: str = "", redirect_uri: str = "", scope: str = "", state: str = ""
) -> Response:
    """``snsapi_base`` asks nothing and leads back at once; the other would ask, and is agreed to."""
    apps: Apps = request.app.state.apps
    there = urlsplit(redirect_uri)
    wrong = (
        appid not in apps.secrets
        or scope not in _SCOPES
        or request.query_params.get("response_type") != "code"
        or there.scheme not in {"http", "https"}
        or bool(apps.hosts and there.hostname not in apps.hosts)
        or len(state) > 128
    )
    if wrong:
        return pages.gone(apps.desk)
    person = request.cookies.get(PERSON, SOMEBODY)
    more = urlencode({"code": apps.code(appid, person, scope), "state": state})
    return RedirectResponse(f"{redirect_uri}{'&' if there.query else '?'}{more}", 302)


@router.get("/sns/oauth2/access_token")
async def access_token(
    request: Request, appid: str = "", secret: str = "", code: str = "", grant_type: str = ""
) -> Response:
    """A code of the authorize page becomes an openid (and tokens)."""
    apps: Apps = request.app.state.apps
    if grant_type != "authorization_code":
        return _error(40002, "invalid grant_type")
    found = apps.use(appid, secret, code, page=True)
    if isinstance(found, tuple):
        return _error(*found)
    said = {
        "access_token": secrets.token_urlsafe(48),
        "expires_in": 7200,
        "refresh_token": secrets.token_urlsafe(48),
        "openid": apps.openid(appid, found.person),
        "scope": found.scope,
        "unionid": apps.openid("unionid", found.person),
    }
    return JSONResponse(said | ({"is_snapshotuser": 1} if apps.snapshot else {}))


@router.get("/sns/jscode2session")
async def jscode2session(
    request: Request, appid: str = "", secret: str = "", js_code: str = "", grant_type: str = ""
) -> Response:
    """A code of ``wx.login`` becomes an openid (and a session key)."""
    apps: Apps = request.app.state.apps
    if grant_type != "authorization_code":
        return _error(40002, "invalid grant_type")
    found = apps.use(appid, secret, js_code, page=False)
    if isinstance(found, tuple):
        return _error(*found)
    return JSONResponse(
        {
            "openid": apps.openid(appid, found.person),
            "session_key": secrets.token_urlsafe(16) + "==",
            "unionid": apps.openid("unionid", found.person),
        }
    )


def _error(code: int, message: str) -> JSONResponse:
    """WeChat answers 200 with an error inside; its text ends with a request's name."""
    rid = f"{secrets.token_hex(4)}-{secrets.token_hex(4)}-{secrets.token_hex(4)}"
    return JSONResponse({"errcode": code, "errmsg": f"{message}, rid: {rid}"})
