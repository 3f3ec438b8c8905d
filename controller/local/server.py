"""Serves the page by Starlette and uvicorn in the controller's own loop; nothing of it is needed to run.

It is off unless ``KAIMEN_EDGE_LOCAL`` names an address. It shows and asks; it opens no door and switches
nothing. Plain HTTP: it is for a cable or the store's own network, never for the internet.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from controller.local import html
from controller.local.pin import Gate
from controller.local.selftest import Line

log = structlog.get_logger(__name__)

COOKIE = "kaimen_local"
MAX_FORM = 1024
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; frame-ancestors 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with none a browser says `Origin: null` of its own forms
}


@dataclass
class Pages:
    """What the page needs of the controller."""

    store: str
    gate: Gate
    live: Callable[[], Awaitable[html.Live]]
    self_test: Callable[[], Awaitable[list[Line]]]
    _testing: asyncio.Lock = field(default_factory=asyncio.Lock)

    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/", self.home),
                Route("/live", self.part),
                Route("/login", self.log_in, methods=["POST"]),
                Route("/logout", self.log_out, methods=["POST"]),
                Route("/self-test", self.test, methods=["POST"]),
                Route("/page.css", _fixed(html.STYLE, "text/css")),
                Route("/page.js", _fixed(html.SCRIPT, "text/javascript")),
            ]
        )

    async def home(self, request: Request) -> Response:
        """The page, or the question for the PIN."""
        if not self._known(request):
            return self._ask(wrong=False, status=200)
        return HTMLResponse(html.home(self.store, await self.live()), headers=HEADERS)

    async def part(self, request: Request) -> Response:
        """The live part."""
        if not self._known(request):
            return Response(status_code=401, headers=HEADERS)
        return HTMLResponse(html.fragment(await self.live()), headers=HEADERS)

    async def test(self, request: Request) -> Response:
        """Run the self-test; one at a time, as it asks every board."""
        if not self._known(request) or not _same_origin(request):
            return Response(status_code=401, headers=HEADERS)
        async with self._testing:
            return HTMLResponse(html.tested(await self.self_test()), headers=HEADERS)

    async def log_in(self, request: Request) -> Response:
        """Take a PIN."""
        if not _same_origin(request):
            return Response(status_code=403, headers=HEADERS)
        body = b""
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_FORM:
                return Response(status_code=413, headers=HEADERS)
        pin = parse_qs(body.decode("ascii", "replace")).get("pin", [""])[0]
        token = await asyncio.to_thread(self.gate.log_in, pin.strip())
        if token is None:
            log.warning("local_login_refused", wait_s=self.gate.wait_s)
            return self._ask(wrong=True, status=429 if self.gate.wait_s else 403)
        answer = RedirectResponse("/", status_code=303, headers=HEADERS)
        answer.set_cookie(COOKIE, token, httponly=True, samesite="strict", path="/")
        return answer

    async def log_out(self, request: Request) -> Response:
        """Forget who this is."""
        self.gate.log_out(request.cookies.get(COOKIE, ""))
        return RedirectResponse("/", status_code=303, headers=HEADERS)

    def _known(self, request: Request) -> bool:
        return self.gate.known(request.cookies.get(COOKIE, ""))

    def _ask(self, *, wrong: bool, status: int) -> Response:
        text = html.login(self.store, wait_s=self.gate.wait_s, wrong=wrong, set_up=self.gate.set_up)
        return HTMLResponse(text, status_code=status, headers=HEADERS)


class LocalServer:
    """``start()``, then ``await stop()``. A port that is taken is said so, and the store runs on."""

    def __init__(self, pages: Pages, address: str) -> None:
        self._pages = pages
        self.address = address
        self.port: int | None = None  # that is listened on
        self._server: _Server | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Listen."""
        host, _, port = self.address.rpartition(":")
        try:
            listening = socket.create_server((host or "127.0.0.1", int(port)), backlog=16)
        except (OSError, ValueError) as error:
            log.error("local_page_not_served", address=self.address, why=str(error))
            return
        self.port = int(listening.getsockname()[1])
        self._server = _Server(
            uvicorn.Config(
                self._pages.app(),
                log_config=None,
                access_log=False,
                lifespan="off",
                ws="none",
                timeout_graceful_shutdown=2,
                limit_concurrency=16,
            )
        )
        self._task = asyncio.create_task(self._server.serve([listening]), name="local page")

    async def stop(self) -> None:
        """End."""
        if self._server is not None and self._task is not None:
            self._server.should_exit = True
            await self._task


class _Server(uvicorn.Server):
    """Signals are the controller's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave them alone."""
        yield


def ago(at_ms: int | None, now: datetime) -> str:
    """How long ago, in words."""
    if at_ms is None:
        return "从没"
    seconds = (now - datetime.fromtimestamp(at_ms / 1000, UTC)).total_seconds()
    if seconds < 60:
        return f"{max(0, round(seconds))} 秒前"
    if seconds < 3600:
        return f"{round(seconds / 60)} 分钟前"
    return f"{round(seconds / 3600)} 小时前"


def _fixed(text: str, media: str) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        headers = {**HEADERS, "Cache-Control": "max-age=300"}
        return Response(text, media_type=f"{media}; charset=utf-8", headers=headers)

    return answer


def _same_origin(request: Request) -> bool:
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host", "")
