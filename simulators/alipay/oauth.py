"""Who somebody is: the authorize page and ``alipay.system.oauth.token`` (opendocs.alipay.com, 用户授权)."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode, urlsplit

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from simulators.alipay.house import APP_ID, AlipayDesk
from simulators.counter import pages
from simulators.counter.book import Row

router = APIRouter()
METHOD: Final = "alipay.system.oauth.token"
CODE_LIVES_S: Final = 86400
PERSON: Final = "alipay_person"  # the cookie that says who sits at this phone
_SCOPES: Final = frozenset({"auth_base", "auth_user"})


@router.get("/oauth2/publicAppAuthorize.htm")
async def authorize(
    request: Request, app_id: str = "", scope: str = "", redirect_uri: str = "", state: str = ""
) -> Response:
    """``auth_base`` asks nothing and leads back at once; the other would ask, and is agreed to."""
    desk: AlipayDesk = request.app.state.desk
    there = urlsplit(redirect_uri)
    if app_id != APP_ID or scope not in _SCOPES or there.scheme not in {"http", "https"}:
        return pages.gone(desk)
    code = secrets.token_hex(16)
    desk.codes[code] = (request.cookies.get(PERSON, "somebody"), desk.book.real)
    more = urlencode(
        {"app_id": app_id, "source": "alipay_wallet", "scope": scope, "auth_code": code, "state": state}
    )  # fmt: skip
    return RedirectResponse(f"{redirect_uri}{'&' if there.query else '?'}{more}", 302)


def token(desk: AlipayDesk, params: Mapping[str, str]) -> tuple[str, Row]:
    """The node's name and the node: a person for a code; ``error_response`` for one that is none."""
    if params.get("grant_type") != "authorization_code":
        return "error", _wrong("isv.grant-type-invalid")
    person, at = desk.codes.pop(params.get("code", ""), ("", 0.0))
    if not person or desk.book.real - at >= CODE_LIVES_S:
        return "error", _wrong("isv.code-invalid")
    return METHOD, {
        "user_id": user_id(person),
        "access_token": secrets.token_hex(20),
        "expires_in": 1296000,
        "refresh_token": secrets.token_hex(20),
        "re_expires_in": 2592000,
    }


def user_id(person: str) -> str:
    """2088 and twelve digits, the same for the same person."""
    return f"2088{int(hashlib.sha256(person.encode()).hexdigest(), 16) % 10**12:012d}"


def _wrong(sub_code: str) -> Row:
    return {"code": "40002", "msg": "Invalid Arguments", "sub_code": sub_code, "sub_msg": sub_code}
