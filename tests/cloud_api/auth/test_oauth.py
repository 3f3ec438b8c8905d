"""Who somebody is to an app: authorize pages and codes, against simulators of WeChat and Alipay."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from structlog.testing import capture_logs

from cloud_api.auth import alipay_oauth, oauth_tickets, wechat_oauth
from cloud_api.kit.errors import KaimenError
from cloud_api.payments.providers.alipay.account import AlipayAccount
from cloud_api.payments.providers.wechatpay.account import WechatPayAccount
from simulators.alipay.oauth import user_id
from store_link.clock import ManualClock
from tests.support.providers import Counter, running_alipay, running_wechatpay

BACK = "https://kaimen.test/oauth/wechat/pay"
STATE = "0123456789abcdef"


@pytest.fixture(scope="module")
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC).replace(microsecond=0))


@pytest.fixture(scope="module")
def wechat(clock: ManualClock) -> Iterator[Counter]:
    with running_wechatpay(business=clock, wire=clock) as running:
        yield running


@pytest.fixture(scope="module")
def alipay(clock: ManualClock) -> Iterator[Counter]:
    with running_alipay(business=clock, wire=clock) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(trust_env=False) as client:
        yield client


def _app(wechat: Counter) -> wechat_oauth.WechatApp:
    found = WechatPayAccount.model_validate(wechat.account).page_app
    assert found is not None
    return found


async def _led_back(http: httpx.AsyncClient, url: str, **cookies: str) -> dict[str, str]:
    """What the address carries that the authorize page leads back to."""
    said = "; ".join(f"{name}={value}" for name, value in cookies.items())
    answer = await http.get(url, headers={"cookie": said} if said else {})
    assert answer.status_code == 302, answer.text
    there = answer.headers["location"]
    assert there.startswith(BACK + "?")
    return {name: found[0] for name, found in parse_qs(urlsplit(there).query).items()}


async def _refused(made: object) -> KaimenError:
    with pytest.raises(KaimenError) as caught:
        await made  # type: ignore[misc]
    return caught.value


async def test_a_page_in_wechat_learns_who_pays_and_a_code_is_good_once_for_five_minutes(
    http: httpx.AsyncClient, wechat: Counter, clock: ManualClock
) -> None:
    app = _app(wechat)
    url = wechat_oauth.authorize_url(app, BACK, STATE)
    assert url.endswith(f"&state={STATE}#wechat_redirect")
    first = await _led_back(http, url)
    assert first["state"] == STATE
    mine = await wechat_oauth.by_page_code(http, app, first["code"])
    assert mine.appid == app.appid
    assert (mine.openid[0], len(mine.openid)) == ("o", 28)
    # 40163 used, 40029 none, 42003 too old: whoever comes has to come again.
    assert (await _refused(wechat_oauth.by_page_code(http, app, first["code"]))).code == (
        "wechat.bad_code"
    )
    assert (await _refused(wechat_oauth.by_page_code(http, app, "made-up"))).code == (
        "wechat.bad_code"
    )
    old = await _led_back(http, url)
    clock.pass_time(301)
    late = await _refused(wechat_oauth.by_page_code(http, app, old["code"]))
    assert (late.code, late.status) == ("wechat.bad_code", 422)
    again = await _led_back(http, url)
    assert await wechat_oauth.by_page_code(http, app, again["code"]) == mine
    other = await _led_back(http, url, wechat_person="friend")
    assert await wechat_oauth.by_page_code(http, app, other["code"]) != mine
    assert mine.openid not in repr(mine)
    assert app.secret not in repr(app)
    with capture_logs() as said:
        await _refused(wechat_oauth.by_page_code(http, app, first["code"]))
    assert [one["event"] for one in said] == ["wechat.refused"]
    assert app.secret not in str(said)


async def test_a_mini_program_has_codes_of_its_own(
    http: httpx.AsyncClient, wechat: Counter
) -> None:
    mini = WechatPayAccount.model_validate(wechat.account).mini_app
    assert mini is not None
    apps = wechat.app.state.apps
    found = await wechat_oauth.by_mini_code(http, mini, apps.code(mini.appid, "somebody"))
    page = await _led_back(http, wechat_oauth.authorize_url(_app(wechat), BACK, STATE))
    there = await wechat_oauth.by_page_code(http, _app(wechat), page["code"])
    assert found.openid != there.openid  # each app knows somebody else …
    assert found.unionid == there.unionid != ""  # … and their owner sees one person
    page = await _led_back(http, wechat_oauth.authorize_url(_app(wechat), BACK, STATE))
    crossed = await _refused(wechat_oauth.by_mini_code(http, mini, page["code"]))
    assert crossed.code == "wechat.bad_code"


async def test_what_is_wrong_with_an_app_is_no_fault_of_the_guest(
    http: httpx.AsyncClient, wechat: Counter
) -> None:
    app = _app(wechat)
    code = (await _led_back(http, wechat_oauth.authorize_url(app, BACK, STATE)))["code"]
    wrong = replace(app, secret="0" * 32)
    said = await _refused(wechat_oauth.by_page_code(http, wrong, code))
    assert (said.code, said.status, said.extra) == ("wechat.app", 502, {"errcode": 40125})
    gone = replace(app, api_url="http://127.0.0.1:9")
    away = await _refused(wechat_oauth.by_page_code(http, gone, code))
    assert (away.code, away.status) == ("wechat.away", 503)
    wechat.app.state.apps.snapshot = True
    try:
        made_up = await _refused(wechat_oauth.by_page_code(http, app, code))
    finally:
        wechat.app.state.apps.snapshot = False
    assert made_up.code == "wechat.snapshot"
    stranger = await http.get(wechat_oauth.authorize_url(replace(app, appid="wx0000"), BACK, STATE))
    assert stranger.status_code == 404
    with pytest.raises(ValueError, match="letters and digits"):
        wechat_oauth.authorize_url(app, BACK, "a-b")


async def test_a_page_in_alipay_learns_who_comes(
    http: httpx.AsyncClient, alipay: Counter, clock: ManualClock
) -> None:
    app = AlipayAccount.model_validate(alipay.account).app
    back = await _led_back(http, alipay_oauth.authorize_url(app, BACK, STATE))
    assert back["state"] == STATE
    found = await alipay_oauth.by_code(http, app, back["auth_code"], clock.now())
    assert found.subject == found.user_id == user_id("somebody")
    used = await _refused(alipay_oauth.by_code(http, app, back["auth_code"], clock.now()))
    assert (used.code, used.status) == ("alipay.bad_code", 422)
    # What Alipay did not sign is nobody's word.
    back = await _led_back(http, alipay_oauth.authorize_url(app, BACK, STATE))
    forged = replace(app, theirs=app.key.public_key())
    away = await _refused(alipay_oauth.by_code(http, forged, back["auth_code"], clock.now()))
    assert away.code == "alipay.away"


def test_a_ticket_is_good_for_its_browser_its_login_its_purpose_and_ten_minutes() -> None:
    now = datetime(2026, 11, 24, 12, tzinfo=UTC)
    made = oauth_tickets.ticket(
        now, purpose="pay", provider="wechat", app="wx1", back="/orders/1/pay", login_id="L1"
    )
    (morsel,) = SimpleCookie(made.cookie(secure=True)).values()
    assert morsel["httponly"]
    assert morsel["secure"]
    assert "orders" not in morsel.value  # sealed: the browser cannot read it, nor change it
    held = {morsel.key: morsel.value}

    def redeem(
        state: str = made.state, after_s: int = 0, **how: str
    ) -> oauth_tickets.Ticket | str | None:
        try:
            given = {"purpose": "pay", "login_id": "L1"} | how
            at = now + timedelta(seconds=after_s)
            return oauth_tickets.redeem(held, state, at, **given)
        except KaimenError as error:
            return error.code

    assert redeem() == made
    assert redeem(after_s=599) == made
    assert redeem(after_s=600) == "oauth.state"
    assert redeem(purpose="login") == "oauth.state"
    assert redeem(login_id="L2") == "oauth.state"
    assert redeem(state=made.state[:-1] + "x") == "oauth.state"
    assert redeem(state="") == "oauth.state"
    assert redeem(state="../..") == "oauth.state"
    body = morsel.value
    held[morsel.key] = body[:-4] + ("AAAA" if body[-4:] != "AAAA" else "BBBB")
    assert redeem() == "oauth.state"
