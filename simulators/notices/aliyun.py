"""Dysmsapi's SendSms: the request is rebuilt from what arrived and its ACS3-HMAC-SHA256 checked."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.notices.desk import Desk, http_500, silence

_HEADER = re.compile(
    r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=(\w{64})"
)
_FRESH_S = 900


@dataclass(slots=True)
class Account:
    """The one customer: their key, and what was approved for them."""

    key_id: str
    secret: str
    sign_name: str
    templates: tuple[str, ...]


def create_app(desk: Desk, account: Account) -> Starlette:
    """The server."""

    async def send(request: Request) -> Response:
        body = await request.body()
        why = refusal(desk, account, request, body)
        if why:
            desk.refuse(why)
            return _error(why, 400 if why == "SignatureDoesNotMatch" else 404)
        fault = desk.next_fault()
        if fault == "http_500":
            return http_500()
        if fault == "rate_limit":
            return JSONResponse({"Code": "isv.BUSINESS_LIMIT_CONTROL", "Message": "触发分钟级流控"})
        if fault == "busy":
            return _error("ServiceUnavailable", 503)
        if fault == "bad_token":
            return _error("InvalidAccessKeyId.NotFound", 404)
        asked = dict(parse_qsl(request.url.query, keep_blank_values=True))
        if request.headers.get("x-acs-action") != "SendSms":
            return _error("InvalidAction.NotFound", 404)
        wrong = _wrong(account, asked)
        if wrong:
            return _said(wrong)
        desk.take(
            phone=asked["PhoneNumbers"],
            params=json.loads(asked.get("TemplateParam", "{}")),
            ref=asked.get("OutId"),
        )
        if fault == "silent":
            return await silence(request)
        number = f"{len(desk.messages):018d}^0"
        return JSONResponse({"Code": "OK", "Message": "OK", "BizId": number, "RequestId": "r"})

    return Starlette(routes=[Route("/", send, methods=["POST", "GET"])])


def refusal(desk: Desk, account: Account, request: Request, body: bytes) -> str:
    """Why a call is not the customer's, in the provider's codes; empty if it is."""
    found = _HEADER.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return "MissingSignature"
    key_id, signed, given = found.groups()
    if key_id != account.key_id:
        return "InvalidAccessKeyId.NotFound"
    names = signed.split(";")
    must = {"host", "x-acs-action", "x-acs-version", "x-acs-date", "x-acs-content-sha256"}
    if names != sorted(names) or not must <= set(names):
        return "SignatureDoesNotMatch"
    if request.headers.get("x-acs-content-sha256") != hashlib.sha256(body).hexdigest():
        return "SignatureDoesNotMatch"
    at = datetime.strptime(request.headers["x-acs-date"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    if abs(at.timestamp() - desk.time()) > _FRESH_S:
        return "InvalidTimeStamp.Expired"
    raw_query = sorted(request.scope["query_string"].decode().split("&"))
    lines = [request.method, request.url.path, "&".join(part for part in raw_query if part)]
    lines += [f"{name}:{request.headers.get(name, '').strip()}" for name in names]
    lines += ["", signed, hashlib.sha256(body).hexdigest()]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    mac = hmac.new(account.secret.encode(), f"ACS3-HMAC-SHA256\n{digest}".encode(), "sha256")
    return "" if hmac.compare_digest(mac.hexdigest(), given) else "SignatureDoesNotMatch"


def _wrong(account: Account, asked: dict[str, str]) -> str:
    """What is wrong with a message that is the customer's, in the provider's codes."""
    if not re.fullmatch(r"1\d{10}", asked.get("PhoneNumbers", "")):
        return "isv.MOBILE_NUMBER_ILLEGAL"
    if asked.get("SignName") != account.sign_name:
        return "isv.SMS_SIGNATURE_ILLEGAL"
    if asked.get("TemplateCode") not in account.templates:
        return "isv.SMS_TEMPLATE_ILLEGAL"
    params = json.loads(asked.get("TemplateParam", "{}"))
    texts = all(isinstance(value, str) for value in params.values())
    return "" if texts else "isv.INVALID_JSON_PARAM"


def _error(code: str, status: int) -> Response:
    return JSONResponse({"Code": code, "Message": code, "RequestId": "r"}, status)


def _said(code: str) -> Response:
    return JSONResponse({"Code": code, "Message": code, "RequestId": "r"})
