"""Devices on the local network that are asked over HTTP.

Each request has a connection of its own: one that the device closed while it was idle would leave an
unlock unanswered that was never read. A redirect is never followed, an answer is read up to a limit, and
a password may be asked for by Basic or Digest (RFC 7617, RFC 7616); what stands in the address
(``http://user:password@192.168.1.50``) is never logged.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Mapping
from typing import Any

import httpx

from device_profiles.message_schema import HttpLocal, MessageCommandDoc
from device_profiles.profile import Messages
from device_profiles.spoken import Names, Scalar, ValueFault, judge, outgoing, parsed
from firmware_bridge.bus import Exchange, Result
from firmware_bridge.carrier import Ears, SpokenDevice, Told, Turn, tried
from firmware_bridge.contract import Priority

_LONGEST = 64 * 1024
_CONNECT_S = 1.5
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class HttpCarrier:
    """The way to one device, or to the gateway before it. ``base`` is its address."""

    def __init__(self, device: SpokenDevice, base: str, monotonic: Callable[[], float]) -> None:
        assert device.profile.messages is not None
        assert isinstance(device.profile.messages.transport, HttpLocal)
        self._messages: Messages = device.profile.messages
        self._pace: HttpLocal = device.profile.messages.transport
        self._names = dict(device.settings.params)
        self._base, auth = _without_password(base)
        self._monotonic = monotonic
        self._turn = Turn()
        self._seq = itertools.count(1)
        timeout = httpx.Timeout(self._pace.response_timeout_ms / 1000, connect=_CONNECT_S)
        self._client = httpx.AsyncClient(
            base_url=self._base,
            auth=auth,
            timeout=timeout,
            follow_redirects=False,
            trust_env=False,
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=0),
        )

    async def start(self, ears: Ears) -> None:
        """There is nothing to be opened."""
        ears.there(True, "")

    async def stop(self) -> None:
        """Close what is open."""
        await self._client.aclose()

    async def ask(
        self,
        command: str,
        params: Mapping[str, Scalar],
        priority: Priority,
        deadline: float,
        *,
        attempts: int = 1,
    ) -> Told:
        """Send a command of the profile and wait for its answer."""
        spec = self._messages.commands[command]
        now = {"seq": next(self._seq), "now_ms": time.time_ns() // 1_000_000}
        names: Names = {**self._names, **params, **now}

        async def attempt() -> Told:
            async with self._turn.of(priority):
                if self._monotonic() >= deadline:
                    return Told(Exchange("expired", "the deadline passed before it was sent"))
                return await self._once(spec, names)

        return await tried(spec.once, attempts, lambda: self._monotonic() < deadline, attempt)

    async def _once(self, spec: MessageCommandDoc, names: Names) -> Told:
        out = outgoing(spec, names)
        assert spec.request is not None
        shown = f"{spec.request.method} {spec.request.path}".encode()  # without what was put in
        begun = time.monotonic()

        def ended(result: Result, detail: str, *, sent: bool = True, rx: bytes = b"") -> Exchange:
            took_ms = round((time.monotonic() - begun) * 1000, 2)
            return Exchange(
                result, detail, tx=shown, rx=rx, sent=len(shown) if sent else 0,
                attempts=int(sent), took_ms=took_ms,
            )  # fmt: skip

        try:
            status, body = await self._exchange(out.method or "GET", out.path or "/", out)
        except _UNSENT as error:
            return Told(
                ended("port_gone", f"{self._base} does not answer: {_why(error)}", sent=False)
            )
        except httpx.TimeoutException:
            return Told(ended("no_answer", "no answer in time"))
        except httpx.HTTPError as error:
            return Told(ended("no_answer", f"the connection broke: {_why(error)}"))
        if 300 <= status < 400:
            return Told(
                ended("bad_frame", f"it answered with a redirect ({status}), which is not followed")
            )
        if status >= 500:
            return Told(ended("no_answer", f"it answered with an error of its own ({status})"))
        if status in (401, 403):
            return Told(ended("refused", f"the password is wrong or missing ({status})"))
        if status >= 400:
            return Told(ended("refused", f"it refused ({status})"))
        return _judged(spec, body, names, ended)

    async def _exchange(self, method: str, path: str, out: Any) -> tuple[int, bytes]:
        body = b""
        headers = dict(out.headers)
        async with self._client.stream(
            method, path, headers=headers, content=out.payload or None
        ) as response:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > _LONGEST:
                    raise httpx.ReadError("the answer is too long")
            return response.status_code, body


def _judged(
    spec: MessageCommandDoc, body: bytes, names: Names, ended: Callable[..., Exchange]
) -> Told:
    if spec.answer is None:
        return Told(ended("answered", "", rx=body[:200]))
    try:
        document = parsed(body, text=spec.answer.text)
    except ValueFault as fault:
        return Told(ended("bad_frame", str(fault)))
    verdict, why = judge(spec.answer, document, names)
    if verdict == "done":
        return Told(ended("answered", "", rx=body[:200]), document)
    if verdict == "refused":
        return Told(ended("refused", why, rx=body[:200]), document)
    return Told(ended("bad_frame", "it answered something else"))


def _why(error: Exception) -> str:
    return str(error) or type(error).__name__


def _without_password(base: str) -> tuple[str, httpx.Auth | None]:
    url = httpx.URL(base)
    if not url.username:
        return base, None
    auth = _Either(url.username, url.password)
    return str(url.copy_with(username=None, password=None)), auth


class _Either(httpx.Auth):
    """Digest where the device asks for it, Basic where it asks for that. What was refused with a 401
    was not done, so it may be sent again with the proof.
    """

    def __init__(self, username: str, password: str) -> None:
        self._digest = httpx.DigestAuth(username, password)
        self._basic = httpx.BasicAuth(username, password)
        self._wants_basic = False

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._wants_basic:
            yield from self._basic.auth_flow(request)
            return
        flow = self._digest.auth_flow(request)
        response = yield next(flow)
        asked = response.headers.get("www-authenticate", "").lower()
        if response.status_code == 401 and asked.startswith("basic"):
            self._wants_basic = True
            yield from self._basic.auth_flow(request)
            return
        try:
            while True:
                response = yield flow.send(response)
        except StopIteration:
            return
