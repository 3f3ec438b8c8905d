"""The sample pages over HTTP on a free port, under the product's own policy, for browsers in tests.

``python -m tests.web.server`` serves them to look at by hand.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from mimetypes import guess_type
from pathlib import Path
from urllib.parse import urlsplit

from cloud_api.kit.static_files import bundle_content, inside
from cloud_api.web.rendering import BUNDLES, STATIC, render
from tests.support.serving import SOON
from tests.web import samples, samples_groupbuy
from tests.web.samples_console import CONSOLE_PAGES

PAGES = samples.PAGES | samples_groupbuy.PAGES | CONSOLE_PAGES

POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
)
HOUR = timedelta(hours=1)


def quote(body: dict[str, str]) -> dict[str, object]:
    """A price like the store's own: ¥38 before 18:00, ¥48 after."""
    a, b = (datetime.fromisoformat(body[key]) for key in ("starts_at", "ends_at"))
    evening = a.replace(hour=18, minute=0)
    lines = []
    for name, unit, start, end in (
        ("平时价", 3800, a, min(b, evening)),
        ("晚间价", 4800, max(a, evening), b),
    ):
        if end > start:
            amount = round(unit * ((end - start) / HOUR))
            text = f"{start:%H:%M}–{end:%H:%M} {name} ¥{unit // 100}"
            lines.append(
                {
                    "text": text,
                    "from": start.isoformat(),
                    "to": end.isoformat(),
                    "unit_fen": unit,
                    "amount_fen": amount,
                }
            )
    total = sum(int(str(line["amount_fen"])) for line in lines)
    late = (samples.NOW + 2 * HOUR).isoformat()
    return {"id": "q1", "total_fen": total, "lines": lines, "expires_at": late}


class Handler(BaseHTTPRequestHandler):
    """Pages at ``/{name}``, static files, quotes; a door that answers as its token's end says."""

    theme = ""

    def send(self, body: bytes, kind: str, status: int = 200) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", POLICY)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path.startswith("/static/"):
            if parts := BUNDLES.get(path.removeprefix("/static/")):
                return self.send(bundle_content(STATIC, parts), "text/css")
            file = (STATIC / inside(path.removeprefix("/static/"))).resolve()
            if not file.is_relative_to(STATIC) or not file.is_file():
                return self.send(b"", "text/plain", 404)
            kind = "text/javascript" if file.suffix == ".js" else guess_type(file.name)[0]
            return self.send(file.read_bytes(), kind or "application/octet-stream")
        if path == "/pass.svg" or path.endswith("/code.svg"):
            return self.send(qr(), "image/svg+xml")
        name = path.strip("/") or "stores"
        if name not in PAGES:
            return self.send(b"", "text/plain", 404)
        template, context = PAGES[name]
        html = render(template, {"shell": samples.SHELL, **context})
        return self.send(html.encode(), "text/html; charset=utf-8")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        path = urlsplit(self.path).path
        if path == "/api/v1/quotes":
            answer: dict[str, object] = quote(body)
        elif path.endswith("/unlock"):
            answer = {"command_id": "c1", "state": "done", "message": ""}
        else:
            answer = {}
        self.send(json.dumps(answer).encode(), "application/json")

    def log_message(self, *args: object) -> None:
        """Quiet."""


def qr() -> bytes:
    """A QR code of a sample pass, as SVG."""
    import io

    import qrcode
    from qrcode.image.svg import SvgPathImage

    out = io.BytesIO()
    qrcode.make(
        "K1:SAMPLE PASS 6BFOXN*TS0BI$ZD-PHQNI5" * 4, image_factory=SvgPathImage, border=2
    ).save(out)
    return out.getvalue()


@contextmanager
def serving(handler: type[Handler] = Handler, port: int = 0) -> Iterator[str]:
    """Yields the address."""
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, args=[SOON], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


if __name__ == "__main__":
    with serving(port=0) as address:
        print(Path(__file__).name, address, *sorted(PAGES), sep="\n  ")
        threading.Event().wait()
