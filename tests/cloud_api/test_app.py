"""The app as a whole: health, headers, refusals in one form, limits."""

from __future__ import annotations

import json

import httpx
import pytest
from fastapi import FastAPI
from sqlmodel import select

from cloud_api.auth.models import Login
from cloud_api.kit import feed, throttle
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict
from cloud_api.kit.models import FeedEntry, Throttle
from cloud_api.kit.problems import MEDIA_TYPE
from cloud_api.worker import forget_old
from tests.cloud_api.factories import make_customer, make_login


async def test_healthz_says_that_the_process_lives(client: httpx.AsyncClient):
    answer = await client.get("/healthz")
    assert answer.json() == {"status": "ok"}


async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient):
    answer = await client.get("/api/v1/stores")
    assert answer.status_code == 200
    csp = answer.headers["content-security-policy"]
    for part in ("default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"):
        assert part in csp
    assert "unsafe" not in csp
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert answer.headers["x-request-id"]
    assert "strict-transport-security" not in answer.headers


@pytest.mark.parametrize(
    ("method", "path", "content", "status", "code"),
    [
        ("GET", "/api/v1/nowhere", None, 404, "not_found"),
        ("GET", "/api/v1/stores/nope", None, 404, "store.not_found"),
        ("DELETE", "/api/v1/stores", None, 405, "method_not_allowed"),
        ("GET", "/api/v1/orders", None, 401, "auth.login_needed"),
        ("GET", "/api/v1/console/me", None, 401, "auth.login_needed"),
        ("POST", "/api/v1/auth/code", b"{", 422, "invalid.json"),
        ("POST", "/api/v1/auth/code", b"{}", 422, "invalid"),
        ("POST", "/api/v1/auth/login", b'{"phone":"13800000000","code":"x"}', 422, "invalid"),
    ],
)
async def test_every_refusal_is_a_problem_with_a_code(
    client: httpx.AsyncClient,
    method: str,
    path: str,
    content: bytes | None,
    status: int,
    code: str,
):
    headers = {"Content-Type": "application/json", "Accept": "text/html" if not content else "*/*"}
    answer = await client.request(method, path, content=content, headers=headers)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == MEDIA_TYPE
    body = answer.json()
    assert body["code"] == code
    assert body["status"] == status
    assert body["detail"]
    assert body["type"] == f"urn:kaimen:problem:{code}"


async def test_a_bad_field_is_named_and_its_value_is_not_repeated(client: httpx.AsyncClient):
    answer = await client.post(
        "/api/v1/auth/login", json={"phone": "13800000000", "code": "secret!"}
    )
    assert answer.json()["field"] == "code"
    assert "secret" not in answer.text


async def test_a_crash_is_a_problem_with_a_number_and_no_inside(
    app: FastAPI, client: httpx.AsyncClient
):
    @app.get("/api/v1/boom")
    async def boom() -> None:
        raise ZeroDivisionError("the inside")

    answer = await client.get("/api/v1/boom")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "inside" not in answer.text
    assert answer.headers["content-security-policy"]


async def test_a_body_beyond_the_limit_is_refused(client: httpx.AsyncClient):
    big = json.dumps({"phone": "1" * 300_000}).encode()
    stated = await client.post("/api/v1/auth/code", content=big)
    assert stated.status_code == 413

    async def chunks():
        for start in range(0, len(big), 65536):
            yield big[start : start + 65536]

    streamed = await client.post("/api/v1/auth/code", content=chunks())
    assert "content-length" not in streamed.request.headers
    assert streamed.status_code == 413
    assert streamed.json()["code"] == "body_too_large"


async def test_readyz_refuses_without_migrations(client: httpx.AsyncClient):
    """Tables made by hand are no migrated database: the process must not get requests."""
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    checks = answer.json()["checks"]
    assert checks["database"] == "ok"
    assert checks["overlap_guard"] == checks["audit_guard"] == "ok"
    assert checks["migrations"].startswith("behind")


async def test_metrics_count_requests_by_route_and_never_by_address(
    client: httpx.AsyncClient, cloud: Cloud
):
    await client.get("/api/v1/doors/secret-token")
    text = (await client.get("/metrics")).text
    assert 'route="/api/v1/doors/{token}"' in text
    assert "secret-token" not in text
    assert "kaimen_outbox_depth 0.0" in text
    cloud.settings.metrics_token = "m"
    assert (await client.get("/metrics")).status_code == 401
    with_token = await client.get("/metrics", headers={"Authorization": "Bearer m"})
    assert with_token.status_code == 200


async def test_language_is_negotiated_and_falls_back(app: FastAPI, client: httpx.AsyncClient):
    @app.get("/api/v1/taken")
    async def taken() -> None:
        raise Conflict("x.taken", "刚被别人订走了")

    answer = await client.get("/api/v1/taken", headers={"Accept-Language": "xx, *;q=bad"})
    assert answer.json()["detail"] == "刚被别人订走了"


async def test_what_has_served_its_time_is_deleted(cloud: Cloud, db, shop, now, wire):
    """Feed lines of last week go, but never the newest: ids must go on from it."""
    for number in range(3):
        async with db.write() as session:
            await feed.tell(
                session, merchant_id=shop.merchant.id, topic="x", body={"n": number}, now=now
            )
    async with db.write() as session:
        await make_login(session, (await make_customer(session, now)).id, now)
        await throttle.hit(session, "a:b", 1, 60, now)
    wire.pass_time(100 * 86400)
    await forget_old(cloud)
    async with db.read() as session:
        assert [e.body["n"] for e in (await session.exec(select(FeedEntry))).all()] == [2]
        assert (await session.exec(select(Login))).all() == []
        assert (await session.exec(select(Throttle))).all() == []
