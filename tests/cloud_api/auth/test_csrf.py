"""What another site may make a browser do: nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime

import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse

from cloud_api.auth.csrf import token_for, token_of
from cloud_api.kit.database import Database
from tests.cloud_api.factories import make_customer, make_login

LOGOUT = "/api/v1/auth/logout"


@pytest.fixture
async def token(db: Database, now: datetime) -> str:
    async with db.write() as session:
        return await make_login(session, (await make_customer(session, now)).id, now)


@pytest.fixture
async def browser(client: httpx.AsyncClient, token: str) -> AsyncIterator[httpx.AsyncClient]:
    client.cookies.set("kaimen_login", token)
    yield client
    client.cookies.clear()


async def test_a_cookie_alone_changes_nothing(browser: httpx.AsyncClient):
    refused = await browser.post(LOGOUT)
    assert (refused.status_code, refused.json()["code"]) == (403, "csrf.token")
    assert (await browser.get("/api/v1/auth/me")).status_code == 200


async def test_the_cookie_with_its_token_does(browser: httpx.AsyncClient, token: str):
    done = await browser.post(LOGOUT, headers={"X-CSRF-Token": token_for(token)})
    assert done.status_code == 204


async def test_a_token_of_another_login_does_not(browser: httpx.AsyncClient):
    refused = await browser.post(LOGOUT, headers={"X-CSRF-Token": token_for("another")})
    assert refused.status_code == 403


async def test_a_bearer_needs_none(client: httpx.AsyncClient, token: str):
    done = await client.post(LOGOUT, headers={"Authorization": f"Bearer {token}"})
    assert done.status_code == 204


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://kaimen.test", 204),
        ("https://evil.test", 403),
        ("null", 403),
        ("http://kaimen.test.evil.test", 403),
    ],
)
async def test_another_origin_is_refused_even_with_the_token(
    browser: httpx.AsyncClient, token: str, origin: str, status: int
):
    headers = {"X-CSRF-Token": token_for(token), "Origin": origin}
    assert (await browser.post(LOGOUT, headers=headers)).status_code == status


async def test_a_page_names_the_device_and_its_forms_carry_that(
    app: FastAPI, client: httpx.AsyncClient
):
    @app.get("/some-page", response_class=HTMLResponse)
    async def page(request: Request) -> str:
        return token_of(request)

    shown = await client.get("/some-page")
    assert shown.text == token_for(client.cookies["kaimen_device"])
    assert "HttpOnly" in shown.headers["set-cookie"]
    again = await client.get("/some-page")
    assert "set-cookie" not in again.headers
    assert again.text == shown.text
    refused = await client.post("/api/v1/auth/logout")
    assert refused.json()["code"] == "csrf.token"
    done = await client.post("/api/v1/auth/logout", headers={"X-CSRF-Token": shown.text})
    assert done.status_code == 204


async def test_api_calls_get_no_device_cookie(client: httpx.AsyncClient):
    assert "set-cookie" not in (await client.get("/api/v1/stores")).headers


async def test_a_stale_cookie_counts_as_nobody_on_public_pages(client: httpx.AsyncClient):
    client.cookies.set("kaimen_login", "long-gone")
    assert (await client.get("/api/v1/stores")).status_code == 200
