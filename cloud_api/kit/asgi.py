"""What stands around every request: its id, its log line and timing, headers, a limit to its body.

Plain ASGI, so that nothing is buffered and streams stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_api.kit.errors import KaimenError
from cloud_api.kit.i18n import COOKIE, chosen, negotiate, use_language
from cloud_api.kit.ids import new_id
from cloud_api.kit.problems import crash, problem

log = structlog.get_logger(__name__)

CSP = (
    "default-src 'self'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
_HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), geolocation=(self), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}
REQUEST_ID = "X-Request-Id"
BODY_LIMIT = 256 * 1024
REST_S = 30.0  # so long is the rest of a body waited for that nobody reads

Observe = Callable[[str, str, int, float], None]  # method, route, status, seconds


def route_of(scope: Scope) -> str:
    """The route's template, never the address itself: that may hold a door's token."""
    # A route of an included router knows its own part only; newer FastAPI keeps the whole beside it.
    whole = scope.get("fastapi", {}).get("effective_route_context")
    route = whole if whole is not None else scope.get("route")
    return str(getattr(route, "path", "")) or "unmatched"


class Requests:
    """Names the request, sets its language, measures and logs it, catches what crashed."""

    def __init__(self, app: ASGIApp, observe: Observe) -> None:
        self.app = app
        self.observe = observe

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        request.state.request_id = new_id()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request.state.request_id)
        asked = request.headers.get("accept-language", "")
        use_language(negotiate(asked, chosen(request.cookies.get(COOKIE))))
        started, status = time.perf_counter(), 0

        async def watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID] = request.state.request_id
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            refusal = crash(request, error)
            if status:
                raise  # the answer is half out: all we can do is break off
            await problem(refusal)(scope, receive, watched)
        finally:
            seconds = time.perf_counter() - started
            self.observe(scope["method"], route_of(scope), status, seconds)
            log.info(
                "request",
                method=scope["method"],
                route=route_of(scope),
                status=status,
                ms=round(seconds * 1000, 1),
            )


class SecurityHeaders:
    """Every response says what a browser may do with it."""

    def __init__(self, app: ASGIApp, https: bool) -> None:
        self.app = app
        self.headers = dict(_HEADERS)
        if https:
            self.headers["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add headers that the response does not set itself."""

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self.headers.items():
                    headers.setdefault(name, value)
                if not scope.get("path", "").startswith("/static/"):
                    headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self.app(scope, receive, with_headers if scope["type"] == "http" else send)


class BodyLimit:
    """Refuses a body beyond ``limit`` bytes with 413, by its stated length or while it arrives.

    An answer that does not need the body (who is this?) waits until the body has come: a server that answers
    and closes while somebody still sends resets the connection, and a proxy before us then has no answer to
    give but 502.

    ``wide`` says of a method and a path how much more it takes (an upload); None: no more.
    """

    def __init__(
        self,
        app: ASGIApp,
        limit: int = BODY_LIMIT,
        wide: Callable[[str, str], int | None] | None = None,
    ) -> None:
        self.app = app
        self.limit = limit
        self.wide = wide

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass chunks on, counting them."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        wider = None if self.wide is None else self.wide(scope["method"], scope["path"])
        limit = wider or self.limit
        stated = Request(scope).headers.get("content-length", "")
        if stated.isdigit() and int(stated) > limit:
            await problem(_too_large())(scope, receive, send)
            return
        seen, ended = 0, stated in ("", "0") and "transfer-encoding" not in Request(scope).headers
        answered: bool | None = False  # None: the app began to answer before the limit was met

        async def counted() -> Message:
            nonlocal seen, ended
            message = await receive()
            ended = not message.get("more_body", False)
            if message["type"] == "http.request":
                seen += len(message.get("body", b""))
                if seen > limit:
                    raise _too_large()
            return message

        async def rest() -> None:
            with suppress(KaimenError, TimeoutError):
                async with asyncio.timeout(REST_S):
                    while not ended:
                        await counted()

        async def instead(message: Message) -> None:
            """Whatever the app makes of a body that broke off: the answer is 413."""
            nonlocal answered
            if seen <= limit or answered is None:
                if answered is not None:
                    answered = None
                    await rest()
                await send(message)
            elif not answered:
                answered = True
                await problem(_too_large())(scope, receive, send)

        await self.app(scope, counted, instead)


def _too_large() -> KaimenError:
    return KaimenError("body_too_large", "提交的内容太大", status=413)
