"""Password, second factor, recovery codes, logins: what proves a person, and what ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any

import httpx
import pyotp
import pytest
from sqlalchemy import event
from sqlmodel import select

from cloud_api import events
from cloud_api.audit.models import AuditEntry
from cloud_api.auth import agents, passwords, service
from cloud_api.auth.models import Account, Login, Password, RecoveryCode, Totp
from cloud_api.kit.actor import Customer
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from tests.cloud_api.factories import Shop, bearer, make_customer, make_login, make_staff

PHONE = "+8613800000021"
GOOD = "三个麻将 two cats"
API = "/api/v1/auth"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Argon2 as cheap as it gets: what it costs is the library's own matter."""
    from pwdlib import PasswordHash
    from pwdlib.hashers.argon2 import Argon2Hasher

    hasher = PasswordHash([Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)])
    monkeypatch.setattr(passwords, "_hasher", lambda: hasher)
    passwords._nobody.cache_clear()


@pytest.fixture
async def account(db: Database, now: datetime) -> Account:
    async with db.write() as session:
        return await make_customer(session, now, PHONE)


@pytest.fixture
async def me(db: Database, account: Account, now: datetime) -> dict[str, str]:
    async with db.write() as session:
        return bearer(await make_login(session, account.id, now))


async def post(
    client: httpx.AsyncClient, path: str, who: dict[str, str], **body: Any
) -> httpx.Response:
    answer = await client.post(f"{API}{path}", json=body, headers=who)
    client.cookies.clear()
    return answer


async def enrol(client: httpx.AsyncClient, who: dict[str, str], wire: Any) -> tuple[str, list[str]]:
    """A confirmed generator: its secret and the recovery codes."""
    secret = (await post(client, "/totp", who)).json()["secret"]
    done = await post(client, "/totp/confirm", who, code=code_of(secret, wire))
    assert done.status_code == 200, done.text
    return secret, done.json()["codes"]


def code_of(secret: str, wire: Any) -> str:
    return pyotp.TOTP(secret).at(wire.now())


async def test_a_password_is_set_used_and_changed(
    client: httpx.AsyncClient, me: dict[str, str], account: Account, db: Database, wire: Any,
    quick: None,
) -> None:  # fmt: skip
    assert (await post(client, "/password", me, password=GOOD)).json() == {"ended": 0}
    async with db.read() as session:
        stored = (await session.exec(select(Password))).one()
    assert stored.hash.startswith("$argon2id$")
    for wrong in ("wrong password", GOOD + " "):
        refused = await post(client, "/password-login", {}, phone=PHONE, password=wrong)
        assert (refused.status_code, refused.json()["code"]) == (401, "auth.bad_password")
    made = await client.post(
        f"{API}/password-login",
        json={"phone": "138 0000 0021", "password": GOOD},
        headers={"User-Agent": "Mozilla/5.0 (iPhone; CPU) MicroMessenger/8 Safari"},
    )
    client.cookies.clear()
    assert made.status_code == 200, made.text
    other = bearer(made.json()["token"])
    listed = (await client.get(f"{API}/logins", headers=other)).json()["items"]
    mine = next(one for one in listed if one["current"])
    assert (mine["kind"], mine["device"], mine["address"]) == (
        "password", "iPhone · 微信", "203.0.113.7",
    )  # fmt: skip
    # Changing it needs the old one, unless the login is fresh by SMS; every other login ends.
    refused = await post(client, "/password", other, password="another good one", old="no")
    assert refused.json()["code"] == "auth.bad_old_password"
    done = await post(client, "/password", other, password="another good one", old=GOOD)
    assert done.json() == {"ended": 1}
    assert (await client.get(f"{API}/me", headers=me)).status_code == 401
    assert (await client.get(f"{API}/me", headers=other)).status_code == 200


async def test_who_forgot_the_password_sets_it_with_a_young_login_by_sms(
    client: httpx.AsyncClient, me: dict[str, str], wire: Any, quick: None
) -> None:
    assert (await post(client, "/password", me, password=GOOD)).status_code == 200
    wire.pass_time(599)
    assert (await post(client, "/password", me, password="another one 1")).status_code == 200
    wire.pass_time(1)
    assert (await post(client, "/password", me, password="another one 2")).status_code == 403


@pytest.mark.parametrize(
    "bad", ["short", "aaaaaaaaaaaa", "12345678901", "x13800000021", "00000021zz", "abababababab"]
)
def test_weak_passwords_are_refused(bad: str) -> None:
    with pytest.raises(Exception, match="weak_password"):
        passwords.check(bad, PHONE)
    passwords.check(GOOD, PHONE)


async def test_an_unknown_number_costs_the_same_and_is_answered_the_same(
    client: httpx.AsyncClient, db: Database, account: Account, me: dict[str, str], quick: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Judged by the statements and by the hashes compared, not by a clock."""
    await post(client, "/password", me, password=GOOD)
    said: list[str] = []
    compared: list[bool] = []
    hasher = passwords._hasher()

    class Watched:
        def verify(self, password: str, stored: str) -> bool:
            compared.append(True)
            return hasher.verify(password, stored)

    passwords._nobody()
    monkeypatch.setattr(passwords, "_hasher", Watched)
    engines = {db.engine, db._read_engine}
    for engine in engines:
        event.listen(
            engine.sync_engine, "before_cursor_execute", lambda *a: said.append(a[2]), named=False
        )
    seen = []
    for phone in (PHONE, "+8613800000099"):
        said.clear()
        compared.clear()
        answer = await post(client, "/password-login", {}, phone=phone, password="wrong one")
        body = answer.json() | {"request_id": ""}
        seen.append((answer.status_code, body, len(compared), [" ".join(s.split()) for s in said]))
    assert seen[0] == seen[1]
    assert seen[0][2] == 1


async def test_attempts_with_a_password_are_few(
    client: httpx.AsyncClient, account: Account, wire: Any, quick: None
) -> None:
    for _ in range(10):
        assert (
            await post(client, "/password-login", {}, phone=PHONE, password="x")
        ).status_code == 401
    assert (await post(client, "/password-login", {}, phone=PHONE, password="x")).status_code == 429
    wire.pass_time(900)
    assert (await post(client, "/password-login", {}, phone=PHONE, password="x")).status_code == 401


async def test_a_code_of_the_generator_is_good_once(
    client: httpx.AsyncClient, me: dict[str, str], db: Database, wire: Any
) -> None:
    secret, recovery = await enrol(client, me, wire)
    assert len(set(recovery)) == 10
    async with db.read() as session:
        totp = (await session.exec(select(Totp))).one()
        codes = (await session.exec(select(RecoveryCode.code_hash))).all()
    raw = await _raw(db, "SELECT secret FROM totp")
    assert totp.secret == secret
    assert secret not in raw
    assert not set(recovery) & set(codes)
    # the very code that confirmed it is used up; so is one of the half minute before
    assert (await post(client, "/second-factor", me, code=code_of(secret, wire))).status_code == 422
    wire.pass_time(30)
    code = code_of(secret, wire)
    assert (await post(client, "/second-factor", me, code=code)).status_code == 200
    again = await post(client, "/second-factor", me, code=code)
    assert (again.status_code, again.json()["code"]) == (422, "second_factor.bad_code")
    wire.pass_time(90)
    old = pyotp.TOTP(secret).at(wire.now() - timedelta(seconds=60))
    assert (await post(client, "/second-factor", me, code=old)).status_code == 422
    late = pyotp.TOTP(secret).at(wire.now() - timedelta(seconds=30))
    assert (await post(client, "/second-factor", me, code=late)).status_code == 200


async def test_side_by_side_a_code_is_still_good_once(
    client: httpx.AsyncClient, me: dict[str, str], wire: Any
) -> None:
    secret, recovery = await enrol(client, me, wire)
    wire.pass_time(60)
    for code in (code_of(secret, wire), recovery[0]):
        answers = await asyncio.gather(
            *(post(client, "/second-factor", me, code=code) for _ in range(4))
        )
        assert sorted(one.status_code for one in answers) == [200, 422, 422, 422]


async def test_recovery_codes_are_good_once_and_end_with_new_ones(
    client: httpx.AsyncClient, me: dict[str, str], wire: Any
) -> None:
    _, old = await enrol(client, me, wire)
    used = await post(client, "/second-factor", me, code=old[0].upper().replace("-", " "))
    assert used.json()["recovery_left"] == 9
    assert (await post(client, "/second-factor", me, code=old[0])).status_code == 422
    new = (await post(client, "/recovery-codes", me)).json()["codes"]
    assert (await post(client, "/second-factor", me, code=old[1])).status_code == 422
    assert (await post(client, "/second-factor", me, code=new[0])).status_code == 200


async def test_guesses_at_the_second_factor_are_few(
    client: httpx.AsyncClient, me: dict[str, str], wire: Any
) -> None:
    secret, _ = await enrol(client, me, wire)  # counts as one
    wire.pass_time(60)
    wrong = f"{(int(code_of(secret, wire)) + 1) % 1_000_000:06d}"
    statuses = [
        (await post(client, "/second-factor", me, code=wrong)).status_code for _ in range(10)
    ]
    assert statuses == [422] * 9 + [429]
    right = code_of(secret, wire)
    assert (await post(client, "/second-factor", me, code=right)).status_code == 429


async def test_taking_the_second_factor_away_needs_it_fresh(
    client: httpx.AsyncClient, me: dict[str, str], db: Database, account: Account, wire: Any,
    now: datetime,
) -> None:  # fmt: skip
    secret, _ = await enrol(client, me, wire)
    again = await post(client, "/totp", me)
    assert again.json()["code"] == "second_factor.exists"
    async with db.write() as session:
        stolen = bearer(await make_login(session, account.id, now))  # has not proved it
    for path in ("/totp/disable", "/recovery-codes", "/totp"):
        refused = await post(client, path, stolen)
        assert (refused.status_code, refused.json()["code"]) == (
            403, "second_factor.fresh_needed",
        )  # fmt: skip
    assert (await post(client, "/password", stolen, password=GOOD)).status_code == 403
    wire.pass_time(600)
    assert (await post(client, "/totp/disable", me)).status_code == 403
    await post(client, "/second-factor", me, code=code_of(secret, wire))
    assert (await post(client, "/totp/disable", me)).status_code == 204
    found = (await client.get(f"{API}/security", headers=me)).json()
    assert (found["second_factor"], found["recovery_left"]) == (False, 0)


async def test_an_old_login_cannot_set_up_a_second_factor(
    client: httpx.AsyncClient, me: dict[str, str], wire: Any
) -> None:
    """Bug that must not be: a phone left on a table locks its owner out."""
    wire.pass_time(600)
    refused = await post(client, "/totp", me)
    assert refused.json()["code"] == "auth.login_again"


async def test_logins_are_listed_and_ended(
    client: httpx.AsyncClient, me: dict[str, str], db: Database, account: Account, wire: Any,
    now: datetime,
) -> None:  # fmt: skip
    async with db.write() as session:
        tokens = [bearer(await make_login(session, account.id, now)) for _ in range(3)]
        stranger = await make_customer(session, now)
        foreign = await make_login(session, stranger.id, now)
        theirs = await service.find_login(session, foreign, now)
    assert theirs is not None
    listed = (await client.get(f"{API}/logins", headers=me)).json()["items"]
    assert len(listed) == 4
    assert theirs[0].id not in {one["id"] for one in listed}
    refused = await post(client, f"/logins/{theirs[0].id}/revoke", me)
    assert refused.status_code == 404
    other = next(one["id"] for one in listed if not one["current"])
    assert (await post(client, f"/logins/{other}/revoke", me)).status_code == 204
    assert (await post(client, f"/logins/{other}/revoke", me)).status_code == 404
    assert (await post(client, "/logins/revoke-others", me)).json() == {"ended": 2}
    for token in tokens:
        assert (await client.get(f"{API}/me", headers=token)).status_code == 401
    assert (await client.get(f"{API}/me", headers=me)).status_code == 200
    assert (await client.get(f"{API}/me", headers=bearer(foreign))).status_code == 200


async def test_last_seen_is_kept_to_ten_minutes(
    client: httpx.AsyncClient, me: dict[str, str], db: Database, wire: Any, now: datetime
) -> None:
    wire.pass_time(599)
    await client.get(f"{API}/me", headers=me)
    wire.pass_time(1)
    await client.get(f"{API}/me", headers=me)
    async with db.read() as session:
        assert (await session.exec(select(Login.last_seen_at))).one() == now + timedelta(minutes=10)


async def test_an_ended_login_hears_nothing_more(
    cloud: Cloud, db: Database, account: Account, now: datetime
) -> None:
    """Bug: live events went on for up to five minutes after a login had been ended."""
    async with db.write() as session:
        token = await make_login(session, account.id, now)
        found = await service.find_login(session, token, now)
    assert found is not None
    who = Customer(account_id=account.id, login_id=found[0].id)
    lines = events._lines(cloud, who, None, lambda _: True)
    assert (await anext(lines)).startswith("retry")
    rest = asyncio.create_task(_all(lines))
    async with db.write() as session:
        await service.revoke(session, found[0].id, now)
    assert await asyncio.wait_for(rest, 10) == []
    # and it begins no new one, even if the request slipped in before
    assert await _all(events._lines(cloud, who, None, lambda _: True)) == []


async def test_another_login_s_end_is_nothing_to_others(
    cloud: Cloud, db: Database, account: Account, now: datetime
) -> None:
    """Negative control of the test above."""
    async with db.write() as session:
        ids = []
        for _ in range(2):
            found = await service.find_login(
                session, await make_login(session, account.id, now), now
            )
            assert found is not None
            ids.append(found[0].id)
    lines = events._lines(cloud, Customer(account_id=account.id, login_id=ids[0]), None, bool)
    await anext(lines)
    rest = asyncio.create_task(_all(lines))
    async with db.write() as session:
        await service.revoke(session, ids[1], now)
    await asyncio.sleep(0.05)
    assert not rest.done()
    rest.cancel()
    await asyncio.gather(rest, return_exceptions=True)


async def test_what_staff_do_to_their_account_is_written_down(
    client: httpx.AsyncClient, db: Database, shop: Shop, now: datetime, wire: Any, quick: None
) -> None:
    async with db.write() as session:
        member = await make_staff(session, shop, now)
        owner = bearer(await make_login(session, member.account_id, now))
    await post(client, "/password", owner, password=GOOD)
    await enrol(client, owner, wire)
    async with db.read() as session:
        written = (await session.exec(select(AuditEntry).order_by(AuditEntry.seq))).all()  # type: ignore[arg-type]
    assert [(one.action, one.by) for one in written] == [
        ("password.set", f"staff:{member.id}"),
        ("second_factor.set", f"staff:{member.id}"),
    ]


def test_browsers_in_words() -> None:
    chrome = "Mozilla/5.0 (Windows NT 10.0; Win64) AppleWebKit Chrome/130 Safari/537"
    assert agents.words(chrome) == "Windows 电脑 · Chrome"
    assert agents.words("curl/8") == "程序"


async def _all(lines: AsyncIterator[str]) -> list[str]:
    return [line async for line in lines]


async def _raw(db: Database, query: str) -> str:
    async with db.engine.connect() as connection:
        return str((await connection.exec_driver_sql(query)).all())
