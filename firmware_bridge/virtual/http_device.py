"""A virtual device on HTTP: a real server on loopback that knows Basic and Digest passwords."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from firmware_bridge.virtual.messages import VirtualMessages

_REALM = "device"


class HttpDevice:
    """One device at ``path``, such as ``http://127.0.0.1:49152``. A context manager.

    ``redirects``: answer everything with a redirect; ``status``: with that status; ``answer``: with
    these very bytes. ``requests`` counts what came, refused or not.
    """

    def __init__(
        self,
        device: VirtualMessages,
        port: int = 0,
        *,
        auth: Literal["none", "basic", "digest"] = "none",
        user: str = "admin",
        password: str = "",
    ) -> None:
        self.device = device
        self.auth = auth
        self.user, self.password = user, password
        self.redirects = False
        self.status: int | None = None
        self.answer: bytes | None = None
        self.requests = 0
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
            self.requests += 1
        if self.device.dead:
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

    def _obey(self, handler: BaseHTTPRequestHandler, body: bytes) -> None:
        parts = urlsplit(handler.path)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        kind = handler.headers.get("content-type", "")
        form = dict(parse_qsl(body.decode("utf-8", "replace"))) if "urlencoded" in kind else {}
        try:
            document = json.loads(body) if "json" in kind else None
        except ValueError:
            document = None
        with self._lock:
            self.device.tick()
            known = self.device.requested(
                handler.command, unquote(parts.path), query, document, form
            )
            said = None if known is None else self.device.obey(*known)
            slow_s = self.device.slow_ms / 1000
        if slow_s:
            time.sleep(slow_s)
        if said is None:
            _reply(handler, 404, b"{}", {})
        elif self.answer is not None:
            _reply(handler, 200, self.answer, {})
        else:
            text: Any = said.answer if said.answers else {}
            data = text if isinstance(text, str) else json.dumps(text)
            _reply(handler, 200, data.encode(), {"Content-Type": "application/json"})

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
    handler.end_headers()
    handler.wfile.write(body)
