"""Who somebody is to an app at Alipay: the way to its authorize page, and what an auth_code is worth.

Source: opendocs.alipay.com, 用户授权 (``publicAppAuthorize.htm``) and ``alipay.system.oauth.token``. A code
is good once. Tokens that come with an answer end here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import httpx
import structlog
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from cloud_api.kit import rsa2
from cloud_api.kit.errors import KaimenError

OPEN_URL: Final = "https://openauth.alipay.com"
GATEWAY: Final = "https://openapi.alipay.com/gateway.do"
TIMEOUT_S: Final = 6.0
BASE: Final = "auth_base"  # without a question, for the user's id alone
_METHOD: Final = "alipay.system.oauth.token"
_USED_UP: Final = frozenset({"isv.code-invalid", "isv.grant-type-invalid"})
_LATER: Final = frozenset({"20000", "isp.unknow-error", "isp.unknown-error"})
_ZONE: Final = ZoneInfo("Asia/Shanghai")
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class AlipayApp:
    """An app with both keys; the addresses differ where it is simulated. ``gateway`` is a full address."""

    app_id: str
    key: RSAPrivateKey = field(repr=False)
    theirs: RSAPublicKey = field(repr=False)
    gateway: str
    open_url: str = OPEN_URL


@dataclass(frozen=True, slots=True)
class AlipayIdentity:
    """Somebody as an app knows them. Apps made since 2023 get an ``open_id`` and no ``user_id``."""

    app_id: str
    user_id: str = field(default="", repr=False)
    open_id: str = field(default="", repr=False)

    @property
    def subject(self) -> str:
        """The name to know them by: the same at every visit."""
        return self.user_id or self.open_id


def authorize_url(
    app: AlipayApp,
    redirect_uri: str,
    state: str,
    scope: Literal["auth_base", "auth_user"] = BASE,
) -> str:
    """Where a browser inside Alipay is sent; it comes back with ``auth_code`` and ``state``."""
    query = {
        "app_id": app.app_id,
        "scope": scope,
        "redirect_uri": redirect_uri,
        "state": state,
    }
    return f"{app.open_url.rstrip('/')}/oauth2/publicAppAuthorize.htm?{urlencode(query)}"


async def by_code(
    http: httpx.AsyncClient, app: AlipayApp, code: str, now: datetime
) -> AlipayIdentity:
    """Whose an auth_code is; ``now`` is wire time. Raises KaimenError: ``alipay.bad_code`` (used, old or
    wrong: get another), ``alipay.away``, ``alipay.app`` where the app's keys are wrong.
    """
    params = {
        "app_id": app.app_id,
        "method": _METHOD,
        "format": "JSON",
        "charset": "utf-8",
        "sign_type": "RSA2",
        "timestamp": f"{now.astimezone(_ZONE):%Y-%m-%d %H:%M:%S}",
        "version": "1.0",
        "grant_type": "authorization_code",
        "code": code,
    }
    params["sign"] = rsa2.sign(app.key, params)
    try:
        answer = await http.post(app.gateway, data=params, timeout=TIMEOUT_S)
        said: dict[str, Any] = rsa2.read_answer(app.theirs, answer.content, _METHOD)
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        _log.warning("alipay.no_answer", error=type(error).__name__)
        raise KaimenError("alipay.away", "支付宝没有回应，过一会儿再试", status=503) from None
    if (wrong := str(said.get("sub_code") or said.get("code") or "10000")) != "10000":
        _log.warning("alipay.refused", code=wrong)
        if wrong in _USED_UP:
            raise KaimenError(
                "alipay.bad_code", "支付宝登录已过期，请重新进入", status=422, field="code"
            )
        if wrong in _LATER:
            raise KaimenError("alipay.away", "支付宝没有回应，过一会儿再试", status=503)
        raise KaimenError("alipay.app", "门店的支付宝资料不对，请联系店家", status=502)
    found = AlipayIdentity(
        app.app_id, str(said.get("user_id") or ""), str(said.get("open_id") or "")
    )
    if not found.subject:
        raise KaimenError("alipay.away", "支付宝没有回应，过一会儿再试", status=503)
    return found
