"""Other people's server: takes webhooks over HTTP and checks them as Standard Webhooks tell a receiver to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.serving import SOON


@dataclass
class Receiver:
    """``answers`` are the statuses of the next answers; then 204. ``now`` is its clock, in seconds."""

    url: str = ""
    secret: str = ""
    now: float = 0.0
    answers: list[int] = field(default_factory=list)
    taken: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    refused: int = 0

    def good(self, headers: Any, body: bytes) -> bool:
        """Whether a message is from who knows the secret, and fresh."""
        stamp = headers["webhook-timestamp"]
        if abs(self.now - int(stamp)) > 300:
            return False
        key = base64.b64decode(self.secret.split("_", 1)[1])
        said = headers["webhook-id"].encode() + b"." + stamp.encode() + b"." + body
        mine = base64.b64encode(hmac.digest(key, said, hashlib.sha256)).decode()
        offered = [one.split(",", 1) for one in headers["webhook-signature"].split()]
        return any(v == "v1" and hmac.compare_digest(mine, told) for v, told in offered)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """The server until the block ends."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if not receiver.good(self.headers, body):
                receiver.refused += 1
                status = 401
            else:
                status = receiver.answers.pop(0) if receiver.answers else 204
                if status < 300:
                    receiver.taken.append((self.headers["webhook-id"], json.loads(body)))
            self.send_response(status)
            self.send_header("content-length", "0")
            if status == 302:
                self.send_header("location", "http://127.0.0.1:9/")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[SOON], daemon=True).start()
    receiver.url = f"http://127.0.0.1:{server.server_port}/hooks"
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
