"""A virtual device on HTTP: a real server on loopback that knows Basic and Digest passwords."""

from __future__ import annotations

import base64
import hashlib
import secrets
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from device_profiles.profile import Profile
from device_profiles.spoken import Scalar
from firmware_bridge.virtual.message import VirtualMessageDevice

_REALM = "device"


class HttpDevice:
    """One device at ``path``, such as ``http://127.0.0.1:49152``. A context manager.

    ``redirects``: answer everything with a redirect; ``status``: with that status; ``answer``: with
    these very bytes. ``asked`` is what came, refused or not, such as ``POST /open``.
    """

    def __init__(
        self,
        id_: str,
        profile: Profile,
        params: dict[str, Scalar],
        port: int = 0,
        *,
        auth: Literal["none", "basic", "digest"] = "none",
        user: str = "admin",
        password: str = "",
    ) -> None:
        self.id = id_
        self.device = VirtualMessageDevice(profile, params)
        self.slow_ms = 0
        self.dead = False
        self.auth = auth
        self.user, self.password = user, password
        self.redirects = False
        self.status: int | None = None
        self.answer: bytes | None = None
        self.asked: list[str] = []
        self.path = ""
        self._port = port
        self._nonce = secrets.token_hex(8)
        self._lock = threading.RLock()
        self._server: ThreadingHTTPServer | None = None

    def open(self) -> HttpDevice:
        """Listen and serve; the same port when opened again."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner._serve(self)

            do_POST = do_GET  # noqa: N815  http.server calls it so
            do_PUT = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing: an address may hold a key."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Handler)
        self._server.daemon_threads = True
        self._port = self._server.server_address[1]
        self.path = f"http://127.0.0.1:{self._port}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def close(self) -> None:
        """Take it off the network."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def __enter__(self) -> HttpDevice:
        return self.open()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        length = int(handler.headers.get("content-length") or 0)
        body = handler.rfile.read(min(length, 65536))
        with self._lock:
            self.asked.append(f"{handler.command} {handler.path.partition('?')[0]}")
        if self.dead:
            handler.close_connection = True
            return
        if not self._allowed(handler):
            challenge = f'Basic realm="{_REALM}"'
            if self.auth == "digest":
                challenge = (
                    f'Digest realm="{_REALM}", qop="auth", nonce="{self._nonce}", algorithm=SHA-256'
                )
            _reply(handler, 401, b"", {"WWW-Authenticate": challenge})
        elif self.redirects:
            _reply(handler, 302, b"", {"Location": f"{self.path}/elsewhere"})
        elif self.status is not None:
            _reply(handler, self.status, b"{}", {})
        else:
            self._obey(handler, body)

    def count(self, command: str) -> int:
        """How often a command came."""
        with self._lock:
            return self.device.heard.count(command)

    def set(self, **changes: Any) -> None:
        """Change its state from outside, as a door that opens."""
        with self._lock:
            self.device.set(**changes)

    def _obey(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        with self._lock:
            self.device.tick()
            status, said = self.device.serve(handler.command, handler.path, body)
        time.sleep(self.slow_ms / 1000)
        if self.answer is not None:
            said = self.answer
        _reply(handler, status, said, {"Content-Type": "application/json"})

    def _allowed(self, handler: BaseHTTPRequestHandler) -> bool:
        given = handler.headers.get("authorization", "")
        if self.auth == "none":
            return True
        if self.auth == "basic":
            proof = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            return given == f"Basic {proof}"
        if not given.startswith("Digest "):
            return False
        parts = (part.strip().partition("=") for part in given[7:].split(","))
        fields = {key: value.strip('"') for key, _, value in parts}
        secret = _sha(f"{self.user}:{_REALM}:{self.password}")
        asked = _sha(f"{handler.command}:{fields.get('uri', '')}")
        middle = ":".join(fields.get(key, "") for key in ("nonce", "nc", "cnonce", "qop"))
        right = fields.get("nonce") == self._nonce and fields.get("username") == self.user
        return right and fields.get("response") == _sha(f"{secret}:{middle}:{asked}")


def _sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _reply(
    handler: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str]
) -> None:
    handler.send_response(status)
    for key, value in headers.items():
        handler.send_header(key, value)
    handler.send_header("Content-Length", str(len(body)))
    with suppress(ConnectionError):  # who asked did not wait
        handler.end_headers()
        handler.wfile.write(body)
