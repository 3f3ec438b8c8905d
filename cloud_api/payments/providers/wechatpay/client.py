"""One signed call to WeChat Pay and its verified answer, or why there is none."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
from cryptography.x509 import load_pem_x509_certificate

from cloud_api.kit.ids import new_token
from cloud_api.payments.providers.base import BadNotification, Surroundings, UnknownKey
from cloud_api.payments.providers.wechatpay import signing
from cloud_api.payments.providers.wechatpay.account import WechatPayAccount

TIMEOUT_S: Final = 6.0
BILL_TIMEOUT_S: Final = 30.0
Answer = tuple[int, dict[str, Any]] | str
"""Status and body, verified; or a text saying why there is no answer."""


class Client:
    """Signs the exact bytes it sends and verifies the exact bytes it gets."""

    def __init__(self, account: WechatPayAccount, around: Surroundings) -> None:
        self.account = account
        self._around = around
        self._certificates = {serial.upper(): pem for serial, pem in around.keys.items()}
        self._asked_for_keys = False

    @property
    def now(self) -> datetime:
        """Wire time."""
        return self._around.clock.now()

    async def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Answer:
        """The verified answer. Time-outs, 5xx and bad signatures are none: the money may have moved."""
        text = "" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":"))
        answer = await self._send(method, path, text)
        if isinstance(answer, str):
            return answer
        if answer.status_code >= 500:
            return f"answered {answer.status_code}"
        try:
            await self._verify_answer(answer)
            parsed = json.loads(answer.content) if answer.content else {}
        except (BadNotification, ValueError) as error:
            return f"unverified answer {answer.status_code}: {error}"
        return (answer.status_code, parsed) if isinstance(parsed, dict) else "no object"

    async def download(self, url: str) -> bytes | str:
        """A file; such answers carry no signature, the caller checks the hash."""
        there = urlsplit(url)
        home = urlsplit(self.account.base_url)
        if there.netloc != home.netloc and not (
            there.scheme == "https" and (there.hostname or "").endswith(".weixin.qq.com")
        ):
            return "the file is at a stranger's"
        path = f"{there.path}?{there.query}" if there.query else there.path
        answer = await self._send("GET", path, "", url=url, timeout=BILL_TIMEOUT_S)
        if isinstance(answer, str):
            return answer
        return answer.content if answer.status_code == 200 else f"answered {answer.status_code}"

    def verify(self, headers: Mapping[str, str], raw: bytes) -> None:
        """Raises BadNotification; calls nobody."""
        signing.verify(self.account, self._certificates, headers, raw, self.now)

    async def fetch_certificates(self) -> Mapping[str, str]:
        """GET /v3/certificates: PEM by serial. Empty where there are none or no answer that holds.

        Each is encrypted with the APIv3 key, which only WeChat Pay and the merchant know; the answer
        must be signed by one that is known, or by one of those that it brings.
        """
        answer = await self._send("GET", "/v3/certificates", "")
        if isinstance(answer, str) or answer.status_code != 200:
            return {}
        try:
            found = self._certificates_in(answer.content)
            signing.verify(
                self.account,
                {**self._certificates, **found},
                answer.headers,
                answer.content,
                self.now,
            )
        except BadNotification:
            return {}
        return found

    def _certificates_in(self, raw: bytes) -> dict[str, str]:
        found = {}
        try:
            for item in json.loads(raw)["data"]:
                pem = signing.unseal(self.account, item["encrypt_certificate"]).decode()
                serial = f"{load_pem_x509_certificate(pem.encode()).serial_number:X}"
                if serial.lstrip("0") == str(item["serial_no"]).upper().lstrip("0"):
                    found[str(item["serial_no"]).upper()] = pem
        except (ValueError, KeyError, TypeError) as error:
            raise BadNotification(f"unreadable: {error!r}") from error
        return found

    async def _verify_answer(self, answer: httpx.Response) -> None:
        try:
            self.verify(answer.headers, answer.content)
        except UnknownKey:
            if self._asked_for_keys:
                raise
            self._asked_for_keys = True
            self._certificates |= dict(await self.fetch_certificates())
            self.verify(answer.headers, answer.content)

    async def _send(
        self, method: str, path: str, text: str, *, url: str = "", timeout: float | None = None
    ) -> httpx.Response | str:
        now = self.now.astimezone(UTC)
        header = signing.authorization(self.account, method, path, text, now, new_token(128))
        headers = {
            "Authorization": header,
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "kaimen",
        }
        if self.account.public_key_id:  # tells WeChat Pay to sign with its public key
            headers["Wechatpay-Serial"] = self.account.public_key_id
        try:
            return await self._around.http.request(
                method,
                url or self.account.base_url.rstrip("/") + path,
                content=text.encode(),
                headers=headers,
                timeout=timeout or TIMEOUT_S,
            )
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return type(error).__name__
