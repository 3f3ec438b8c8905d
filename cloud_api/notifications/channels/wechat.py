"""WeChat subscribe messages: one consent, one message. The access token is cached and renewed.

Source: developers.weixin.qq.com, ``subscribeMessage.send``, ``getStableAccessToken``, ``code2Session``.
The stable token is the same for all who ask, so each process may keep its own copy; asking by force
ends the old one and is limited to 20 a day, so that is done only when WeChat refuses a fresh one.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

import structlog
from pydantic import Field

from cloud_api.auth.wechat_oauth import WechatApp, by_mini_code
from cloud_api.kit.cloud import Cloud
from cloud_api.notifications.channels import base
from cloud_api.notifications.channels.base import Letter, Outcome

HOST: Final = "https://api.weixin.qq.com"
REFUSED: Final = "43101"  # the person has not agreed, or takes nothing more
_BAD_TOKEN: Final = frozenset({40001, 40014, 42001})
_LATER: Final = frozenset({-1, 45011, 43108})
_EARLY_S: Final = 300.0  # a token is given up so long before its end
_LANGUAGES: Final = {"zh_Hans": "zh_CN", "zh_Hant": "zh_TW", "en": "en_US"}
_PART: Final = "notices.wechat_tokens"

_log = structlog.get_logger(__name__)


class WechatCredentials(base.Credentials):
    """The mini program whose users are written to."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"app_secret"})
    app_id: str = Field(pattern=r"^wx[0-9a-f]{16}$", title="AppID")
    app_secret: str = Field(min_length=16, max_length=64, title="AppSecret")
    page: str = Field("pages/orders/index", max_length=200, title="点开到哪一页")


@dataclass(slots=True)
class _Token:
    """One app's token in this process; ``until`` is monotonic time."""

    value: str = ""
    until: float = 0.0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class WechatSubscribe:
    """``params`` are the template's keywords (``thing1`` …) with their texts."""

    kind = "wechat"
    name = "微信订阅消息"
    addressed: base.Addressed = "openid"
    needs_template = True
    idempotent = False
    credentials = WechatCredentials

    async def send(self, cloud: Cloud, credentials: WechatCredentials, letter: Letter) -> Outcome:
        """Send it; a token that WeChat refuses is renewed once, then by force."""
        said: dict[str, Any] | Outcome = {}
        refused = ""
        for attempt in range(3):
            token = await access_token(cloud, credentials, refused=refused, force=attempt == 2)
            if isinstance(token, Outcome):
                return token
            said = await self._send(cloud, credentials, letter, token)
            if isinstance(said, Outcome) or said.get("errcode") not in _BAD_TOKEN:
                break
            refused = token
        if isinstance(said, Outcome):
            return said
        code, message = said.get("errcode", 0), said.get("errmsg", "")
        if code == 0:
            return base.sent(said.get("msgid"))
        if code in _LATER:
            return base.later(code, message)
        return base.failed(code, message)

    async def _send(
        self, cloud: Cloud, credentials: WechatCredentials, letter: Letter, token: str
    ) -> dict[str, Any] | Outcome:
        body = {
            "touser": letter.address,
            "template_id": letter.template,
            "page": credentials.page,
            "lang": _LANGUAGES.get(letter.language, "zh_CN"),
            "data": {name: {"value": fitting(name, text)} for name, text in letter.params},
        }
        answer = await base.call(
            cloud,
            "POST",
            f"{base.endpoint(cloud, self.kind, HOST)}/cgi-bin/message/subscribe/send",
            params={"access_token": token},
            content=json.dumps(body, ensure_ascii=False).encode(),
            headers={"content-type": "application/json"},
        )
        return answer if isinstance(answer, Outcome) else base.told(answer)


_MOST: Final = {"thing": 20, "character_string": 32, "phrase": 5, "name": 10, "amount": 16}


def fitting(name: str, text: str) -> str:
    """A keyword's text cut to what its type takes (``thing1``: 20 characters); more is error 47003."""
    most = _MOST.get(name.rstrip("0123456789"))
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


async def access_token(
    cloud: Cloud, credentials: WechatCredentials, *, refused: str = "", force: bool = False
) -> str | Outcome:
    """A token that is not ``refused``; one request at a time and app, however many send."""
    tokens: dict[str, _Token] = cloud.parts.setdefault(_PART, {})
    mine = tokens.setdefault(credentials.app_id, _Token())
    async with mine.lock:
        now = cloud.clocks.wire.monotonic()
        if mine.value and mine.value != refused and now < mine.until:
            return mine.value
        body = {
            "grant_type": "client_credential",
            "appid": credentials.app_id,
            "secret": credentials.app_secret,
            "force_refresh": force,
        }
        answer = await base.call(
            cloud,
            "POST",
            f"{base.endpoint(cloud, 'wechat', HOST)}/cgi-bin/stable_token",
            content=json.dumps(body).encode(),
            headers={"content-type": "application/json"},
        )
        said = answer if isinstance(answer, Outcome) else base.told(answer)
        if isinstance(said, Outcome):  # no message went out, whatever became of this call
            return base.later(said.code, said.detail)
        token = said.get("access_token")
        if not isinstance(token, str):
            code = said.get("errcode", "no_token")
            _log.warning("wechat.no_token", code=code)
            transient = code in _LATER or code == 45009
            made = base.later if transient else base.failed
            return made(code, said.get("errmsg", ""))
        mine.value = token
        mine.until = now + max(60.0, float(said.get("expires_in", 7200)) - _EARLY_S)
        return token


async def openid_of(cloud: Cloud, credentials: WechatCredentials, code: str) -> str:
    """Whose phone it is, by the code that ``wx.login`` gave it. Raises as ``by_mini_code``."""
    app = WechatApp(
        credentials.app_id,
        credentials.app_secret,
        api_url=base.endpoint(cloud, "wechat", HOST),
    )
    return (await by_mini_code(cloud.http, app, code)).openid
