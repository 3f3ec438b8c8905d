"""E-mail to the addresses a merchant names, by their own SMTP server with TLS or STARTTLS.

A mail keeps its Message-ID over all tries, so a repeated one is recognised by mailboxes; it still is no
promise, so an unknown outcome is repeated for urgent notices only.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
from email.headerregistry import Address
from email.message import EmailMessage
from typing import ClassVar, Final, Literal

import aiosmtplib
from pydantic import Field, field_validator

from cloud_api.kit.cloud import Cloud
from cloud_api.notifications.channels import base
from cloud_api.notifications.channels.base import Letter, Outcome
from cloud_api.notifications.channels.hosts import HostRefused, public_address

_ADDRESS: Final = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63})+")
_MOST: Final = 20


def _good(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise ValueError("邮箱地址不对")
    return address


class MailCredentials(base.Credentials):
    """The merchant's SMTP server, who sends, and who gets the notices for staff."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"password"})
    GOES_TO: ClassVar[frozenset[str]] = frozenset({"host"})
    host: str = Field(pattern=r"^[A-Za-z0-9.-]{1,253}$", title="SMTP 服务器")
    port: int = Field(465, ge=1, le=65535, title="端口")
    security: Literal["tls", "starttls"] = Field("tls", title="加密方式")
    username: str = Field(max_length=128, title="用户名")
    password: str = Field(min_length=1, max_length=128, title="密码或授权码")
    sender: str = Field(title="发件人")
    to: list[str] = Field(min_length=1, max_length=_MOST, title="收件人")

    @field_validator("sender")
    @classmethod
    def _sender(cls, value: str) -> str:
        return _good(value)

    @field_validator("to", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """A form gives one text with commas."""
        if not isinstance(value, str):
            return value
        return [part.strip() for part in value.replace("，", ",").split(",") if part.strip()]

    @field_validator("to")
    @classmethod
    def _to(cls, value: list[str]) -> list[str]:
        return [_good(address) for address in value]


class Mail:
    """One mail to all addresses of the channel."""

    kind = "email"
    name = "电子邮件"
    addressed: base.Addressed = "group"
    needs_template = False
    idempotent = False
    credentials = MailCredentials

    async def send(self, cloud: Cloud, credentials: MailCredentials, letter: Letter) -> Outcome:
        """Hand it to the server; answers of 4xx are tried again, 5xx are final."""
        try:
            address = await public_address(cloud, credentials.host, credentials.port)
        except HostRefused as error:
            return base.failed("host_refused", error)
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        raw = socket.socket(family, socket.SOCK_STREAM)
        raw.setblocking(False)
        try:
            async with asyncio.timeout(base.TIMEOUT_S):
                await loop.sock_connect(raw, (address, credentials.port))
        except (OSError, TimeoutError) as error:
            raw.close()
            return base.later("unreachable", type(error).__name__)
        return await self._talk(cloud, credentials, letter, raw)

    async def _talk(
        self, cloud: Cloud, credentials: MailCredentials, letter: Letter, raw: socket.socket
    ) -> Outcome:
        trusted: ssl.SSLContext = cloud.parts.get("notices.tls") or ssl.create_default_context()
        client = aiosmtplib.SMTP(
            hostname=credentials.host,
            sock=raw,
            use_tls=credentials.security == "tls",
            start_tls=credentials.security == "starttls",
            tls_context=trusted,
            timeout=base.TIMEOUT_S,
        )
        handed = False
        try:
            await client.connect()
            await client.login(credentials.username, credentials.password)
            handed = True
            refused, answer = await client.send_message(message_of(credentials, letter))
            if refused:
                return base.failed("recipients_refused", f"{len(refused)} refused")
            return base.sent(answer)
        except aiosmtplib.SMTPAuthenticationError as error:
            return base.failed(error.code, "login refused")
        except aiosmtplib.SMTPRecipientsRefused:
            return base.failed("recipients_refused")
        except aiosmtplib.SMTPResponseException as error:
            temporary = 400 <= error.code < 500
            return (base.later if temporary else base.failed)(error.code, error.message)
        except ssl.SSLError as error:
            return base.failed("tls", error.reason or "")
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            made = base.unknown if handed else base.later
            return made("no_answer", type(error).__name__)
        finally:
            client.close()


def message_of(credentials: MailCredentials, letter: Letter) -> EmailMessage:
    """The mail. Headers cannot be broken out of: the library refuses line ends in them."""
    user, _, domain = credentials.sender.partition("@")
    message = EmailMessage()
    message["From"] = Address(letter.sender or "Kaimen", user, domain)
    message["To"] = ", ".join(credentials.to)
    message["Subject"] = " ".join((letter.title or letter.body)[:120].split())
    message["Message-ID"] = f"<{letter.ref}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.body)
    return message
