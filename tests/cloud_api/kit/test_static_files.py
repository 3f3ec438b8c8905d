"""What browsers may keep of the files that pages stand on, and for how long."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from cloud_api.kit.static_files import StaticForLong, bundle_digest
from cloud_api.web.rendering import BUNDLES, STATIC, static_url

FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.mount("/static", StaticForLong(STATIC, BUNDLES))
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://kaimen.test") as made:
        yield made


async def _kept(http: httpx.AsyncClient, path: str) -> tuple[int, str]:
    answer = await http.get(path)
    return answer.status_code, answer.headers.get("cache-control", "")


async def test_every_script_that_another_imports_has_the_hash_in_its_address(
    http: httpx.AsyncClient,
):
    """After a deployment browsers held parts of the old scripts for five minutes beside the new ones."""
    seen: set[str] = set()
    todo = [static_url(f"js/{path.name}") for path in sorted((STATIC / "js").glob("*.js"))]
    while todo:
        address = todo.pop()
        if address in seen:
            continue
        seen.add(address)
        answer = await http.get(address)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, FOREVER), address
        for name in re.findall(r"(?:from|import)\s*\(?'(\.[^']+)'", answer.text):
            todo.append(str(httpx.URL(f"http://kaimen.test{address}").join(name).path))
    assert all(re.match(r"/static/m-[0-9a-f]{10}/js/", one) for one in seen)
    assert len(seen) == len(list((STATIC / "js").glob("*.js")))


async def test_an_address_that_says_another_content_is_kept_by_nobody(http: httpx.AsyncClient):
    """While two versions run side by side, a new page may ask the old server for a script."""
    sheet = static_url("css/base.css")
    assert await _kept(http, sheet) == (200, FOREVER)
    assert await _kept(http, f"{sheet[:-4]}0000") == (200, "no-store")
    assert await _kept(http, "/static/m-0000000000/js/api.js") == (200, "no-store")
    assert await _kept(http, "/static/css/base.css") == (200, "public, max-age=300")
    assert (await http.get("/static/m-0000000000/../../app.py")).status_code == 404


async def test_the_folder_changes_with_any_script(tmp_path: Path):
    (tmp_path / "a.js").write_text("1")
    before = StaticForLong(tmp_path)._modules
    other = tmp_path / "more"
    other.mkdir()
    (other / "a.js").write_text("2")
    assert StaticForLong(other)._modules != before


async def test_the_sheets_of_every_page_come_in_one_answer(http: httpx.AsyncClient):
    """Fifteen requests before anything was drawn: on a line with half a second to the server, two seconds."""
    address = static_url("css/parts.css")
    plain = await http.get(address, headers={"Accept-Encoding": "identity"})
    packed = await http.get(address, headers={"Accept-Encoding": "gzip"})
    for answer in (plain, packed):
        assert answer.headers["content-type"].startswith("text/css")
        assert (answer.headers["cache-control"], answer.headers["vary"]) == (
            FOREVER,
            "Accept-Encoding",
        )
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    ends = [plain.text.index((STATIC / part).read_text()) for part in BUNDLES["css/parts.css"]]
    assert ends == sorted(ends)  # whole and in their order: a later one may say otherwise
    assert await _kept(http, f"{address[:-4]}0000") == (200, "no-store")
    assert await _kept(http, "/static/css/parts.css") == (200, "public, max-age=300")
    assert not (STATIC / "css" / "parts.css").exists()  # no file of its own that could be older


async def test_a_bundle_changes_with_any_of_its_files(tmp_path: Path):
    for name in ("a.css", "b.css"):
        (tmp_path / name).write_text(name)
    before = bundle_digest(tmp_path, ("a.css", "b.css"))
    assert before != bundle_digest(tmp_path, ("b.css", "a.css"))
    (tmp_path / "b.css").write_text("otherwise")
    assert before != bundle_digest(tmp_path, ("a.css", "b.css"))
