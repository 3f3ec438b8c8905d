"""Login by phone and code, against a real SMS gateway; who may try how often; what is kept."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import datetime

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event
from sqlmodel import select

from cloud_api.auth import service
from cloud_api.auth.models import Account, Login, LoginCode
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from simulators.sms.app import Gateway, create_app
from tests.cloud_api.factories import bearer, make_customer

PHONE = "13800000001"


@pytest.fixture
async def gateway(cloud: Cloud) -> AsyncIterator[Gateway]:
    """The cloud's HTTP client reaches this gateway, and nothing else."""

    def now() -> float:
        return cloud.clocks.real.timestamp()

    made = Gateway(key="k", time=now)
    old = cloud.http
    cloud.http = httpx.AsyncClient(transport=httpx.ASGITransport(app=create_app(made)))
    cloud.settings.sms_url, cloud.settings.sms_key = "http://sms.test/send", "k"
    yield made
    await cloud.http.aclose()
    cloud.http = old


def code_in(gateway: Gateway, phone: str = "+86" + PHONE) -> str:
    found = re.search(r"\d{6}", gateway.of(phone)[0].text)
    assert found is not None
    return found[0]


async def log_in(client: httpx.AsyncClient, gateway: Gateway, phone: str = PHONE) -> httpx.Response:
    asked = await client.post("/api/v1/auth/code", json={"phone": phone})
    assert asked.status_code == 202, asked.text
    code = code_in(gateway, "+86" + phone)
    return await client.post("/api/v1/auth/login", json={"phone": phone, "code": code})


async def test_a_code_logs_in_and_makes_the_account(
    client: httpx.AsyncClient, gateway: Gateway, db: Database
):
    answer = await log_in(client, gateway)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert len(body["token"]) >= 43  # 256 bits
    cookie = answer.headers["set-cookie"]
    assert f"kaimen_login={body['token']}" in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    me = await client.get("/api/v1/auth/me", headers=bearer(body["token"]))
    assert me.json()["account"] == {
        "id": body["account"]["id"],
        "phone_tail": "0001",
        "locale": "zh_Hans",
    }
    async with db.read() as session:
        login = (await session.exec(select(Login))).one()
    assert login.token_hash != body["token"]
    assert PHONE not in answer.text


async def test_secure_cookies_by_settings(
    client: httpx.AsyncClient, gateway: Gateway, cloud: Cloud
):
    cloud.settings.cookie_secure = True
    assert "Secure" in (await log_in(client, gateway)).headers["set-cookie"]


async def test_logging_in_again_is_the_same_account(
    client: httpx.AsyncClient, gateway: Gateway, wire
):
    first = (await log_in(client, gateway)).json()
    client.cookies.clear()
    wire.pass_time(301)
    second = (await log_in(client, gateway)).json()
    assert first["account"]["id"] == second["account"]["id"]
    assert first["token"] != second["token"]


async def test_logout_ends_the_login_at_once(client: httpx.AsyncClient, gateway: Gateway):
    token = (await log_in(client, gateway)).json()["token"]
    client.cookies.clear()
    assert (await client.post("/api/v1/auth/logout", headers=bearer(token))).status_code == 204
    refused = await client.get("/api/v1/auth/me", headers=bearer(token))
    assert (refused.status_code, refused.json()["code"]) == (401, "auth.token_invalid")


async def test_a_login_ends_after_ninety_days(client: httpx.AsyncClient, gateway: Gateway, wire):
    token = (await log_in(client, gateway)).json()["token"]
    client.cookies.clear()
    wire.pass_time(90 * 86400 - 1)
    assert (await client.get("/api/v1/auth/me", headers=bearer(token))).status_code == 200
    wire.pass_time(1)
    assert (await client.get("/api/v1/auth/me", headers=bearer(token))).status_code == 401


async def test_a_code_works_once_and_for_five_minutes(
    client: httpx.AsyncClient, gateway: Gateway, wire
):
    await client.post("/api/v1/auth/code", json={"phone": PHONE})
    body = {"phone": PHONE, "code": code_in(gateway)}
    wire.pass_time(299)
    assert (await client.post("/api/v1/auth/login", json=body)).status_code == 200
    client.cookies.clear()
    assert (await client.post("/api/v1/auth/login", json=body)).json()["code"] == "auth.bad_code"
    await client.post("/api/v1/auth/code", json={"phone": PHONE})
    body["code"] = code_in(gateway)
    wire.pass_time(300)
    assert (await client.post("/api/v1/auth/login", json=body)).json()["code"] == "auth.bad_code"


async def test_five_wrong_attempts_end_a_code(client: httpx.AsyncClient, gateway: Gateway):
    await client.post("/api/v1/auth/code", json={"phone": PHONE})
    right = code_in(gateway)
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"
    for _ in range(5):
        answer = await client.post("/api/v1/auth/login", json={"phone": PHONE, "code": wrong})
        assert answer.json()["code"] == "auth.bad_code"
    answer = await client.post("/api/v1/auth/login", json={"phone": PHONE, "code": right})
    assert answer.status_code == 401


async def test_attempts_side_by_side_count_each(db: Database, clocks: Clocks):
    """A guesser with forty connections has five tries, not forty."""
    async with db.write() as session:
        _, right = await service.new_code(session, "+8613800000001", "", clocks)
    wrong = f"{(int(right) + 1) % 1_000_000:06d}"

    async def guess() -> None:
        async with db.write() as session:
            await service.use_code(session, "+8613800000001", wrong, clocks)

    await asyncio.gather(*(guess() for _ in range(40)))
    async with db.read() as session:
        assert (await session.exec(select(LoginCode.attempts))).one() == 5


async def test_one_code_makes_one_login_however_many_use_it_at_once(db: Database, clocks: Clocks):
    async with db.write() as session:
        _, right = await service.new_code(session, "+8613800000001", "", clocks)

    async def use() -> bool:
        async with db.write() as session:
            return await service.use_code(session, "+8613800000001", right, clocks)

    assert sum(await asyncio.gather(*(use() for _ in range(10)))) == 1


async def test_a_new_code_ends_the_one_before(client: httpx.AsyncClient, gateway: Gateway):
    await client.post("/api/v1/auth/code", json={"phone": PHONE})
    first = code_in(gateway)
    await client.post("/api/v1/auth/code", json={"phone": PHONE})
    assert code_in(gateway) != first  # equal once in a million runs
    answer = await client.post("/api/v1/auth/login", json={"phone": PHONE, "code": first})
    assert answer.status_code == 401


async def test_codes_are_throttled_by_phone_and_by_address(
    client: httpx.AsyncClient, gateway: Gateway, app: FastAPI
):
    for _ in range(3):
        assert (await client.post("/api/v1/auth/code", json={"phone": PHONE})).status_code == 202
    refused = await client.post("/api/v1/auth/code", json={"phone": PHONE})
    assert refused.status_code == 429
    assert refused.json()["code"] == "too_often"
    assert int(refused.headers["retry-after"]) == refused.json()["retry_after"] == 300
    assert len(gateway.messages) == 3
    for number in range(57):
        answer = await client.post("/api/v1/auth/code", json={"phone": f"139{number:08d}"})
        assert answer.status_code == 202
    assert (
        await client.post("/api/v1/auth/code", json={"phone": "13700000000"})
    ).status_code == 429
    other = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=app, client=("203.0.113.8", 1)),
        base_url="http://kaimen.test",
    )
    assert (await other.post("/api/v1/auth/code", json={"phone": "13700000000"})).status_code == 202
    await other.aclose()


async def test_the_answers_do_not_tell_who_is_known(
    client: httpx.AsyncClient, gateway: Gateway, db: Database, now: datetime
):
    async with db.write() as session:
        await make_customer(session, now, "+8613911110000")
    known = await client.post("/api/v1/auth/code", json={"phone": "13911110000"})
    stranger = await client.post("/api/v1/auth/code", json={"phone": "13911119999"})
    assert known.json() == stranger.json()
    bad = {"code": "000000"}
    a = await client.post("/api/v1/auth/login", json={"phone": "13911110000", **bad})
    b = await client.post("/api/v1/auth/login", json={"phone": "13711110000", **bad})
    assert a.json() == b.json()


async def test_wrong_codes_cost_the_same_for_strangers(db: Database, clocks: Clocks, now: datetime):
    """The same statements run whether the number is known or not: nothing to tell them apart by."""
    async with db.write() as session:
        await make_customer(session, now, "+8613911110000")
        await service.new_code(session, "+8613911110000", "", clocks)

    async def statements(phone: str) -> list[str]:
        seen: list[str] = []

        def note(_conn: object, _cursor: object, statement: str, *_rest: object) -> None:
            seen.append(statement)

        engine = db.engine.sync_engine
        event.listen(engine, "before_cursor_execute", note)
        try:
            async with db.write() as session:
                await service.use_code(session, phone, "000000", clocks)
        finally:
            event.remove(engine, "before_cursor_execute", note)
        return seen

    known, stranger = await statements("+8613911110000"), await statements("+8613711110000")
    assert known == stranger
    assert len(known) > 1


async def test_a_gateway_that_fails_is_said(client: httpx.AsyncClient, gateway: Gateway):
    gateway.fail_next = 1
    answer = await client.post("/api/v1/auth/code", json={"phone": PHONE})
    assert (answer.status_code, answer.json()["code"]) == (503, "sms.failed")


async def test_phone_numbers_are_encrypted_at_rest(
    client: httpx.AsyncClient, gateway: Gateway, db: Database
):
    await log_in(client, gateway)
    async with db.read() as session:
        account = (await session.exec(select(Account))).one()
        raw = await (await session.connection()).exec_driver_sql(
            "SELECT phone, phone_index FROM account"
        )
        stored = list(raw.one())
    assert account.phone == "+86" + PHONE
    assert PHONE not in stored[0]
    assert PHONE not in stored[1]


@pytest.mark.parametrize("phone", ["12345678901", "+861380000000", "abc", "+0123456789", "110"])
async def test_what_is_no_phone_number_is_refused(client: httpx.AsyncClient, phone: str):
    answer = await client.post("/api/v1/auth/code", json={"phone": phone})
    assert answer.status_code == 422
    assert answer.json()["field"] == "phone"
