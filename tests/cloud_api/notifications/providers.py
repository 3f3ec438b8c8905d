"""The providers' servers as tests start them: really listening, with keys of their own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from starlette.applications import Starlette
from starlette.types import ASGIApp

from cloud_api.kit.cloud import Cloud
from simulators.notices import aliyun, robots, tencent, wechat
from simulators.notices.desk import Desk
from tests.support.ports import free_port
from tests.support.serving import served_here

ALIYUN = aliyun.Account("LTAI5tSimulated", "ali-secret", "雀友会", ("SMS_1",))
TENCENT = tencent.Account("AKIDsimulated", "tc-secret-1", "1400000001", "雀友会", ("1110",))
KEYS = robots.Keys("693a7aoc-4bc4-97a0", "dingtoken1", "SECsimulated", "feishuhook1", "fs-secret")
APP_ID = "wx0123456789abcdef"
APP_SECRET = "0123456789abcdef0123456789abcdef"


def mini_program() -> wechat.App:
    return wechat.App(APP_ID, APP_SECRET, ("tmpl-ready",))


CREDENTIALS: dict[str, dict[str, Any]] = {
    "sms_aliyun": {
        "access_key_id": ALIYUN.key_id,
        "access_key_secret": ALIYUN.secret,
        "sign_name": ALIYUN.sign_name,
    },
    "sms_tencent": {
        "secret_id": TENCENT.secret_id,
        "secret_key": TENCENT.secret_key,
        "sdk_app_id": TENCENT.app_id,
        "sign_name": TENCENT.sign_name,
    },
    "wecom": {"key": KEYS.wecom},
    "dingtalk": {"access_token": KEYS.dingtalk_token, "secret": KEYS.dingtalk_secret},
    "feishu": {"hook": KEYS.feishu_hook, "secret": KEYS.feishu_secret},
    "wechat": {"app_id": APP_ID, "app_secret": APP_SECRET},
}


@dataclass
class Town:
    """All providers, each at its address."""

    desks: dict[str, Desk] = field(default_factory=dict)
    urls: dict[str, str] = field(default_factory=dict)
    app: wechat.App = field(default_factory=mini_program)


@asynccontextmanager
async def serving(app: ASGIApp) -> AsyncIterator[str]:
    """A server until the block ends."""
    port = free_port()
    async with served_here(app, port, force=True, lifespan="off"):
        yield f"http://127.0.0.1:{port}"


def make_app(kind: str, desk: Desk, town: Town) -> Starlette:
    if kind == "sms_aliyun":
        return aliyun.create_app(desk, ALIYUN)
    if kind == "sms_tencent":
        return tencent.create_app(desk, TENCENT)
    if kind == "wechat":
        return wechat.create_app(desk, town.app)
    return robots.create_app(desk, KEYS)


@asynccontextmanager
async def provider(kind: str, town: Town, cloud: Cloud, ahead_s: float = 0) -> AsyncIterator[Desk]:
    """One provider; its clock is ours, or ``ahead_s`` seconds ahead of it."""

    def now() -> float:
        return cloud.clocks.real.timestamp() + ahead_s

    desk = town.desks[kind] = Desk(time=now)
    async with serving(make_app(kind, desk, town)) as url:
        town.urls[kind] = url
        yield desk


@dataclass
class PostOffice:
    """An SMTP server with TLS and a password; ``answer`` is what it says to the next mails."""

    port: int
    trust: ssl.SSLContext
    mails: list[Envelope] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802  aiosmtpd's name
        answer = self.answers.pop(0) if self.answers else "250 OK queued as 1"
        if answer.startswith("250"):
            self.mails.append(envelope)
        return answer


def certificate(folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's TLS for 127.0.0.1, and what trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "smtp.pem").write_bytes(pem + private)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "smtp.pem")
    trust = ssl.create_default_context(cadata=pem.decode())
    return server, trust


@asynccontextmanager
async def post_office(folder: Path, security: str) -> AsyncIterator[PostOffice]:
    """An SMTP server until the block ends."""
    server, trust = certificate(folder)
    office = PostOffice(free_port(), trust)

    def login(_server: Any, _session: Any, _envelope: Any, how: str, given: Any) -> AuthResult:
        good = isinstance(given, LoginPassword) and given.password == b"right"
        return AuthResult(success=good and how in {"PLAIN", "LOGIN"}, handled=False)

    options: dict[str, Any] = {"authenticator": login, "auth_required": True}
    if security == "starttls":
        options |= {"tls_context": server, "require_starttls": True}
    else:
        options |= {"ssl_context": server, "auth_require_tls": False}
    controller = Controller(office, hostname="127.0.0.1", port=office.port, **options)
    await asyncio.to_thread(controller.start)
    try:
        yield office
    finally:
        await asyncio.to_thread(controller.stop)
