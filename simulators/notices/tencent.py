"""SendSms of Tencent Cloud: the request is rebuilt from what arrived and its TC3-HMAC-SHA256 checked."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from simulators.notices.desk import Desk, http_500, silence

_HEADER = re.compile(
    r"TC3-HMAC-SHA256 Credential=([^/]+)/(\d{4}-\d\d-\d\d)/(\w+)/tc3_request, "
    r"SignedHeaders=([^,]+), Signature=(\w{64})"
)
_FRESH_S = 300


@dataclass(slots=True)
class Account:
    """The one customer."""

    secret_id: str
    secret_key: str
    app_id: str
    sign_name: str
    templates: tuple[str, ...]


def create_app(desk: Desk, account: Account) -> Starlette:
    """The server."""

    async def send(request: Request) -> Response:
        body = await request.body()
        why = refusal(desk, account, request, body)
        if why:
            desk.refuse(why)
            return _error(why)
        fault = desk.next_fault()
        if fault == "http_500":
            return http_500()
        if fault == "busy":
            return _error("RequestLimitExceeded")
        if fault == "bad_token":
            return _error("AuthFailure.SecretIdNotFound")
        asked = json.loads(body)
        number = asked["PhoneNumberSet"][0]
        code = "Ok"
        if fault == "rate_limit":
            code = "LimitExceeded.PhoneNumberThirtySecondLimit"
        elif asked.get("SmsSdkAppId") != account.app_id:
            code = "UnauthorizedOperation.SmsSdkAppIdVerifyFail"
        elif asked.get("SignName") != account.sign_name:
            code = "FailedOperation.SignatureIncorrectOrUnapproved"
        elif asked.get("TemplateId") not in account.templates:
            code = "FailedOperation.TemplateIncorrectOrUnapproved"
        elif not re.fullmatch(r"\+861\d{10}", number):
            code = "InvalidParameterValue.IncorrectPhoneNumber"
        else:
            desk.take(
                phone=number, params=asked["TemplateParamSet"], ref=asked.get("SessionContext")
            )
        if fault == "silent":
            return await silence(request)
        status = {"SerialNo": f"s{len(desk.messages)}", "PhoneNumber": number, "Fee": 1}
        said = {"SendStatusSet": [{**status, "Code": code, "Message": code}], "RequestId": "r"}
        return JSONResponse({"Response": said})

    return Starlette(routes=[Route("/", send, methods=["POST"])])


def refusal(desk: Desk, account: Account, request: Request, body: bytes) -> str:
    """Why a call is not the customer's, in the provider's codes; empty if it is."""
    found = _HEADER.fullmatch(request.headers.get("authorization", ""))
    if found is None:
        return "AuthFailure.InvalidAuthorization"
    secret_id, day, service, signed, given = found.groups()
    timestamp = request.headers.get("x-tc-timestamp", "0")
    if secret_id != account.secret_id:
        return "AuthFailure.SecretIdNotFound"
    if abs(int(timestamp) - desk.time()) > _FRESH_S:
        return "AuthFailure.SignatureExpire"
    if day != datetime.fromtimestamp(int(timestamp), UTC).strftime("%Y-%m-%d"):
        return "AuthFailure.SignatureFailure"
    headers = "".join(
        f"{name}:{request.headers.get(name, '').strip().lower()}\n" for name in signed.split(";")
    )
    parts = ("POST", "/", request.url.query, headers, signed, hashlib.sha256(body).hexdigest())
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()
    text = f"TC3-HMAC-SHA256\n{timestamp}\n{day}/{service}/tc3_request\n{digest}"
    key = ("TC3" + account.secret_key).encode()
    for part in (day, service, "tc3_request", text):
        key = hmac.new(key, part.encode(), "sha256").digest()
    return "" if hmac.compare_digest(key.hex(), given) else "AuthFailure.SignatureFailure"


def _error(code: str) -> Response:
    said = {"Error": {"Code": code, "Message": code}, "RequestId": "r"}
    return JSONResponse({"Response": said})
