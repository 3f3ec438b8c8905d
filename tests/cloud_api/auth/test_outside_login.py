"""Logging in by WeChat and Alipay, against simulators that check: linked once, then a tap; and who tries to cheat."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI
from sqlmodel import select

from cloud_api.auth import identities, reindex, service
from cloud_api.auth.models import Identity
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import Vault, use_vault
from cloud_api.settings import Settings
from store_link.clock import ManualClock
from tests.cloud_api.factories import make_customer
from tests.support.providers import Counter, running_alipay, running_wechatpay

WECHAT = "Mozilla/5.0 (Linux; Android 14) Mobile Safari/537.36 MicroMessenger/8.0.49"
ALIPAY = "Mozilla/5.0 (iPhone) Mobile NebulaSDK/1.8 AlipayClient/10.6.0"
PHONE, OTHER = "+8613800000041", "+8613800000042"


@pytest.fixture(scope="module")
def wechat() -> Iterator[Counter]:
    with running_wechatpay() as running:
        yield running


@pytest.fixture(scope="module")
def alipay() -> Iterator[Counter]:
    with running_alipay() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, wechat: Counter, alipay: Counter) -> Settings:
    settings.wechat_login_app = wechat.account["appid"]
    settings.wechat_login_secret = wechat.account["app_secret"]
    settings.alipay_login_app = alipay.account["app_id"]
    settings.alipay_login_key = alipay.account["private_key"]
    settings.alipay_login_public_key = alipay.account["alipay_public_key"]
    settings.login_endpoints = (
        f"wechat_open={wechat.url},wechat_api={wechat.url},alipay_open={alipay.url},"
        f"alipay_gateway={alipay.account['base_url']}"
    )
    return settings


@pytest.fixture
def with_pages() -> bool:
    return True


class Phone:
    """A browser inside an app; ``person`` is who uses that app on this phone."""

    def __init__(self, app: FastAPI, agent: str, person: str) -> None:
        transport = httpx.ASGITransport(app=app, client=("203.0.113.9", 40000))
        self.http = httpx.AsyncClient(
            transport=transport,
            base_url="http://kaimen.test",
            headers={"user-agent": agent, "accept": "text/html"},
        )
        self.person = person

    async def goes(self, path: str) -> tuple[int, str]:
        answer = await self.http.get(path)
        return answer.status_code, answer.headers.get("location", answer.text)

    async def authorized(self, next_: str = "/orders", provider: str = "wechat") -> str:
        """Tap the button, be known there, and hold the address that it leads back to."""
        status, there = await self.goes(f"/oauth/{provider}/start?next={next_}")
        assert status == 303, there
        async with httpx.AsyncClient(trust_env=False) as open_net:
            answer = await open_net.get(
                there, headers={"cookie": f"{provider}_person={self.person}"}
            )
        assert answer.status_code == 302, answer.text
        led = urlsplit(answer.headers["location"])
        assert led.path == f"/oauth/{provider}/login"
        return f"{led.path}?{led.query}"

    async def post(self, path: str, body: dict[str, str]) -> httpx.Response:
        page = await self.http.get("/scan")
        found = re.search(r'name="csrf-token" content="([^"]*)"', page.text)
        assert found is not None
        return await self.http.post(path, json=body, headers={"X-CSRF-Token": found[1]})

    async def who(self) -> str | None:
        answer = await self.http.get("/api/v1/auth/me")
        return answer.json()["account"]["id"] if answer.status_code == 200 else None


@pytest.fixture
async def phones(app: FastAPI) -> AsyncIterator[dict[str, Phone]]:
    made = {
        "wechat": Phone(app, WECHAT, "wang"),
        "alipay": Phone(app, ALIPAY, "wang"),
        "thief": Phone(app, WECHAT, "thief"),
    }
    yield made
    for one in made.values():
        await one.http.aclose()


async def _digits(cloud: Cloud, phone: str) -> str:
    async with cloud.db.write() as session:
        return (await service.new_code(session, phone, "", cloud.clocks))[1]


async def _bind(cloud: Cloud, phone: Phone, number: str) -> httpx.Response:
    body = {"phone": number, "code": await _digits(cloud, number)}
    return await phone.post("/api/v1/auth/bind", body)


@pytest.mark.parametrize("app_name", ["wechat", "alipay"])
async def test_the_first_time_asks_for_the_number_and_then_a_tap_is_enough(
    cloud: Cloud, phones: dict[str, Phone], app_name: str
):
    phone = phones[app_name]
    word = {"wechat": "微信登录", "alipay": "支付宝登录"}[app_name]
    assert word in (await phone.goes("/login"))[1]
    status, there = await phone.goes(await phone.authorized(provider=app_name))
    assert (status, there) == (303, "/login/bind?next=%2Forders")
    shown = (await phone.goes(there))[1]
    assert "验证一次手机号" in shown
    assert await phone.who() is None  # to be known there is not to be logged in here
    answer = await _bind(cloud, phone, PHONE)
    assert (answer.status_code, answer.json()["linked"]) == (200, "yes")
    mine = str(await phone.who())
    assert mine == answer.json()["account"]["id"]
    assert "解开" in (await phone.goes("/me/logins"))[1]
    async with cloud.db.read() as session:
        (kept,) = (await session.exec(select(Identity))).all()
    assert kept.subject not in kept.subject_index
    phone.http.cookies.delete("kaimen_login")
    status, there = await phone.goes(await phone.authorized(provider=app_name))
    assert (status, there) == (303, "/orders")
    assert await phone.who() == mine
    async with cloud.db.read() as session:
        kinds = [one.kind for one in await service.logins_of(session, mine, cloud.clocks.real)]
    assert sorted(kinds) == sorted(["sms", app_name])


async def test_an_answer_is_worth_something_once_and_in_one_browser(
    cloud: Cloud, phones: dict[str, Phone]
):
    mine, thief = phones["wechat"], phones["thief"]
    bare = "/oauth/wechat/login?code=made-up&state="
    for state in ("", "a" * 32, "../x"):
        assert (await mine.goes(bare + state))[0] == 400
    led = await mine.authorized()
    assert (await thief.goes(led))[0] == 400  # another browser's
    jar = dict(mine.http.cookies)
    assert (await mine.goes(led))[0] == 303
    assert (await mine.goes(led))[0] == 400  # again: the ticket is gone …
    for name, value in jar.items():
        mine.http.cookies.set(name, value)
    status, there = await mine.goes(led)  # … and with a ticket put back, the code is used up
    assert (status, there) == (303, "/login?next=%2Forders&tried=wechat")
    assert "没有说你是谁" in (await mine.goes(there))[1]
    # A ticket for one provider is none for the other, one to log in none to link.
    led = await mine.authorized()
    assert (await mine.goes(led.replace("/wechat/", "/alipay/")))[0] in (400, 404)
    led = await mine.authorized()
    assert (await _bind(cloud, mine, PHONE)).status_code == 200
    assert (await mine.goes(led))[0] == 400
    # The way on is a path of this site.
    _, there = await phones["alipay"].goes(
        await phones["alipay"].authorized("https://evil.test/", "alipay")
    )
    assert there == "/login/bind?next=%2F"


async def test_what_was_kept_for_the_number_is_of_one_browser_and_for_a_while(
    cloud: Cloud, phones: dict[str, Phone], wire: ManualClock
):
    mine, thief = phones["wechat"], phones["thief"]
    await mine.goes(await mine.authorized())
    await thief.goes("/login")
    thief.http.cookies.set(identities.COOKIE, mine.http.cookies[identities.COOKIE])
    stolen = await _bind(cloud, thief, OTHER)
    assert (stolen.status_code, stolen.json()["code"]) == (409, "identity.gone")
    wrong = await mine.post("/api/v1/auth/bind", {"phone": PHONE, "code": "000000"})
    assert wrong.json()["code"] == "auth.bad_code"
    wire.pass_time(identities.LIFE.total_seconds() + 1)
    late = await _bind(cloud, mine, PHONE)
    assert (late.status_code, late.json()["code"]) == (409, "identity.gone")
    async with cloud.db.read() as session:
        assert not (await session.exec(select(Identity))).all()


async def test_an_identity_is_one_accounts_and_an_account_has_one_at_each_app(
    cloud: Cloud, phones: dict[str, Phone], wechat: Counter
):
    mine, thief = phones["wechat"], phones["thief"]
    await mine.goes(await mine.authorized())
    await _bind(cloud, mine, PHONE)
    # Another's WeChat and my number (it may have changed hands): logged in, nothing replaced.
    await thief.goes(await thief.authorized())
    assert (await _bind(cloud, thief, PHONE)).json()["linked"] == "other"
    assert "已经连着另一个微信" in (await thief.goes("/me/logins?linked=other"))[1]
    # My WeChat cannot be linked to another's account, not even by me, while it is mine.
    thief.http.cookies.clear()
    thief.person = "wang"
    async with cloud.db.write() as session:
        other = await make_customer(session, cloud.clocks.now, OTHER)
        made = await service.make_login(
            session, other, kind="sms", ip="", device="", now=cloud.clocks.real
        )
    thief.http.cookies.set("kaimen_login", made.token)
    assert await thief.goes(await thief.authorized()) == (303, "/me/logins?linked=taken")
    thief.person = "somebody-else"
    assert await thief.goes(await thief.authorized()) == (303, "/me/logins?linked=yes")
    async with cloud.db.read() as session:
        rows = await identities.of(session, other.id)
        [ours] = await identities.of(session, str(await mine.who()))
    # Nobody unlinks what is not theirs; unlinking ends what was logged in by it.
    path = "/api/v1/auth/identities/{}/unlink"
    assert (await mine.post(path.format(rows[0].id), {})).status_code == 404
    third = Phone(mine.http._transport.app, WECHAT, "wang")  # type: ignore[attr-defined]
    await third.goes(await third.authorized())
    assert await third.who() is not None
    assert (await mine.post(path.format(ours.id), {})).status_code == 204
    assert await third.who() is None
    assert await mine.who() is not None
    assert (await third.goes(await third.authorized()))[1].startswith("/login/bind")
    await third.http.aclose()


async def test_who_left_is_forgotten_and_a_new_secret_still_finds_who_stays(
    cloud: Cloud, phones: dict[str, Phone]
):
    mine = phones["wechat"]
    await mine.goes(await mine.authorized())
    await _bind(cloud, mine, PHONE)
    use_vault(Vault([b"\x22" * 32, b"\x11" * 32], index_secret=b"\x33" * 32))
    async with cloud.db.write() as session:
        assert await reindex.reindex(session, cloud.clocks) == 1
    mine.http.cookies.clear()
    assert (await mine.goes(await mine.authorized()))[1] == "/orders"
    gone = await mine.post("/api/v1/me/delete", {"confirm": PHONE[-4:]})
    assert gone.status_code == 204, gone.text
    mine.http.cookies.clear()
    assert (await mine.goes(await mine.authorized()))[1].startswith("/login/bind")
    async with cloud.db.read() as session:
        assert not (await session.exec(select(Identity))).all()


async def test_without_an_app_or_outside_of_it_there_is_no_such_way(
    cloud: Cloud, settings: Settings, phones: dict[str, Phone]
):
    mine = phones["wechat"]
    settings.wechat_login_secret = None
    assert "微信登录" not in (await mine.goes("/login"))[1]
    assert (await mine.goes("/oauth/wechat/start"))[0] == 404
    assert (await mine.goes("/oauth/elsewhere/start"))[0] == 404
    mine.http.headers["user-agent"] = "Mozilla/5.0 (X11; Linux x86_64) Chrome/130"
    shown = (await mine.goes("/login"))[1]
    assert "支付宝登录" not in shown
    assert "用手机号登录" in shown
    del cloud
