"""The role matrix holds: every route × every role, strangers and other merchants included (I7)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from cloud_api.auth.models import Account, Totp
from cloud_api.auth.service import make_login
from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import Database
from cloud_api.staff import deps, matrix
from cloud_api.staff.matrix_rows import Row
from cloud_api.staff.models import Impersonation, Invitation, PlatformAdmin, Role
from cloud_api.staff.permissions import ALL, DEVICE_READ, ORDER_READ, ROLES
from tests.cloud_api.factories import (
    Shop,
    bearer,
    make_customer,
    make_order,
    make_staff,
    make_store,
)
from tests.cloud_api.factories import make_login as make_token
from tests.cloud_api.published import document

STREAMS = frozenset({"GET /api/v1/events", "GET /api/v1/console/events"})  # they never end
OWN = frozenset({ORDER_READ, DEVICE_READ})  # what the merchant's own role may
UNDOES = frozenset({"POST /api/v1/auth/totp/disable"})  # an administrator would be none afterwards
NOBODY = frozenset({"who left", "of a suspended merchant", "an administrator"})
PLAIN = frozenset(ROLES) - {"owner", "cleaner"}
# Not ready, or no gateway to send by: an honest 503.
MAY_FAIL = frozenset({"GET /readyz", "POST /api/v1/auth/code"})
# Backups are of the whole installation: with several merchants on it they are the platform's.
DECIDED_ELSEWHERE = frozenset({"backup.platform"})
NAMES = re.compile(
    r"\{(event|form|shape)\}$"
)  # names a kind of thing that every merchant has, nobody's own
# What cannot be made up from the schema. The rest of a route's body is.
SCHEDULE = {
    "name": "招牌",
    "bindings": ["x"],
    "days": ["mon"],
    "begins": "18:00",
    "ends": "02:00",
}
BODIES: dict[str, dict[str, Any]] = {
    "PUT /api/v1/console/stores/{store_id}/air": {"own": True},
    "PUT /api/v1/console/rooms/{room_id}/air": {"own": True},
    "POST /api/v1/console/orders/{order_id}/refunds/{number}/by-hand": {
        "proof": "转账单号 1234",
        "why": "测试一下",
    },
    "POST /api/v1/console/coupons/{coupon_id}/issue": {"segment": "everybody"},
    "POST /api/v1/console/orders/{order_id}/deposit/claims": {
        "amount_fen": 100,
        "why": "桌布烫了个洞",
    },
    "PUT /api/v1/console/campaigns/{campaign_id}": {
        "name": "双人下午场",
        "price_fen": 5800,
        "list_fen": 8800,
        "minutes": 120,
        "starts_at": "2026-11-23T00:00:00+08:00",
        "ends_at": "2026-12-23T00:00:00+08:00",
        "store_ids": ["x"],
    },
    "POST /api/v1/console/stores/{store_id}/schedules": SCHEDULE,
    "PUT /api/v1/console/stores/{store_id}/schedules/{schedule_id}": SCHEDULE,
}


@pytest.fixture
def db_url(sqlite_url: str) -> str:
    """Who may what does not depend on the engine."""
    return sqlite_url


@pytest.fixture
def with_pages() -> bool:
    return True


def routes_of(app: FastAPI) -> list[str]:
    """``METHOD /path`` of everything the app answers, pages included, static files apart."""

    def walk(routes: Any) -> Iterator[tuple[str, Any]]:
        for one in routes:
            if hasattr(one, "effective_route_contexts"):
                for inner in one.effective_route_contexts():
                    plain = inner.starlette_route or inner
                    yield plain.path, plain.methods
            elif not one.path.startswith("/static"):
                yield one.path, one.methods

    return [
        f"{method} {path}"
        for path, methods in walk(app.routes)
        for method in sorted(methods - {"HEAD"})
    ]


@dataclass
class Who:
    """Somebody who asks. ``permissions`` None: no member of staff."""

    name: str
    headers: dict[str, str] = field(default_factory=dict)
    logged_in: bool = True
    permissions: frozenset[str] | None = None
    platform: bool = False
    read_only: bool = False

    def expected(self, route: str, row: Row) -> int:
        """The refusal this person gets; 0 for none."""
        if row.who in ("anyone", "proves"):
            return 0
        if not self.logged_in:
            return 401
        if row.who == "person":
            return 401 if self.read_only else 0  # who is lent a console is nobody elsewhere
        if row.who == "platform":
            return 401 if self.read_only else (0 if self.platform else 403)
        if self.permissions is None or not row.needs <= self.permissions:
            return 403
        return 403 if self.read_only and not route.startswith("GET ") else 0


@dataclass
class Town:
    """A merchant with somebody in every role, and everybody who has no business there."""

    shop: Shop
    people: list[Who]
    elsewhere: list[Who]
    ids: dict[str, str]

    def address(self, path: str, *, real: bool) -> str:
        """The path with its parameters: the shop's own things, or some that nobody has."""

        def fill(match: re.Match[str]) -> str:
            return self.ids.get(match[1], "none") if real else "none"

        return re.sub(r"\{(\w+)\}", fill, path)


@pytest.fixture
async def town(db: Database, shop: Shop, clocks: Clocks, now: datetime) -> Town:
    async with db.write() as session:
        other = await make_store(session, now, name="别家")
        closed = await make_store(session, now, name="停了的")
        closed.merchant.suspended_at = now
        second = await make_store(session, now, merchant=shop.merchant, name="分店")
        own = Role(
            merchant_id=shop.merchant.id, key="own", name="夜班", permissions=sorted(OWN),
            created_at=now, updated_at=now,
        )  # fmt: skip
        session.add_all([own, closed.merchant])

        async def member(of: Shop, name: str, role: str, **more: Any) -> Who:
            made = await make_staff(session, of, now, role=role, store_ids=more.get("stores"))
            made.active = more.get("active", True)
            rights = more.get("rights", ROLES.get(role))
            return Who(name, bearer(await make_token(session, made.account_id, now)), True, rights)

        people = [Who("a stranger", logged_in=False)]
        guest = await make_customer(session, now)
        people.append(Who("a customer", bearer(await make_token(session, guest.id, now))))
        people += [await member(shop, role, role) for role in ROLES]
        people.append(await member(shop, "an own role", "own", rights=OWN))
        people.append(await member(shop, "who left", "owner", active=False, rights=None))
        people.append(await member(closed, "of a suspended merchant", "owner", rights=None))
        people[-2].permissions = people[-1].permissions = None
        people += await _platform(session, shop, now)
        elsewhere = [
            await member(other, "another merchant's owner", "owner"),
            await member(shop, "another branch's owner", "owner", stores=[second.store.id]),
        ]
        order = await make_order(session, shop, guest, now, now=now)
        command = DeviceCommand(
            merchant_id=shop.merchant.id, store_id=shop.store.id, target=shop.door.id,
            action="unlock", by="x", created_at=now, expires_at=now,
        )  # fmt: skip
        invited = Invitation(
            merchant_id=shop.merchant.id, token_hash="x", phone="+8613700000009", phone_index="x",
            phone_tail="0009", name="小王", role="cleaner", invited_by="x", created_at=now,
            expires_at=now + timedelta(days=7),
        )  # fmt: skip
        cleaner = await make_staff(session, shop, now, role="cleaner")
        login = await make_login(
            session, await session.get_one(Account, cleaner.account_id), kind="sms", ip="",
            device="", now=now,
        )  # fmt: skip
        session.add_all([command, invited])
        ids = {
            "store_id": shop.store.id,
            "room_id": shop.room.id,
            "door_id": shop.door.id,
            "token": shop.door.token,
            "binding_id": shop.bindings["竹间.table"].id,
            "order_id": order.id,
            "command_id": command.id,
            "staff_id": cleaner.id,
            "invitation_id": invited.id,
            "login_id": login.login.id,
            "key": own.key,
            "merchant_id": shop.merchant.id,
            "turn": "end",  # a campaign's
        }
    return Town(shop, people, elsewhere, ids)


async def _platform(session: Any, shop: Shop, now: datetime) -> list[Who]:
    """An administrator of the installation, who also lends the owner's console to look at."""
    account = await make_customer(session, now)
    account.second_factor_at = now
    owner = await make_staff(session, shop, now, role="owner")
    session.add_all([account, Totp(account_id=account.id, secret="x", created_at=now)])
    admin = PlatformAdmin(account_id=account.id, name="平台", created_at=now)
    session.add(admin)
    more: dict[str, Any] = {"ip": "", "device": "", "now": now, "strong": True}
    login = await make_login(session, account, kind="password", **more)
    lent = await make_login(
        session, await session.get_one(Account, owner.account_id), kind="platform", **more
    )
    session.add(
        Impersonation(
            merchant_id=shop.merchant.id, staff_id=owner.id, admin_id=admin.id, why="看看",
            login_id=lent.login.id, read_only=True, started_at=now,
            expires_at=now + timedelta(hours=1),
        )
    )  # fmt: skip
    return [
        Who("an administrator", bearer(login.token), platform=True),
        Who("who is lent a console", bearer(lent.token), permissions=ALL, read_only=True),
    ]


async def ask(
    client: httpx.AsyncClient, route: str, address: str, who: Who, body: Any = None
) -> httpx.Response:
    method, _ = route.split(" ", 1)
    sends = None if method in ("GET", "DELETE") else (body or {})
    client.cookies.clear()  # pages give browsers one, with which a form needs its token
    return await client.request(method, address, json=sends, headers=who.headers)


def test_every_route_is_in_a_row(app: FastAPI) -> None:
    """Whoever adds a route says who may use it; whoever takes one away takes its row along."""
    routes = routes_of(app)
    assert len(routes) > 80
    missing = [one for one in routes if one not in matrix.MATRIX]
    assert not missing, "\n".join(matrix.missing(*one.split(" ", 1)) for one in missing)
    stale = sorted(set(matrix.MATRIX) - set(routes))
    assert not stale, f"rows of cloud_api/staff/matrix.py without a route: {stale}"


def test_rows_name_known_permissions() -> None:
    for route, row in matrix.MATRIX.items():
        assert row.needs <= ALL, route
        assert row.who == "staff" or not (row.needs or row.fresh), route


async def walk(app: FastAPI, client: httpx.AsyncClient, town: Town, only: str = "") -> list[str]:
    """What is not as the matrix says, asking for everything as everybody."""
    wrong = []
    for number, route in enumerate(routes_of(app)):
        row = matrix.MATRIX.get(route)
        if row is None or not route.split(" ")[1].startswith(only):
            continue
        address = town.address(route.split(" ")[1], real=False)
        for who in town.people:
            # What is for everybody, a stranger asks for; roles play a part at the console alone.
            if row.who in ("anyone", "proves") and who.logged_in:
                continue
            if row.who in ("person", "platform") and who.name in PLAIN:
                continue
            # Before any route is looked at they are nobody: a sample of routes is enough.
            if row.who == "staff" and who.name in NOBODY and number % 4:
                continue
            expected = who.expected(route, row)
            if not expected and (route in STREAMS or (who.platform and route in UNDOES)):
                continue
            answer = await ask(client, route, address, who)
            status = answer.status_code
            good = status == expected if expected else status not in (401, 403)
            if status == 403 and answer.json()["code"] in DECIDED_ELSEWHERE:
                good = True
            if row.who == "proves":
                good = True
            if status >= 500 and route not in MAY_FAIL:
                good = False
            if not good:
                wrong.append(f"{route} as {who.name}: {status}, not {expected} {answer.text[:200]}")
    return wrong


async def test_every_route_as_everybody(
    app: FastAPI, client: httpx.AsyncClient, town: Town
) -> None:
    """Refused exactly where the matrix refuses: 401 to strangers, 403 to whoever may not."""
    wrong = await walk(app, client, town)
    assert not wrong, "\n".join(wrong)


async def test_the_walk_finds_what_is_not_enforced(
    app: FastAPI, client: httpx.AsyncClient, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: without enforcement, and with a row that allows too little, it complains."""
    monkeypatch.setattr(deps, "enforce", lambda request, who: None)
    assert await walk(app, client, town, "/api/v1/console/bindings")
    monkeypatch.undo()
    assert not await walk(app, client, town, "/api/v1/console/bindings")
    route = "GET /api/v1/console/staff"
    narrow = replace(matrix.MATRIX[route], needs=frozenset())
    monkeypatch.setitem(matrix.MATRIX, route, narrow)  # the service knows better
    assert any(route in line for line in await walk(app, client, town, "/api/v1/console/staff"))


async def test_a_route_without_a_row_is_closed(
    client: httpx.AsyncClient, town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(matrix.MATRIX, "GET /api/v1/console/staff")
    answer = await client.get("/api/v1/console/staff", headers=town.people[2].headers)
    assert answer.status_code == 500
    assert answer.json()["code"] == "matrix.no_row"


async def test_elsewhere_it_looks_as_if_it_did_not_exist(
    app: FastAPI, client: httpx.AsyncClient, town: Town
) -> None:
    """Another merchant's owner and another branch's, with every permission: 404 for what is ours."""
    asked, wrong = 0, []
    operations = document()
    for route in routes_of(app):
        method, path = route.split(" ", 1)
        row = matrix.MATRIX.get(route)
        if row is None or row.who != "staff" or "{" not in path or NAMES.search(path):
            continue
        published = operations["paths"].get(path, {}).get(method.lower(), {})
        body = BODIES.get(route) or body_of(operations, published)
        needed = "&".join(
            f"{p['name']}=2026-11-23"
            for p in published.get("parameters", [])
            if p["in"] == "query" and p.get("required")
        )
        address = town.address(path, real=True) + (f"?{needed}" if needed else "")
        for who in town.elsewhere:
            # A merchant's people and roles are one for all its branches.
            if "branch" in who.name and re.search(r"/(staff|roles|logins)/", path):
                continue
            answer = await ask(client, route, address, who, body)
            asked += 1
            if answer.status_code != 404:
                wrong.append(f"{route} as {who.name}: {answer.status_code} {answer.text[:200]}")
    assert asked > 30
    assert not wrong, "\n".join(wrong)


def body_of(document: dict[str, Any], operation: dict[str, Any]) -> Any:
    """A body that would be accepted, made from the published schema, so that only the right is asked."""
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    return None if schema is None else _value(document, schema)


def _value(document: dict[str, Any], schema: dict[str, Any]) -> Any:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[1]
        return _value(document, document["components"]["schemas"][name])
    for key in ("anyOf", "oneOf", "allOf"):
        if key in schema:
            return _value(document, schema[key][0])
    if schema.get("default"):
        return schema["default"]
    if "const" in schema or "enum" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    kind = schema.get("type")
    if kind == "object":
        properties = schema.get("properties", {})
        wanted = schema.get("required") or list(properties)[:1]
        return {name: _value(document, properties[name]) for name in wanted}
    if kind == "array":
        return [_value(document, schema["items"])] if schema.get("minItems") else []
    if kind in ("integer", "number"):
        return schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1)
    if kind == "boolean":
        return True
    if "format" in schema:
        return "2026-11-23T12:00:00+08:00" if schema["format"] == "date-time" else "2026-11-23"
    return "13700000008"[: schema.get("maxLength", 11)].ljust(schema.get("minLength", 1), "0")
