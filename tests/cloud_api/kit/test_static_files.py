"""What browsers may keep of the files that pages stand on, and for how long."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from cloud_api.kit.static_files import StaticForLong
from cloud_api.web.rendering import STATIC, static_url

FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.mount("/static", StaticForLong(STATIC))
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
