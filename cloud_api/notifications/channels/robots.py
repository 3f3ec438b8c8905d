"""Robots in the staff's group chats: WeCom, DingTalk, Feishu. One text per notice.

Sources: developer.work.weixin.qq.com/document/path/91770; open.dingtalk.com, "custom robot security";
open.feishu.cn, "custom bot usage guide". None has an idempotency key. The key that lets anybody write
into the group is part of the address, so addresses are built here and never logged.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import ClassVar, Final
from urllib.parse import urlencode

from pydantic import Field

from cloud_api.kit.cloud import Cloud
from cloud_api.notifications.channels import base
from cloud_api.notifications.channels.base import Letter, Outcome

WECOM: Final = "https://qyapi.weixin.qq.com"
DINGTALK: Final = "https://oapi.dingtalk.com"
FEISHU: Final = "https://open.feishu.cn"
_JSON: Final = {"content-type": "application/json; charset=utf-8"}
_BUSY: Final = -1
_KEY: Final = r"^[A-Za-z0-9_-]{8,128}$"


def text_of(letter: Letter, most: int) -> str:
    """Title and text, cut so that it has at most ``most`` bytes."""
    whole = f"{letter.title}\n{letter.body}" if letter.title else letter.body
    raw = whole.encode()
    return whole if len(raw) <= most else raw[: most - 3].decode(errors="ignore") + "…"


class WecomCredentials(base.Credentials):
    """The ``key`` in the robot's webhook address."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"key"})
    key: str = Field(pattern=_KEY, title="机器人 key")


class DingtalkCredentials(base.Credentials):
    """The robot's ``access_token`` and its signing secret (``SEC…``)."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"access_token", "secret"})
    access_token: str = Field(pattern=_KEY, title="access_token")
    secret: str = Field(min_length=8, max_length=128, title="加签密钥")


class FeishuCredentials(base.Credentials):
    """The last part of the robot's webhook address and its signing secret."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"hook", "secret"})
    hook: str = Field(pattern=_KEY, title="webhook 末段")
    secret: str = Field(min_length=8, max_length=128, title="签名密钥")


def dingtalk_sign(secret: str, timestamp_ms: int) -> str:
    """HMAC-SHA256 of timestamp, line end and secret under the secret, base64."""
    said = f"{timestamp_ms}\n{secret}".encode()
    return base64.b64encode(hmac.new(secret.encode(), said, hashlib.sha256).digest()).decode()


def feishu_sign(secret: str, timestamp_s: int) -> str:
    """HMAC-SHA256 of nothing, under timestamp, line end and secret as the key, base64."""
    key = f"{timestamp_s}\n{secret}".encode()
    return base64.b64encode(hmac.new(key, b"", hashlib.sha256).digest()).decode()


class WecomRobot:
    """20 messages a minute; 2048 bytes of text."""

    kind = "wecom"
    name = "企业微信群机器人"
    addressed: base.Addressed = "group"
    needs_template = False
    idempotent = False
    credentials = WecomCredentials

    async def send(self, cloud: Cloud, credentials: WecomCredentials, letter: Letter) -> Outcome:
        """Write it into the group."""
        url = f"{base.endpoint(cloud, self.kind, WECOM)}/cgi-bin/webhook/send"
        body = {"msgtype": "text", "text": {"content": text_of(letter, 2048)}}
        answer = await base.call(
            cloud,
            "POST",
            f"{url}?{urlencode({'key': credentials.key})}",
            content=json.dumps(body, ensure_ascii=False).encode(),
            headers=_JSON,
        )
        if isinstance(answer, Outcome):
            return answer
        said = base.told(answer)
        return said if isinstance(said, Outcome) else _by_errcode(said, frozenset({45009, 45033}))


class DingtalkRobot:
    """20 messages a minute, then ten minutes of silence; so a limit waits that long."""

    kind = "dingtalk"
    name = "钉钉群机器人"
    addressed: base.Addressed = "group"
    needs_template = False
    idempotent = False
    credentials = DingtalkCredentials

    async def send(self, cloud: Cloud, credentials: DingtalkCredentials, letter: Letter) -> Outcome:
        """Write it into the group; the timestamp may be an hour off at most."""
        timestamp = round(cloud.clocks.real.timestamp() * 1000)
        query = urlencode(
            {
                "access_token": credentials.access_token,
                "timestamp": timestamp,
                "sign": dingtalk_sign(credentials.secret, timestamp),
            }
        )
        body = {"msgtype": "text", "text": {"content": text_of(letter, 4096)}}
        answer = await base.call(
            cloud,
            "POST",
            f"{base.endpoint(cloud, self.kind, DINGTALK)}/robot/send?{query}",
            content=json.dumps(body, ensure_ascii=False).encode(),
            headers=_JSON,
        )
        if isinstance(answer, Outcome):
            return answer
        said = base.told(answer)
        if isinstance(said, Outcome):
            return said
        return _by_errcode(said, frozenset({130101, 90030}), after_s=600)


class FeishuRobot:
    """100 messages a minute, 5 a second; 20 kB."""

    kind = "feishu"
    name = "飞书群机器人"
    addressed: base.Addressed = "group"
    needs_template = False
    idempotent = False
    credentials = FeishuCredentials

    async def send(self, cloud: Cloud, credentials: FeishuCredentials, letter: Letter) -> Outcome:
        """Write it into the group; the timestamp may be an hour off at most."""
        timestamp = int(cloud.clocks.real.timestamp())
        body = {
            "timestamp": str(timestamp),
            "sign": feishu_sign(credentials.secret, timestamp),
            "msg_type": "text",
            "content": {"text": text_of(letter, 15_000)},
        }
        answer = await base.call(
            cloud,
            "POST",
            f"{base.endpoint(cloud, self.kind, FEISHU)}/open-apis/bot/v2/hook/{credentials.hook}",
            content=json.dumps(body, ensure_ascii=False).encode(),
            headers=_JSON,
        )
        if isinstance(answer, Outcome):
            return answer
        said = base.told(answer)
        if isinstance(said, Outcome):
            return said
        code = said.get("code", said.get("StatusCode"))
        if code == 0:
            return base.sent()
        if code in {11232, 99991400}:
            return base.later(code, said.get("msg", ""), after_s=base.MINUTE_S)
        return base.failed(code, said.get("msg", ""))


def _by_errcode(
    said: dict[str, object], limits: frozenset[int], after_s: float = base.MINUTE_S
) -> Outcome:
    code, message = said.get("errcode"), said.get("errmsg", "")
    if code == 0:
        return base.sent()
    if code in limits:
        return base.later(code, message, after_s=after_s)
    if code == _BUSY:
        return base.later(code, message)
    return base.failed(code, message)
