"""WeChat's JS-SDK: tokens and tickets that end, and what the app does with a page's signature.

As developers.weixin.qq.com tells: ``stable_token`` gives the same token until it ends, ``ticket/getticket``
the same ticket; ``wx.config`` is right when the SHA-1 over ticket, nonce, time and address is.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from simulators.counter.desk import Desk

router = APIRouter()
LIVES_S: Final = 7200
CLIENT: Final = """
window.wx = {
  config(asked) { this.asked = asked; setTimeout(() => this.then?.(), 0); },
  ready(then) { this.then = then; },
  error() {},
  updateAppMessageShareData(told) { (window.shared ??= {}).friend = told; },
  updateTimelineShareData(told) { (window.shared ??= {}).moments = told; },
};
"""
"""What the script puts into a page; in WeChat's own app the signature is judged before ``ready``."""


@dataclass(slots=True)
class Account:
    """One official account's token and ticket; ``asked`` counts requests for each."""

    desk: Desk
    appid: str
    secret: str
    token: str = ""
    token_until: float = 0.0
    ticket: str = ""
    ticket_until: float = 0.0
    asked: dict[str, int] = field(default_factory=lambda: {"token": 0, "ticket": 0})

    def judge(self, config: dict[str, Any], url: str) -> str:
        """``config:ok``, or what the app would say of a page's configuration."""
        if config.get("appId") != self.appid:
            return "config:invalid appid"
        nonce, at = str(config.get("nonceStr", "")), str(config.get("timestamp", ""))
        parts = {"jsapi_ticket": self.ticket, "noncestr": nonce, "timestamp": at, "url": url}
        text = "&".join(f"{name}={parts[name]}" for name in sorted(parts))
        made = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
        good = hmac.compare_digest(made, str(config.get("signature", "")))
        return "config:ok" if good else "config:invalid signature"


@router.post("/cgi-bin/stable_token")
async def stable_token(request: Request) -> JSONResponse:
    """The same for all until it ends, or is asked for by force."""
    account: Account = request.app.state.jssdk
    asked = await request.json()
    account.asked["token"] += 1
    if asked.get("grant_type") != "client_credential" or asked.get("appid") != account.appid:
        return _error(40013, "invalid appid")
    if not hmac.compare_digest(str(asked.get("secret", "")), account.secret):
        return _error(40125, "invalid appsecret")
    now = account.desk.book.real
    if asked.get("force_refresh") or not account.token or now >= account.token_until:
        account.token, account.token_until = secrets.token_urlsafe(48), now + LIVES_S
    return JSONResponse(
        {"access_token": account.token, "expires_in": int(account.token_until - now)}
    )


@router.get("/cgi-bin/ticket/getticket")
async def getticket(request: Request, access_token: str = "") -> JSONResponse:
    """A ticket for the token that is out now."""
    account: Account = request.app.state.jssdk
    account.asked["ticket"] += 1
    now = account.desk.book.real
    if not account.token or access_token != account.token:
        return _error(40001, "invalid credential, access_token is invalid or not latest")
    if now >= account.token_until:
        return _error(42001, "access_token expired")
    if request.query_params.get("type") != "jsapi":
        return _error(40097, "invalid args")
    if not account.ticket or now >= account.ticket_until:
        account.ticket, account.ticket_until = secrets.token_urlsafe(64), now + LIVES_S
    return JSONResponse(
        {
            "errcode": 0,
            "errmsg": "ok",
            "ticket": account.ticket,
            "expires_in": int(account.ticket_until - now),
        }
    )


def _error(code: int, message: str) -> JSONResponse:
    return JSONResponse({"errcode": code, "errmsg": message})
