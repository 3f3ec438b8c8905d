r"""The gateway: verifies who asks, keeps what was sent, shows it as the inbox of a phone.

``POST /send`` takes JSON ``{"phone", "text", "ref"}`` with ``X-Kaimen-Timestamp`` (Unix seconds) and
``X-Kaimen-Signature`` = HMAC-SHA256 (hex) under the shared key over ``{timestamp}\n{body}``. Older
than five minutes is refused; one ``ref`` is delivered once. ``GET /`` is the inbox for people,
``GET /messages?phone=`` the same as JSON. ``POST /faults`` makes the next messages fail.
"""

from __future__ import annotations

import hashlib
import hmac
import html
import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

FRESH_S = 300
KEPT = 500


@dataclass(frozen=True, slots=True)
class Message:
    """A delivered message; ``at`` is Unix seconds."""

    phone: str
    text: str
    ref: str
    at: float


@dataclass(slots=True)
class Gateway:
    """The state of one gateway, in memory."""

    key: str
    time: Callable[[], float] = time.time
    messages: deque[Message] = field(default_factory=lambda: deque(maxlen=KEPT))
    fail_status: int = 503
    fail_next: int = 0

    def refusal(self, timestamp: str, signature: str, body: bytes) -> str | None:
        """Why a call is not accepted, or None."""
        if not timestamp.isdigit() or abs(self.time() - int(timestamp)) > FRESH_S:
            return "stale"
        expected = hmac.new(
            self.key.encode(), timestamp.encode() + b"\n" + body, hashlib.sha256
        ).hexdigest()
        if not hmac.compare_digest(expected.encode(), signature.encode()):
            return "bad_signature"
        return None

    def deliver(self, phone: str, text: str, ref: str) -> bool:
        """Keep a message; False if ``ref`` was delivered before."""
        if any(message.ref == ref for message in self.messages):
            return False
        self.messages.append(Message(phone, text, ref, self.time()))
        return True

    def of(self, phone: str | None) -> list[Message]:
        """Messages of a phone (or of all), the newest first."""
        return [m for m in reversed(self.messages) if phone is None or m.phone == phone]


def create_app(gateway: Gateway) -> Starlette:
    """The gateway as an ASGI app."""

    async def send(request: Request) -> Response:
        body = await request.body()
        why = gateway.refusal(
            request.headers.get("x-kaimen-timestamp", ""),
            request.headers.get("x-kaimen-signature", ""),
            body,
        )
        if why is not None:
            return JSONResponse({"error": why}, 401)
        if gateway.fail_next > 0:
            gateway.fail_next -= 1
            return JSONResponse({"error": "asked to fail"}, gateway.fail_status)
        try:
            asked = json.loads(body)
            phone, text, ref = (str(asked[name]) for name in ("phone", "text", "ref"))
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": "bad_body"}, 400)
        return JSONResponse({"delivered": gateway.deliver(phone, text, ref)})

    async def messages(request: Request) -> Response:
        found = gateway.of(request.query_params.get("phone"))
        return JSONResponse([asdict(message) for message in found])

    async def faults(request: Request) -> Response:
        asked: dict[str, Any] = await request.json()
        gateway.fail_next = int(asked.get("count", 1))
        gateway.fail_status = int(asked.get("status", 503))
        return JSONResponse({"fail_next": gateway.fail_next})

    async def inbox(request: Request) -> Response:
        return HTMLResponse(page(gateway.of(request.query_params.get("phone"))))

    async def health(request: Request) -> Response:
        del request
        return JSONResponse({"status": "ok"})

    return Starlette(
        routes=[
            Route("/send", send, methods=["POST"]),
            Route("/messages", messages),
            Route("/faults", faults, methods=["POST"]),
            Route("/healthz", health),
            Route("/", inbox),
        ]
    )


def page(messages: list[Message]) -> str:
    """The inbox as a page that looks again every two seconds."""
    rows = "".join(
        f"<li><p class=who><b>{html.escape(m.phone)}</b><time>{_clock(m.at)}</time></p>"
        f"<p class=text>{html.escape(m.text)}</p></li>"
        for m in messages
    )
    empty = "<p class=empty>还没有短信。在登录页点“获取验证码”，这里就会收到。</p>"
    return (
        '<!doctype html><html lang="zh-Hans"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<meta http-equiv="refresh" content="2"><title>短信</title>'
        f"<style>{_STYLE}</style><main><h1>短信</h1>"
        f"<p class=note>演示用的短信网关：发给任何手机的短信都在这里。</p>"
        f"{f'<ul>{rows}</ul>' if rows else empty}</main></html>"
    )


_STYLE = (
    "body{margin:0;background:#F2F5F3;color:#0F1F1A;font:15px/22px system-ui,sans-serif}"
    "main{max-width:480px;margin:0 auto;padding:24px 16px}h1{font-size:22px;margin:0}"
    ".note,.empty,time{color:#5C6B64;font-size:13px}ul{list-style:none;padding:0}"
    "li{background:#fff;border-radius:16px;padding:12px 16px;margin:10px 0}"
    ".who{display:flex;justify-content:space-between;margin:0}.text{margin:4px 0 0;font-size:17px}"
)


def _clock(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).astimezone().strftime("%H:%M:%S")
