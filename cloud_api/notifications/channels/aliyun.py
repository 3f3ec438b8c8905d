"""SMS by Alibaba Cloud: Dysmsapi SendSms (2017-05-25), signed with ACS3-HMAC-SHA256.

Source: help.aliyun.com, "V3 request structure and signature", and the API reference of SendSms.
There is no idempotency key (OutId only comes back in receipts), so an unknown outcome is not repeated.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import ClassVar, Final
from urllib.parse import quote

from pydantic import Field

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.ids import new_token
from cloud_api.notifications.channels import base
from cloud_api.notifications.channels.base import Letter, Outcome

HOST: Final = "https://dysmsapi.aliyuncs.com"
ALGORITHM: Final = "ACS3-HMAC-SHA256"
_LATER: Final = ("isp.", "Throttling", "ServiceUnavailable")
_LIMITS: Final = ("isv.BUSINESS_LIMIT", "isv.DAY_LIMIT", "BUSINESS_LIMIT")


class AliyunCredentials(base.Credentials):
    """An access key that may SendSms, and the approved signature name."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"access_key_secret"})
    access_key_id: str = Field(min_length=8, max_length=128, title="AccessKey ID")
    access_key_secret: str = Field(min_length=8, max_length=128, title="AccessKey Secret")
    sign_name: str = Field(min_length=1, max_length=40, title="短信签名")


def encoded(text: str) -> str:
    """Percent-encoding by RFC 3986, as the signature wants it."""
    return quote(text, safe="-_.~")


def query_string(params: dict[str, str]) -> str:
    """Parameters sorted by name, encoded."""
    return "&".join(f"{encoded(name)}={encoded(params[name])}" for name in sorted(params))


def authorization(
    key_id: str, secret: str, method: str, query: str, headers: dict[str, str], body: bytes = b""
) -> str:
    """The Authorization header. ``headers`` are all that is signed: host and ``x-acs-…``, lower case."""
    names = sorted(headers)
    signed = ";".join(names)
    canonical = "\n".join(
        (
            method,
            "/",
            query,
            "".join(f"{name}:{headers[name].strip()}\n" for name in names),
            signed,
            hashlib.sha256(body).hexdigest(),
        )
    )
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    mac = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={key_id},SignedHeaders={signed},Signature={mac}"


class AliyunSms:
    """Sends by an approved template; its parameters go as a JSON object of strings."""

    kind = "sms_aliyun"
    name = "阿里云短信"
    addressed: base.Addressed = "phone"
    needs_template = True
    idempotent = False
    credentials = AliyunCredentials

    async def send(self, cloud: Cloud, credentials: AliyunCredentials, letter: Letter) -> Outcome:
        """SendSms to one number; ``BizId`` is the provider's number of it."""
        url = base.endpoint(cloud, self.kind, HOST)
        params = {
            "PhoneNumbers": letter.address.removeprefix("+86").removeprefix("+"),
            "SignName": credentials.sign_name,
            "TemplateCode": letter.template,
            "OutId": letter.ref,
        }
        if letter.params:
            params["TemplateParam"] = json.dumps(dict(letter.params), ensure_ascii=False)
        query = query_string(params)
        headers = {
            "host": url.partition("://")[2],
            "x-acs-action": "SendSms",
            "x-acs-version": "2017-05-25",
            "x-acs-date": f"{cloud.clocks.real:%Y-%m-%dT%H:%M:%SZ}",
            "x-acs-signature-nonce": new_token(128),
            "x-acs-content-sha256": hashlib.sha256(b"").hexdigest(),
        }
        headers["authorization"] = authorization(
            credentials.access_key_id, credentials.access_key_secret, "POST", query, headers
        )
        answer = await base.call(cloud, "POST", f"{url}/?{query}", headers=headers)
        if isinstance(answer, Outcome):
            return answer
        said = base.told(answer)
        return said if isinstance(said, Outcome) else _judge(said, answer.status_code)


def _judge(said: dict[str, object], status: int) -> Outcome:
    code, message = str(said.get("Code", "")), said.get("Message", "")
    if code == "OK":
        return base.sent(said.get("BizId"))
    if code.startswith(_LIMITS):  # so many a minute, an hour, a day to one number
        return base.later(code, message, after_s=600)
    if code.startswith(_LATER):
        return base.later(code, message, after_s=base.MINUTE_S)
    if code == "InternalError" or (status >= 500 and not code):
        return base.unknown(code or f"http_{status}", message)
    return base.failed(code or f"http_{status}", message)
