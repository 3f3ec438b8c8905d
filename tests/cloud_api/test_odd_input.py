"""What no client of ours sends: the ends of the calendar, characters a database does not take."""

from __future__ import annotations

import json
from datetime import datetime

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from cloud_api.kit.database import Database
from tests.cloud_api.factories import Shop, bearer, make_login, make_staff

ENDS_OF_TIME = [
    ("9999-12-31T22:00:00Z", "9999-12-31T23:30:00Z"),
    ("9999-12-31T23:30:00-05:00", "9999-12-31T23:59:00-05:00"),
    ("0001-01-01T00:00:00+08:00", "0001-01-01T02:00:00+08:00"),
    ("0001-01-01T00:00:00Z", "0001-01-01T02:00:00Z"),
]


@pytest.fixture
async def owner(db: Database, shop: Shop, now: datetime) -> dict[str, str]:
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        return bearer(await make_login(session, member.account_id, now))


@pytest.mark.parametrize(("begin", "end"), ENDS_OF_TIME)
async def test_the_ends_of_the_calendar_are_refused(
    client: httpx.AsyncClient, shop: Shop, begin: str, end: str
) -> None:
    """Bug: a time in the year 9999 or 1 crashed quotes and availability with 500.

    Shifting it into the store's zone overflowed, or on SQLite into the database's. Anybody could
    fill the log with tracebacks, without a login.
    """
    quote = {"room_id": shop.room.id, "starts_at": begin, "ends_at": end}
    asked = [
        await client.post("/api/v1/quotes", json=quote),
        await client.get(
            f"/api/v1/rooms/{shop.room.id}/availability", params={"from": begin, "to": end}
        ),
    ]
    for answer in asked:
        assert answer.status_code == 422, answer.text
        assert answer.json()["code"] == "invalid"
        assert answer.json()["field"] in {"starts_at", "from"}


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
async def test_days_at_the_ends_of_the_calendar_are_refused(
    client: httpx.AsyncClient, shop: Shop, owner: dict[str, str], day: str
) -> None:
    """Bug: ``?day=9999-12-31`` crashed a store's day with 500: there is no day after it."""
    for path in (
        f"/api/v1/stores/{shop.store.id}/availability",
        f"/api/v1/console/stores/{shop.store.id}/timeline",
    ):
        answer = await client.get(path, params={"day": day}, headers=owner)
        assert answer.status_code == 422, answer.text
        assert answer.json()["field"] == "day"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/orders/a%00b", None),
        ("GET", "/orders?cursor=%00", None),
        ("GET", "/console/orders?status=%00", None),
        ("GET", "/console/orders?store_id=%00", None),
        ("GET", "/doors/a%00b", None),
        ("GET", "/stores/%00/rooms", None),
        ("GET", "/events?store=%00", None),
        ("POST", "/doors/a%00b/unlock", {}),
        ("POST", "/orders", {"quote_id": "a\0b"}),
        ("POST", "/orders/a%00b/pay", {"provider": "cash\0ier"}),
        ("POST", "/orders/a%00b/cancel", {"why": "\0"}),
        ("POST", "/payments/cashier/a%00b/notify", {}),
    ],
)
async def test_a_nul_is_no_crash(
    client: httpx.AsyncClient,
    owner: dict[str, str],
    method: str,
    path: str,
    body: dict[str, str] | None,
) -> None:
    """Bug: a NUL in any text was a 500 on PostgreSQL (SQLite takes it), also without a login.

    The error's text went into the log with the statement's parameters in it.
    """
    answer = await client.request(method, f"/api/v1{path}", json=body, headers=owner)
    assert answer.status_code < 500, answer.text


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("roles", {"name": "夜班", "permissions": ["\ud800"]}, "role.bad_permission"),
        ("bindings/x/say", {"clip": "a", "\ud800": 1}, "invalid"),
    ],
)
async def test_half_a_character_is_no_crash(
    client: httpx.AsyncClient, owner: dict[str, str], path: str, body: dict[str, object], code: str
) -> None:
    """Bug: a refusal that repeats a lone surrogate could not be written as UTF-8, and was a 500."""
    headers = owner | {"Content-Type": "application/json"}
    answer = await client.post(f"/api/v1/console/{path}", content=json.dumps(body), headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("payment-accounts/order", {"ids": ["\ud800"]}),
        ("stores/{store}/schedules", {"bindings": ["\ud800"], "name": "招牌"}),
        ("bulk/rooms", {"ids": ["\ud800"], "act": "out"}),
    ],
)
async def test_half_a_character_that_reaches_the_database_is_no_crash(
    client: httpx.AsyncClient,
    shop: Shop,
    owner: dict[str, str],
    path: str,
    body: dict[str, object],
) -> None:
    """Bug: in a list it was not looked at before the driver had to write it as UTF-8, and was a 500."""
    if "bindings" in body:
        body = body | {"days": ["mon"], "begins": "18:00", "ends": "02:00"}
    headers = owner | {"Content-Type": "application/json", "Idempotency-Key": "key-00000001"}
    address = f"/api/v1/console/{path.format(store=shop.store.id)}"
    answer = await client.post(address, content=json.dumps(body), headers=headers)
    assert answer.status_code in (200, 422), answer.text
    if answer.status_code == 422:
        assert answer.json()["code"] in ("invalid.character", "invalid")


async def test_a_database_error_does_not_tell_its_parameters(db: Database) -> None:
    """Bug: errors carried the values of their statement into logs and ``last_error`` columns (I10)."""
    with pytest.raises(DBAPIError) as caught:
        async with db.read() as session:
            await session.execute(text("SELECT no_such_column, :value"), {"value": "13912345678"})
    assert "13912345678" not in str(caught.value)
