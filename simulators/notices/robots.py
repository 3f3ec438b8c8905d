"""The group robots of WeCom, DingTalk and Feishu, each with its own way to know who writes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.notices.desk import Desk, http_500, silence

_HOUR_S = 3600


@dataclass(slots=True)
class Keys:
    """What each robot was given when it was made."""

    wecom: str
    dingtalk_token: str
    dingtalk_secret: str
    feishu_hook: str
    feishu_secret: str


@dataclass(slots=True)
class _Server:
    """Three robots on one server: their paths differ."""

    desk: Desk
    keys: Keys

    async def wecom(self, request: Request) -> Response:
        """A robot of WeCom: the key in the address is all there is."""
        if request.query_params.get("key") != self.keys.wecom:
            self.desk.refuse("key")
            return _errcode(93000, "invalid webhook url")
        text = _text(await request.body(), "msgtype")
        if text is None or len(text.encode()) > 2048:
            return _errcode(40058, "invalid Request Parameter")
        return await self._answer(
            request, text, {"rate_limit": 45009, "busy": -1, "bad_token": 93000}
        )

    async def dingtalk(self, request: Request) -> Response:
        """A robot of DingTalk: token, timestamp and signature in the address."""
        query = request.query_params
        if query.get("access_token") != self.keys.dingtalk_token:
            self.desk.refuse("token")
            return _errcode(300005, "token is not exist")
        timestamp, sign = query.get("timestamp", "0"), query.get("sign", "")
        said = f"{timestamp}\n{self.keys.dingtalk_secret}".encode()
        mac = hmac.new(self.keys.dingtalk_secret.encode(), said, hashlib.sha256).digest()
        fresh = abs(int(timestamp) / 1000 - self.desk.time()) <= _HOUR_S
        if not fresh or not hmac.compare_digest(base64.b64encode(mac).decode(), sign):
            self.desk.refuse("sign")
            return _errcode(310000, "sign not match")
        text = _text(await request.body(), "msgtype")
        if text is None:
            return _errcode(400101, "msgtype is null")
        return await self._answer(
            request, text, {"rate_limit": 130101, "busy": -1, "bad_token": 300005}
        )

    async def feishu(self, request: Request) -> Response:
        """A robot of Feishu: timestamp and signature in the body."""
        raw = await request.body()
        asked = json.loads(raw)
        if request.path_params["hook"] != self.keys.feishu_hook:
            self.desk.refuse("hook")
            return _code(19001, "param invalid: incoming webhook access token invalid")
        timestamp = str(asked.get("timestamp", "0"))
        key = f"{timestamp}\n{self.keys.feishu_secret}".encode()
        mac = base64.b64encode(hmac.new(key, digestmod=hashlib.sha256).digest()).decode()
        fresh = abs(int(timestamp) - self.desk.time()) <= _HOUR_S
        if not fresh or not hmac.compare_digest(mac, str(asked.get("sign", ""))):
            self.desk.refuse("sign")
            return _code(19021, "sign match fail or timestamp is not within one hour")
        content = asked.get("content", {})
        if asked.get("msg_type") != "text" or not isinstance(content.get("text"), str):
            return _code(9499, "Bad Request")
        fault = self.desk.next_fault()
        if fault == "http_500":
            return http_500()
        if fault in {"rate_limit", "busy"}:
            return _code(11232, "frequency limited")
        if fault == "bad_token":
            return _code(19001, "param invalid")
        self.desk.take(text=content["text"])
        if fault == "silent":
            return await silence(request)
        return JSONResponse({"code": 0, "msg": "success", "data": {}, "StatusCode": 0})

    async def _answer(self, request: Request, text: str, codes: dict[str, int]) -> Response:
        """The common end: a fault, or the message is taken."""
        fault = self.desk.next_fault()
        if fault == "http_500":
            return http_500()
        if fault in codes:
            return _errcode(codes[fault], fault)
        self.desk.take(text=text)
        if fault == "silent":
            return await silence(request)
        return _errcode(0, "ok")


def create_app(desk: Desk, keys: Keys) -> Starlette:
    """The server."""
    server = _Server(desk, keys)
    return Starlette(
        routes=[
            Route("/cgi-bin/webhook/send", server.wecom, methods=["POST"]),
            Route("/robot/send", server.dingtalk, methods=["POST"]),
            Route("/open-apis/bot/v2/hook/{hook}", server.feishu, methods=["POST"]),
        ]
    )


def _text(raw: bytes, name: str) -> str | None:
    asked: dict[str, Any] = json.loads(raw)
    content = asked.get("text", {}).get("content")
    return content if asked.get(name) == "text" and isinstance(content, str) else None


def _errcode(code: int, message: str) -> Response:
    return JSONResponse({"errcode": code, "errmsg": message})


def _code(code: int, message: str) -> Response:
    return JSONResponse({"code": code, "msg": message, "data": {}})
