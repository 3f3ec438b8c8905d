"""Cookies alone prove nothing: an unsafe request with one must also carry a token made from it.

The token is an HMAC of the login (or, before login, of the device) token under the installation's
key. It stands in the header, or in the field ``csrf_token`` of a page's plain form.
Requests with a Bearer token need none: a foreign page cannot set that header. A request whose
``Origin`` is another site's is refused in any case. Enforced for every route by ``CsrfGuard``.
"""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cloud_api.kit.crypto import vault
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.ids import new_token
from cloud_api.kit.problems import problem

LOGIN_COOKIE = "kaimen_login"
DEVICE_COOKIE = "kaimen_device"
ACTING_COOKIE = "kaimen_acting"  # beside the login of an administrator who acts for a merchant
HEADER = "X-CSRF-Token"
FIELD = "csrf_token"
_FORM = "application/x-www-form-urlencoded"
DEVICE_LIFE_S = 365 * 86400
_LEADS_BACK = frozenset({"/pay/back"})  # providers post there; it changes nothing and shows nothing
_NO_PAGES = ("/api/", "/edge/", "/static/", "/media/", "/healthz", "/readyz", "/metrics")
_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


def token_for(cookie_token: str) -> str:
    """The CSRF token of a login token, or of a device token before login."""
    return vault().hash_token(f"csrf\n{cookie_token}")


def token_of(request: Request) -> str:
    """What a page rendered for this request puts into its forms; ``""`` without any cookie."""
    held = _cookie_token(request)
    return token_for(held) if held else ""


def _cookie_token(request: Request) -> str | None:
    names = (LOGIN_COOKIE, DEVICE_COOKIE, ACTING_COOKIE)
    return next((held for name in names if (held := request.cookies.get(name))), None)


class CsrfGuard:
    """ASGI middleware: refuses unsafe requests that another site could have made. ``public_url`` is ours."""

    def __init__(self, app: ASGIApp, public_url: str) -> None:
        self.app = app
        self.public_host = urlsplit(public_url).netloc.lower()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or answer 403."""
        if (
            scope["type"] == "http"
            and scope["method"] not in _SAFE
            and scope["path"] not in _LEADS_BACK
        ):
            request = Request(scope)
            sent = request.headers.get(HEADER, "")
            if not sent and self._is_form(request):
                body, receive = await _read(receive)
                sent = parse_qs(body.decode("latin-1")).get(FIELD, [""])[0]
            refused = self._refusal(request, sent)
            if refused is not None:
                await problem(refused)(scope, receive, send)
                return
        await self.app(scope, receive, send)

    @staticmethod
    def _is_form(request: Request) -> bool:
        """A plain form of a page; the API takes JSON alone."""
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        return kind == _FORM and not request.url.path.startswith(_NO_PAGES)

    def _refusal(self, request: Request, sent: str) -> KaimenError | None:
        origin = request.headers.get("origin")
        if origin is not None:
            host = urlsplit(origin).netloc.lower()
            ours = {self.public_host, request.headers.get("host", "").lower()}
            if not host or host not in ours:
                return KaimenError(
                    "csrf.origin", "这个请求来自别的网站，没有执行", status=403, field="Origin"
                )
        if request.headers.get("authorization", "").lower().startswith("bearer "):
            return None
        held = _cookie_token(request)
        if held is None:
            return None
        if not hmac.compare_digest(sent.encode(), token_for(held).encode()):
            return KaimenError("csrf.token", "页面放太久了，刷新一下再试", status=403, field=HEADER)
        return None


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The whole body, and a ``receive`` that gives it again; BodyLimit stands outside and bounds it."""
    messages: list[Message] = []
    while True:
        message = await receive()
        messages.append(message)
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    told = iter(messages)

    async def again() -> Message:
        for message in told:
            return message
        return await receive()

    return b"".join(m.get("body", b"") for m in messages), again


def set_cookie(name: str, value: str, *, max_age_s: int, secure: bool) -> str:
    """A Set-Cookie value: HttpOnly, SameSite=Lax, for the whole site."""
    try:
        cookie: SimpleCookie = SimpleCookie({name: value})
    except CookieError as error:  # pragma: no cover  our own names and tokens are plain
        raise ValueError("not a cookie") from error
    morsel = cookie[name]
    morsel["path"] = "/"
    morsel["httponly"] = True
    morsel["samesite"] = "Lax"
    morsel["max-age"] = max_age_s
    if secure:
        morsel["secure"] = True
    return morsel.OutputString()


class DeviceCookie:
    """ASGI middleware: a browser that opens a page gets a name of its own before anybody logs in.

    The name is random and HttpOnly. It counts attempts to log in per device, and anonymous forms
    take their CSRF token from it. Set on pages only: programs that call the API get none.
    """

    def __init__(self, app: ASGIApp, secure: bool) -> None:
        self.app = app
        self.secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Give the page the cookie at once, and the browser with the answer."""
        if not self._is_page(scope) or DEVICE_COOKIE in Request(scope).cookies:
            await self.app(scope, receive, send)
            return
        token = new_token()
        MutableHeaders(scope=scope).append("cookie", f"{DEVICE_COOKIE}={token}")
        made = set_cookie(DEVICE_COOKIE, token, max_age_s=DEVICE_LIFE_S, secure=self.secure)

        async def with_cookie(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).append("set-cookie", made)
            await send(message)

        await self.app(scope, receive, with_cookie)

    @staticmethod
    def _is_page(scope: Scope) -> bool:
        if scope["type"] != "http" or scope["method"] != "GET":
            return False
        return not scope["path"].startswith(_NO_PAGES)
