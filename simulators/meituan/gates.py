"""The two ways in, each with its own signature and spelling: the technical platform and 北极星."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from simulators.mall.book import Refused
from simulators.meituan.receipts import METHODS, WORDS, MeituanDesk, Row

router = APIRouter()
_FRESH_S: Final = 600.0


def _desk(request: Request) -> MeituanDesk:
    found = request.app.state.desk
    assert isinstance(found, MeituanDesk)
    return found


@router.post("/ddzh/tuangou/receipt/{method}")
async def technical(method: str, request: Request) -> Response:
    """A form with ``biz``; SHA-1 over the sign key and the sorted parameters; business 58."""
    desk = _desk(request)
    form = await _form(request)
    known = desk.account()
    signed = {name: value for name, value in form.items() if name != "sign"}
    text = known["sign_key"] + "".join(f"{name}{signed[name]}" for name in sorted(signed))
    good = _same(hashlib.sha1(text.encode()).hexdigest(), form.get("sign", ""))  # noqa: S324  theirs
    late = abs(desk.shelf.now() - float(form.get("timestamp") or 0)) > _FRESH_S
    if not good or form.get("developerId") != known["developer_id"] or late:
        return _technical("OP_SIGN_ERROR", "签名错误")
    if form.get("appAuthToken") != known["app_auth_token"] or form.get("businessId") != "58":
        return _technical("OP_TOKEN_INVALID", "授权无效")
    asked = {_snake(name): str(value) for name, value in json.loads(form["biz"]).items()}

    def act() -> Response:
        try:
            rows = METHODS[method](desk, asked)
        except Refused as refused:
            return _technical(f"OP_{refused.why.upper()}", WORDS[refused.why])
        shown = [{_camel(k): v for k, v in row.items()} for row in rows]
        if method == "querylistbydate":
            return _technical("OP_SUCCESS", "", {"totalCount": len(shown), "records": shown})
        if method in ("prepare", "getconsumed"):
            return _technical("OP_SUCCESS", "", shown[0])
        return _technical("OP_SUCCESS", "", {"result": shown})

    if method not in METHODS or method == "scanprepare":
        return _technical("OP_METHOD", WORDS["method"])
    return await desk.knobs.around(method, act, lambda: _technical("OP_SYSTEM_ERROR", "系统繁忙"))


@router.post("/router/tuangou/receipt/{method}")
async def polaris(method: str, request: Request) -> Response:
    """A flat form; MD5 with the secret before and after the sorted parameters."""
    desk = _desk(request)
    form = await _form(request)
    known = desk.others["dianping"]
    signed = {name: value for name, value in form.items() if name != "sign"}
    secret = known["app_secret"]
    text = secret + "".join(f"{name}{signed[name]}" for name in sorted(signed)) + secret
    good = _same(hashlib.md5(text.encode()).hexdigest(), form.get("sign", ""))  # noqa: S324  theirs
    if not good or form.get("app_key") != known["app_key"]:
        return _polaris(401, "sign error")
    if form.get("session") != known["session"]:
        return _polaris(608, "session无效")
    names = {"requestid": "request_id", "app_deal_id": "deal_id"}
    asked = {names.get(name, name): value for name, value in form.items()}

    def act() -> Response:
        try:
            rows = METHODS[method](desk, asked)
        except Refused as refused:
            return _polaris(1000 + sorted(WORDS).index(refused.why), WORDS[refused.why])
        if method == "querylistbydate":
            return _polaris(200, "", {"total_count": len(rows), "records": rows})
        return _polaris(200, "", rows[0] if method in ("prepare", "getconsumed") else rows)

    if method not in METHODS:
        return _polaris(404, WORDS["method"])
    return await desk.knobs.around(method, act, lambda: _polaris(500, "系统繁忙"))


def _technical(code: str, words: str, data: Any = None) -> Response:
    return JSONResponse({"code": code, "msg": words, "data": data, "traceId": "1"})


def _polaris(code: int, words: str, data: Row | list[Row] | None = None) -> Response:
    return JSONResponse({"code": code, "msg": words, "data": data})


async def _form(request: Request) -> Mapping[str, str]:
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
