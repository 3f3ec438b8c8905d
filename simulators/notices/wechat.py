"""WeChat's server API: stable tokens that end, one subscribe message per consent, logins by code."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.notices.desk import Desk, http_500, silence

_LIMITS = {"thing": 20, "character_string": 32, "phrase": 5}


@dataclass(slots=True)
class App:
    """One mini program. ``consents`` counts what each (openid, template) still agreed to."""

    app_id: str
    secret: str
    templates: tuple[str, ...]
    codes: dict[str, str] = field(default_factory=dict)  # code of wx.login → openid
    consents: dict[tuple[str, str], int] = field(default_factory=dict)
    token: str = ""
    token_until: float = 0.0
    made: int = 0
    asked: list[bool] = field(default_factory=list)  # each request for a token: by force?

    def end_token(self) -> None:
        """Somebody else asked by force: the one that is out is worth nothing."""
        self.made += 1
        self.token = f"tok{self.made}"


@dataclass(slots=True)
class _Server:
    """The calls of the mini program."""

    desk: Desk
    app: App

    async def stable_token(self, request: Request) -> Response:
        """``getStableAccessToken``: the same for all, until it ends or is forced."""
        asked = json.loads(await request.body())
        if asked.get("grant_type") != "client_credential" or asked.get("appid") != self.app.app_id:
            return _errcode(40013, "invalid appid")
        if asked.get("secret") != self.app.secret:
            self.desk.refuse("secret")
            return _errcode(40125, "invalid appsecret")
        force = bool(asked.get("force_refresh"))
        self.app.asked.append(force)
        if force or not self.app.token or self.desk.time() >= self.app.token_until:
            self.app.made += 1
            self.app.token, self.app.token_until = f"tok{self.app.made}", self.desk.time() + 7200
        left = int(self.app.token_until - self.desk.time())
        return JSONResponse({"access_token": self.app.token, "expires_in": left})

    async def send(self, request: Request) -> Response:
        """``subscribeMessage.send``: uses up one consent."""
        token = request.query_params.get("access_token")
        fault = self.desk.next_fault()
        if fault == "http_500":
            return http_500()
        if token != self.app.token or fault == "bad_token":
            self.desk.refuse("token")
            return _errcode(40001, "invalid credential, access_token is invalid or not latest")
        if self.desk.time() >= self.app.token_until:
            self.desk.refuse("token")
            return _errcode(42001, "access_token expired")
        if fault == "rate_limit":
            return _errcode(45011, "api minute-quota reach limit")
        if fault == "busy":
            return _errcode(-1, "system error")
        asked: dict[str, Any] = json.loads(await request.body())
        if asked.get("template_id") not in self.app.templates:
            return _errcode(40037, "invalid template_id")
        for name, value in asked.get("data", {}).items():
            most = _LIMITS.get(name.rstrip("0123456789"), 1000)
            if not isinstance(value.get("value"), str) or not 0 < len(value["value"]) <= most:
                return _errcode(47003, f"argument invalid! data.{name}.value invalid")
        key = (str(asked.get("touser")), str(asked["template_id"]))
        if self.app.consents.get(key, 0) <= 0:
            return _errcode(43101, "user refuse to accept the msg")
        self.app.consents[key] -= 1
        data = {name: value["value"] for name, value in asked["data"].items()}
        self.desk.take(openid=key[0], template=key[1], data=data, lang=asked.get("lang"))
        if fault == "silent":
            return await silence(request)
        return JSONResponse({"errcode": 0, "errmsg": "ok", "msgid": len(self.desk.messages)})

    async def session(self, request: Request) -> Response:
        """``code2Session``: a code is good once."""
        query = request.query_params
        if query.get("appid") != self.app.app_id or query.get("secret") != self.app.secret:
            return _errcode(40125, "invalid appsecret")
        openid = self.app.codes.pop(query.get("js_code", ""), None)
        if openid is None:
            return _errcode(40029, "invalid code")
        return JSONResponse({"openid": openid, "session_key": "c2Vzc2lvbg=="})


def create_app(desk: Desk, app: App) -> Starlette:
    """The server."""
    server = _Server(desk, app)
    return Starlette(
        routes=[
            Route("/cgi-bin/stable_token", server.stable_token, methods=["POST"]),
            Route("/cgi-bin/message/subscribe/send", server.send, methods=["POST"]),
            Route("/sns/jscode2session", server.session),
        ]
    )


def _errcode(code: int, message: str) -> Response:
    return JSONResponse({"errcode": code, "errmsg": message})
