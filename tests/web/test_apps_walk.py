"""Logging in and paying inside WeChat and Alipay: who pays is known, and each takes the money its own way.

Both sides are real: authorize pages, codes, signed calls, a page to pay on. Of WeChat's app only the bridge is
put into the page; the test is the person who looks at the sheet.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from playwright.sync_api import Browser, BrowserContext, Page, expect
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.auth.models import Account
from cloud_api.groupbuy import campaigns
from cloud_api.groupbuy.schemas import CampaignIn
from cloud_api.kit.crypto import vault
from cloud_api.orders import limits
from cloud_api.staff.permissions import ALL
from cloud_api.stored_value import topup
from cloud_api.stored_value.schemas import PlanIn
from simulators.wechatpay import jssdk
from tests.cloud_api.factories import make_staff, staff
from tests.support.providers import Counter
from tests.web.apps import (
    IN_ALIPAY,
    IN_WECHAT,
    TO_PAY,
    Apps,
    pays_by_sheet,
    phone_in,
    running_apps,
    sheet,
    shot,
)
from tests.web.arrive import arrive
from tests.web.conftest import PATIENCE_MS
from tests.web.real import Site
from tests.web.test_walk import log_in

pytestmark = pytest.mark.xdist_group("apps-walk")  # they share a running site


@pytest.fixture(scope="module")
def apps(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Apps]:
    with running_apps(tmp_path_factory.mktemp("apps")) as running:
        yield running


@pytest.fixture(scope="module")
def running(apps: Apps) -> Site:
    return apps.site


@pytest.fixture(scope="module")
def wechat(apps: Apps) -> Counter:
    return apps.wechat


@pytest.fixture
def inside(browser: Browser) -> Iterator[BrowserContext]:
    """A phone inside WeChat."""
    context = phone_in(browser, IN_WECHAT)
    yield context
    context.close()


@pytest.fixture
def in_alipay(browser: Browser) -> Iterator[BrowserContext]:
    """A phone inside Alipay."""
    context = phone_in(browser, IN_ALIPAY)
    yield context
    context.close()


def test_who_pays_is_known_and_wechats_own_sheet_takes_the_money(
    inside: BrowserContext, apps: Apps, wechat: Counter
) -> None:
    page = inside.new_page()
    seen: list[str] = []
    page.on("request", lambda asked: seen.append(asked.url))
    page.goto(apps.unpaid(apps.member(inside, "13800000031"), 1) + "/pay")
    arrive(page, TO_PAY)
    assert any("/connect/oauth2/authorize?" in url for url in seen)
    openid = next(iter(wechat.app.state.apps.known))
    assert not any(openid in url for url in seen)
    expect(page.get_by_text("微信支付")).to_be_visible()
    shot(page, "wechat-choose")
    page.get_by_role("button", name=re.compile("^付 ¥")).click()
    fields = sheet(page, 1)
    text = "".join(f"{fields[name]}\n" for name in ("appId", "timeStamp", "nonceStr", "package"))
    wechat.desk.merchant_key.public_key().verify(
        base64.b64decode(fields["paySign"]), text.encode(), PKCS1v15(), SHA256()
    )
    assert fields["appId"] == wechat.account["appid"]
    # Whoever looks at the sheet may give up: nothing is paid, nothing is opened twice.
    page.evaluate("window.ends({ err_msg: 'get_brand_wcpay_request:cancel' })")
    expect(page.get_by_role("heading", name=re.compile("等你在微信支付付款"))).to_be_visible()
    shot(page, "wechat-waiting")
    page.get_by_role("button", name=re.compile("^继续付")).click()
    assert sheet(page, 2)["package"] == fields["package"]
    counter = inside.new_page()
    counter.goto(f"{wechat.url}/pay/{fields['package'].removeprefix('prepay_id=')}")
    counter.get_by_role("button", name=re.compile("^支付")).click()
    expect(counter.get_by_text("已经支付")).to_be_visible()
    page.evaluate("window.ends({ err_msg: 'get_brand_wcpay_request:ok' })")
    arrive(page, re.compile(r"/orders/[^/?]+\?paid=1(#wechat_redirect)?$"))
    [row] = [one for one in wechat.payments().values() if one["state"] == "paid"]
    assert (row["payer"], row["channel"]) == (openid, "jsapi")
    held = {one["name"]: one["value"] for one in inside.cookies()}
    assert openid not in str(held)  # the browser keeps it sealed
    assert not [name for name in held if name.startswith("kaimen_oauth_")]


def test_wechat_logs_in_books_and_pays_without_a_code_the_second_time(
    inside: BrowserContext, apps: Apps, running: Site, wechat: Counter
) -> None:
    """The first time a number is proved; after that a tap logs in, and WeChat's own sheet pays."""
    phone = "13800000036"
    page = inside.new_page()
    page.goto(f"{running.url}/me")
    page.get_by_role("link", name="微信登录").click()
    expect(page.get_by_role("heading", name="第一次用微信登录，验证一次手机号")).to_be_visible()
    shot(page, "wechat-bind")
    log_in(page, running, phone)
    expect(page).to_have_url(re.compile(f"{running.url}/me(#wechat_redirect)?$"))
    page.get_by_role("button", name="退出登录").click()
    expect(page).to_have_url(f"{running.url}/")
    page.goto(apps.book_href(0, days=3))
    page.get_by_role("button", name="下一步，核对订单").click()
    expect(page.get_by_role("heading", name="登录后下单，选好的时间还在")).to_be_visible()
    shot(page, "wechat-login")
    page.get_by_role("link", name="微信登录").click()
    page.get_by_role("button", name=re.compile("^提交订单，付")).click()
    page.get_by_role("button", name=re.compile("^付 ¥")).click()
    token = sheet(page, 1)["package"].removeprefix("prepay_id=")
    [number] = [n for n, row in wechat.payments().items() if row["token"] == token]
    assert wechat.pay(number)
    page.evaluate("window.ends({ err_msg: 'get_brand_wcpay_request:ok' })")
    expect(page.get_by_role("heading", name="订好了")).to_be_visible()
    page.goto(f"{running.url}/me/logins")
    shot(page, "wechat-logins")
    page.get_by_role("button", name="解开").first.click()
    expect(page.get_by_role("heading", name="解开微信")).to_be_visible()
    page.get_by_role("dialog").get_by_role("button", name="解开").click()
    expect(page.get_by_role("link", name="连上这个微信")).to_be_visible()


def test_alipay_logs_in_books_and_pays_in_english(
    in_alipay: BrowserContext, apps: Apps, running: Site
) -> None:
    """The same by Alipay: a number once, a tap after that, its own page to pay on; who reads English sees no Chinese name."""
    page = in_alipay.new_page()
    page.goto(f"{running.url}/me")
    page.get_by_role("button", name="English").click()
    page.goto(apps.book_href(1, days=3))
    page.get_by_role("button", name="Next: check the order").click()
    shot(page, "alipay-login")
    page.get_by_role("link", name="Log in with Alipay").click()
    expect(page.get_by_role("heading", name=re.compile("Alipay"))).to_be_visible()
    shot(page, "alipay-bind")
    page.get_by_label("Phone number").fill("13800000038")
    page.get_by_role("button", name="Send code").click()
    page.get_by_label("The 6 digits from the SMS").fill(running.code_of("+8613800000038"))
    arrive(page, re.compile(r"/quotes/"))
    page.goto(f"{running.url}/me")
    page.get_by_role("button", name="Log out").click()
    page.goto(apps.book_href(1, days=3))
    page.get_by_role("button", name="Next: check the order").click()
    page.get_by_role("link", name="Log in with Alipay").click()
    page.get_by_role("button", name=re.compile("¥76$")).click()
    arrive(page, TO_PAY)
    expect(page.get_by_text("微信支付")).to_have_count(
        0
    )  # each of the two refuses the other's pages
    expect(page.locator("main")).not_to_contain_text("支付宝")
    shot(page, "alipay-choose")
    page.get_by_role("button", name=re.compile("^Pay ¥76")).click()
    arrive(page, re.compile(re.escape(apps.alipay.url)))
    page.go_back()  # as from any page; nothing is paid twice for it
    expect(page.get_by_role("heading", name=re.compile("Alipay"))).to_be_visible()
    shot(page, "alipay-waiting")
    page.get_by_role("link", name=re.compile("¥76")).click()
    page.get_by_role("button", name=re.compile("^支付")).click()
    arrive(page, re.compile(r"/orders/[^/?]+\?paid=1$"))
    [row] = apps.alipay.payments().values()
    assert (row["state"], row["channel"], row["amount_fen"]) == ("paid", "wap", 7600)
    page.goto(f"{running.url}/me/logins")
    expect(page.get_by_role("listitem")).to_contain_text("Alipay")


@pytest.mark.parametrize("app", ["wechat", "alipay"])
def test_who_is_blocked_logs_in_and_is_told_whom_to_call(
    browser: Browser, apps: Apps, running: Site, app: str
) -> None:
    """A store's black list takes no booking, whichever way somebody came in, and leaves what is theirs in reach."""
    agent, name = {"wechat": (IN_WECHAT, "微信"), "alipay": (IN_ALIPAY, "支付宝")}[app]
    phone = {"wechat": "13800000043", "alipay": "13800000044"}[app]
    side = {"wechat": apps.wechat, "alipay": apps.alipay}[app]
    context = phone_in(browser, agent)
    context.add_cookies([{"name": f"{app}_person", "value": "blocked", "url": side.url}])
    page = context.new_page()
    page.goto(f"{running.url}/login")
    page.get_by_role("link", name=f"{name}登录").click()
    log_in(page, running, phone)
    arrive(page, re.compile(rf"^{re.escape(running.url)}/(#wechat_redirect)?$"))

    async def block(session: AsyncSession) -> None:
        owner = staff(await make_staff(session, running.shop, running.now), ALL)
        mine = select(Account.id).where(Account.phone_index == vault().index(f"+86{phone}"))
        account_id = (await session.exec(mine)).one()
        await limits.block_account(
            session, owner, account_id, "砸过桌子", None, running.cloud.clocks
        )

    running.write(block)
    context.clear_cookies(name=LOGIN_COOKIE)
    page.goto(apps.book_href(0, days=5))
    page.get_by_role("button", name="下一步，核对订单").click()
    page.get_by_role("link", name=f"{name}登录").click()
    page.get_by_role("button", name=re.compile("^提交订单，付")).click()
    expect(page.get_by_text("这家店暂不接受你的预订，有疑问请打给店家")).to_be_visible()
    shot(page, f"blocked-{app}")
    call = page.get_by_role("link", name=re.compile(f"^打给店家 {running.shop.store.phone}"))
    expect(call).to_be_in_viewport()
    page.goto(f"{running.url}/orders")
    expect(page.get_by_role("heading", name="订单")).to_be_visible()
    context.close()


def test_where_wechat_does_not_say_who_pays_the_page_says_what_to_do(
    inside: BrowserContext, apps: Apps, wechat: Counter
) -> None:
    """A code that is worth nothing leads back once, not round and round; the rest can still be used."""
    page = inside.new_page()
    asked: list[str] = []
    page.on("request", lambda one: asked.append(urlsplit(one.url).path))
    wechat.app.state.apps.snapshot = True
    try:
        page.goto(apps.unpaid(apps.member(inside, "13800000032"), 2) + "/pay")
        expect(page).to_have_url(re.compile(r"\?wechat=no(#wechat_redirect)?$"))
        expect(page.get_by_text("收银台")).to_be_visible()
        expect(page.get_by_text("微信支付")).to_have_count(0)
        page.reload()
    finally:
        wechat.app.state.apps.snapshot = False
    assert asked.count("/connect/oauth2/authorize") == 1
    page.goto(page.url.partition("?")[0])
    expect(page.get_by_text("微信支付")).to_be_visible()


def test_an_answer_that_was_made_for_another_browser_is_worth_nothing(
    inside: BrowserContext, apps: Apps, running: Site, wechat: Counter
) -> None:
    apps.member(inside, "13800000033")
    page = inside.new_page()
    code = wechat.app.state.apps.code(wechat.account["appid"], "thief", "snsapi_base")
    answer = page.goto(f"{running.url}/oauth/wechat/pay?code={code}&state={'a' * 32}")
    assert answer is not None
    assert answer.status == 400
    expect(page.get_by_text("授权已过期，请返回再试一次")).to_be_visible()
    assert not wechat.app.state.apps.codes[code].used


def test_a_balance_is_topped_up_by_sheet_inside_wechat_and_by_code_at_a_desk(
    inside: BrowserContext, browser: Browser, apps: Apps, running: Site, wechat: Counter
) -> None:
    """A payment of anything has a page of its own; before, only providers with a page to go to could be used."""

    async def plan(session: AsyncSession) -> None:
        owner = staff(await make_staff(session, running.shop, running.now), ALL)
        body = PlanIn(name="充 100 送 10", pay_fen=10_000, gift_fen=1_000, gift_days=90)
        await topup.put_plan(session, owner, None, body, running.cloud.clocks)

    running.write(plan)
    desk = browser.new_context(viewport={"width": 1440, "height": 900}, locale="zh-CN")
    shop = f"{running.url}/me/balance?store={running.shop.store.id}"
    for page, phone in ((inside.new_page(), "13800000034"), (desk.new_page(), "13800000035")):
        apps.member(page.context, phone)
        page.goto(shop)
        page.get_by_text("微信支付").click()
        page.get_by_role("button", name="去付款").click()
        arrive(page, re.compile(r"/payments/[^/]+$"))
        if page.context is inside:
            fields = sheet(page, 1)
            token = fields["package"].removeprefix("prepay_id=")
            [number] = [n for n, row in wechat.payments().items() if row["token"] == token]
            shot(page, "payment-sheet")
        else:
            picture = page.get_by_role("img", name=re.compile("付款码"))
            expect(picture).to_be_visible()
            assert picture.evaluate("one => one.complete && one.naturalWidth > 0")
            number = next(n for n, row in wechat.payments().items() if row["state"] == "waiting")
            shot(page, "payment-code")
        assert wechat.pay(number)
        arrive(page, re.compile(r"/me/balance\?store="))
        expect(page.get_by_text("¥110", exact=True).first).to_be_visible()
    desk.close()


def test_a_group_order_and_the_price_of_a_change_are_paid_by_wechats_sheet(
    inside: BrowserContext, apps: Apps, running: Site, wechat: Counter
) -> None:
    now = running.cloud.clocks.now

    async def on_sale(session: AsyncSession) -> str:
        owner = staff(await make_staff(session, running.shop, now), ALL)
        terms = CampaignIn.model_validate(
            {
                "name": "四人夜场", "price_fen": 5900, "list_fen": 8800, "minutes": 180,
                "starts_at": now, "ends_at": now + timedelta(days=9),
                "store_ids": [running.shop.store.id],
            }
        ).model_dump()  # fmt: skip
        made = await campaigns.create(session, owner, terms, running.cloud.clocks)
        await campaigns.turn(session, owner, made.id, "published", running.cloud.clocks)
        return made.id

    page = inside.new_page()
    account = apps.member(inside, "13800000037")
    page.goto(f"{running.url}/groupbuy/{running.write(on_sale)}")
    page.get_by_role("button", name=re.compile("¥59")).click()
    page.get_by_role("button", name=re.compile("^付 ¥59")).click()
    pays_by_sheet(page, wechat, 1, 5900)
    expect(page.get_by_role("link", name="去用券")).to_be_visible()
    shot(page, "wechat-group-order")

    page.goto(apps.unpaid(account, 2, days=4) + "/pay")
    page.get_by_role("button", name=re.compile("^付 ¥76")).click()
    pays_by_sheet(page, wechat, 1, 7600)
    arrive(page, re.compile(r"/orders/[^/?]+\?paid=1(#wechat_redirect)?$"))
    order = urlsplit(page.url).path
    page.goto(f"{running.url}{order}/change")
    page.get_by_label("玩多久").select_option(label="3 小时")
    page.get_by_role("button", name="看看差多少钱").click()
    page.get_by_role("button", name="改，付 ¥38").click()
    arrive(page, re.compile(r"/changes/[^/]+$"))
    shot(page, "wechat-change")
    page.get_by_role("button", name=re.compile("^付 ¥")).click()
    arrive(page, re.compile(r"/payments/[^/]+$"))
    pays_by_sheet(page, wechat, 1, 3800)
    arrive(page, re.compile(rf"{order}(\?|#|$)"))
    expect(page.get_by_text("14:00–17:00").first).to_be_visible()
    shot(page, "wechat-changed")


def _told_the_menu(page: Page) -> None:
    """Wait until the page has told WeChat's menu; its policy lets no test wait by script."""
    deadline = time.monotonic() + 30
    while not page.evaluate("Boolean(window.shared && window.shared.moments)"):
        assert time.monotonic() < deadline, "the page told WeChat's menu nothing"
        page.wait_for_timeout(50)


def test_a_campaign_is_shared_by_wechats_own_menu(
    inside: BrowserContext, browser: Browser, running: Site, wechat: Counter
) -> None:
    """Its script comes from WeChat's host, on these pages and inside WeChat alone; the configuration that it
    gets is one that WeChat's side finds right; elsewhere there is nothing but Open Graph.
    """
    now = running.cloud.clocks.now

    async def on_sale(session: AsyncSession) -> str:
        owner = staff(await make_staff(session, running.shop, now), ALL)
        terms = CampaignIn.model_validate(
            {
                "name": "四人下午场", "tagline": "送一壶龙井", "price_fen": 5800, "list_fen": 8800,
                "minutes": 180, "starts_at": now, "ends_at": now + timedelta(days=9),
                "store_ids": [running.shop.store.id],
            }
        ).model_dump()  # fmt: skip
        made = await campaigns.create(session, owner, terms, running.cloud.clocks)
        await campaigns.turn(session, owner, made.id, "published", running.cloud.clocks)
        return made.id

    url = f"{running.url}/groupbuy/{running.write(on_sale)}"
    inside.route(
        "https://res.wx.qq.com/**",
        lambda asked: asked.fulfill(body=jssdk.CLIENT, content_type="text/javascript"),
    )
    page = inside.new_page()
    page.goto(f"{url}?from=timeline")
    _told_the_menu(page)
    told = page.evaluate("[window.wx.asked, window.shared]")
    account: jssdk.Account = wechat.app.state.jssdk
    assert account.judge(told[0], f"{url}?from=timeline") == "config:ok"
    assert account.judge(told[0], url) == "config:invalid signature"
    assert told[1]["friend"] == {
        "title": "四人下午场 ¥58", "desc": "送一壶龙井", "link": url, "imgUrl": f"{url}/poster.png",
    }  # fmt: skip
    page.reload()
    _told_the_menu(page)
    assert account.asked == {"token": 1, "ticket": 1}  # kept for two hours
    account.token = "made by another server"  # and its ticket is over
    account.ticket_until = 0
    running.cloud.parts.pop("wechat_share.tickets")
    page.reload()
    _told_the_menu(page)
    assert account.judge(page.evaluate("window.wx.asked"), f"{url}?from=timeline") == "config:ok"
    other = page.request.get(
        f"{running.url}/api/v1/wechat/share-config", params={"url": "https://elsewhere.example/"}
    )
    assert (other.status, other.json()["code"]) == (422, "wechat.url")
    assert (
        "res.wx.qq.com"
        not in page.request.get(f"{running.url}/").headers["content-security-policy"]
    )
    outside = browser.new_page()
    told = outside.request.get(url)
    assert "res.wx.qq.com" not in told.text() + told.headers["content-security-policy"]
    outside.close()


def test_two_tabs_a_lost_line_and_the_way_back_make_one_payment(
    browser: Browser, apps: Apps, running: Site
) -> None:
    """What people do who are not sure whether it worked; on a phone whose clock is in another zone."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, locale="zh-CN", timezone_id="America/Los_Angeles"
    )
    context.set_default_timeout(PATIENCE_MS)
    order = apps.unpaid(apps.member(context, "13800000045"), 1, days=5)
    first, second = context.new_page(), context.new_page()
    pay = re.compile("^付 ¥76")
    for tab in (first, second):
        tab.goto(order + "/pay")
        expect(tab.get_by_text("14:00").first).to_be_visible()  # the store's time, not the phone's
        tab.get_by_role("radio", name=re.compile("收银台")).check()
    context.set_offline(True)
    first.get_by_role("button", name=pay).click()
    expect(first.get_by_text("没连上网络，刚才的操作没有发出")).to_be_visible()
    assert first.get_by_role("radio", name=re.compile("收银台")).is_checked()
    context.set_offline(False)
    first.get_by_role("button", name=pay).click()
    arrive(first, re.compile(re.escape(running.till.url)))
    before = len(running.till.payments())
    # The other tab was opened before: it asks for the same payment, and is led to the same till.
    second.get_by_role("button", name=pay).click()
    arrive(second, re.compile(r"till|(?<!/pay)$"))
    first.get_by_role("button", name=re.compile("支付")).first.click()
    expect(first.get_by_role("heading", name="订好了")).to_be_visible()
    assert len(running.till.payments()) == before
    # Back to where one paid: nothing there asks for money again.
    for tab, way in ((first, first.go_back), (second, lambda: second.goto(order + "/pay"))):
        way()
        tab.goto(order + "/pay")
        expect(tab.get_by_role("button", name=pay)).to_have_count(0)
        expect(tab.get_by_text("付款成功")).to_be_visible()
    # A link that is over, or somebody else's, says so and leads on.
    other = browser.new_context(viewport={"width": 390, "height": 844}, locale="zh-CN")
    other.set_default_timeout(PATIENCE_MS)
    apps.member(other, "13800000046")
    page = other.new_page()
    for path in (order, order + "/pay", f"{running.url}/join/nope", f"{running.url}/quotes/nope"):
        answer = page.goto(path)
        assert answer is not None
        assert answer.status == 404, path
        expect(page.get_by_role("link", name="回到找店")).to_be_visible()
    page.goto(f"{running.url}/?q=🀄️👨‍👩‍👧‍👦")
    expect(page.get_by_role("searchbox")).to_have_value("🀄️👨‍👩‍👧‍👦")
    other.close()
    context.close()
