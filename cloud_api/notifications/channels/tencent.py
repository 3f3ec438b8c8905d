"""SMS by Tencent Cloud: SendSms (2021-01-11), signed with TC3-HMAC-SHA256.

Source: cloud.tencent.com/document/api, "signature method v3", and product/382/55981 (SendSms).
There is no idempotency key (SessionContext only comes back), so an unknown outcome is not repeated.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import ClassVar, Final

from pydantic import Field

from cloud_api.kit.cloud import Cloud
from cloud_api.notifications.channels import base
from cloud_api.notifications.channels.base import Letter, Outcome

HOST: Final = "https://sms.tencentcloudapi.com"
ALGORITHM: Final = "TC3-HMAC-SHA256"
_TYPE: Final = "application/json; charset=utf-8"
_LATER: Final = ("RequestLimitExceeded", "LimitExceeded")
_UNKNOWN: Final = ("InternalError",)


class TencentCredentials(base.Credentials):
    """A key that may SendSms, the SMS application, and the approved signature name."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"secret_key"})
    secret_id: str = Field(min_length=8, max_length=128, title="SecretId")
    secret_key: str = Field(min_length=8, max_length=128, title="SecretKey")
    sdk_app_id: str = Field(pattern=r"^\d{6,20}$", title="SdkAppId")
    sign_name: str = Field(min_length=1, max_length=40, title="短信签名")
    region: str = Field("ap-guangzhou", pattern=r"^[a-z0-9-]{4,40}$", title="地域")


def authorization(
    secret_id: str,
    secret_key: str,
    *,
    service: str,
    host: str,
    content_type: str,
    body: bytes,
    timestamp: int,
    action: str | None = None,
) -> str:
    """The Authorization header of a POST to ``/``. With ``action`` it is signed as well."""
    headers = {"content-type": content_type, "host": host}
    if action is not None:
        headers["x-tc-action"] = action.lower()
    signed = ";".join(sorted(headers))
    canonical = "\n".join(
        (
            "POST",
            "/",
            "",
            "".join(f"{name}:{headers[name]}\n" for name in sorted(headers)),
            signed,
            hashlib.sha256(body).hexdigest(),
        )
    )
    day = datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d")
    scope = f"{day}/{service}/tc3_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{digest}"
    key = f"TC3{secret_key}".encode()
    for part in (day, service, "tc3_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    mac = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders={signed}, Signature={mac}"


class TencentSms:
    """Sends by an approved template; its parameters go by their order."""

    kind = "sms_tencent"
    name = "腾讯云短信"
    addressed: base.Addressed = "phone"
    needs_template = True
    idempotent = False
    credentials = TencentCredentials

    async def send(self, cloud: Cloud, credentials: TencentCredentials, letter: Letter) -> Outcome:
        """SendSms to one number; ``SerialNo`` is the provider's number of it."""
        url = base.endpoint(cloud, self.kind, HOST)
        host = url.partition("://")[2]
        body = json.dumps(
            {
                "PhoneNumberSet": [letter.address],
                "SmsSdkAppId": credentials.sdk_app_id,
                "SignName": credentials.sign_name,
                "TemplateId": letter.template,
                "TemplateParamSet": [text for _, text in letter.params],
                "SessionContext": letter.ref,
            },
            ensure_ascii=False,
        ).encode()
        timestamp = int(cloud.clocks.real.timestamp())
        headers = {
            "content-type": _TYPE,
            "host": host,
            "x-tc-action": "SendSms",
            "x-tc-version": "2021-01-11",
            "x-tc-region": credentials.region,
            "x-tc-timestamp": str(timestamp),
            "authorization": authorization(
                credentials.secret_id,
                credentials.secret_key,
                service="sms",
                host=host,
                content_type=_TYPE,
                body=body,
                timestamp=timestamp,
                action="SendSms",
            ),
        }
        answer = await base.call(cloud, "POST", f"{url}/", content=body, headers=headers)
        if isinstance(answer, Outcome):
            return answer
        said = base.told(answer)
        return said if isinstance(said, Outcome) else _judge(said, answer.status_code)


def _judge(said: dict[str, object], status: int) -> Outcome:
    response = said.get("Response")
    if not isinstance(response, dict):
        return base.unknown(f"http_{status}")
    error, numbers = response.get("Error"), response.get("SendStatusSet")
    if isinstance(error, dict):
        return _refused(str(error.get("Code", "")), error.get("Message", ""))
    if not isinstance(numbers, list) or not numbers or not isinstance(numbers[0], dict):
        return base.unknown("no_status")
    code = str(numbers[0].get("Code", ""))
    if code == "Ok":
        return base.sent(numbers[0].get("SerialNo"))
    return _refused(code, numbers[0].get("Message", ""))


def _refused(code: str, message: object) -> Outcome:
    if code.startswith(_LATER):
        limit_of_number = "PhoneNumber" in code
        return base.later(code, message, after_s=600 if limit_of_number else base.MINUTE_S)
    if code.startswith(_UNKNOWN):
        return base.unknown(code, message)
    return base.failed(code, message)
