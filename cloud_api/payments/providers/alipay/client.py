"""One signed call to Alipay's gateway and its verified answer, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit
from zoneinfo import ZoneInfo

import httpx

from cloud_api.payments.providers.alipay import signing
from cloud_api.payments.providers.alipay.account import AlipayAccount
from cloud_api.payments.providers.base import BadNotification, Surroundings

TIMEOUT_S: Final = 6.0
BILL_TIMEOUT_S: Final = 25.0  # the address of a bill is good for thirty seconds
ZONE: Final = ZoneInfo("Asia/Shanghai")
_FILES: Final = (".alipay.com", ".alipayobjects.com")
Answer = dict[str, Any] | str
"""The verified node of the answer; or a text saying why there is none."""


class Client:
    """Signs what it sends and verifies what it gets."""

    def __init__(self, account: AlipayAccount, around: Surroundings) -> None:
        self.account = account
        self._around = around

    def link(self, method: str, content: Mapping[str, Any], **more: str) -> str:
        """An address for the payer's browser: the request itself, signed."""
        return f"{self.account.base_url}?{urlencode(self._params(method, content, more))}"

    async def call(self, method: str, content: Mapping[str, Any], **more: str) -> Answer:
        """The verified answer. Time-outs, 5xx and bad signatures are none: the money may have moved."""
        params = self._params(method, content, more)
        try:
            answer = await self._around.http.post(
                self.account.base_url, data=params, timeout=TIMEOUT_S
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__
        if answer.status_code != 200:
            return f"answered {answer.status_code}"
        try:
            return signing.read_answer(self.account, answer.content, method)
        except BadNotification as error:
            return f"unverified answer: {error}"

    async def download(self, url: str) -> bytes | str:
        """A file at Alipay's, by an address that a signed answer gave."""
        there, home = urlsplit(url), urlsplit(self.account.base_url)
        if there.netloc != home.netloc and not (there.hostname or "").endswith(_FILES):
            return "the file is at a stranger's"
        try:
            answer = await self._around.http.get(url, timeout=BILL_TIMEOUT_S)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__
        return answer.content if answer.status_code == 200 else f"answered {answer.status_code}"

    def _params(
        self, method: str, content: Mapping[str, Any], more: Mapping[str, str]
    ) -> dict[str, str]:
        params = {
            "app_id": self.account.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": local(self._around.clock.now()),
            "version": "1.0",
            "biz_content": json.dumps(content, ensure_ascii=False, separators=(",", ":")),
            **{name: value for name, value in more.items() if value},
        }
        return params | {"sign": signing.sign(self.account, params)}


def local(at: datetime) -> str:
    """Beijing time, as Alipay writes it."""
    return f"{at.astimezone(ZONE):%Y-%m-%d %H:%M:%S}"
