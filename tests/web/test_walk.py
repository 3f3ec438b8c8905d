"""A guest's way through the real pages: log in, choose a time, order, pay at the cashier, and see the order."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.web.real import Site, running_site

PHONE = "13911112222"

pytestmark = pytest.mark.xdist_group("walk")  # they share a running site


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("walk")) as running:
        yield running


@pytest.fixture
def site(whole: Site) -> str:
    return whole.url


def log_in(page: Page, site: Site, phone: str = PHONE) -> None:
    page.get_by_label("手机号").fill(phone)
    page.get_by_role("button", name="发验证码").click()
    expect(page.get_by_label("短信里的 6 位数字")).to_be_visible()
    page.get_by_label("短信里的 6 位数字").fill(site.code_of(f"+86{phone}"))


def choose(page: Page, site: Site, room: str = "竹间", *, days: int = 1) -> None:
    """From the list of stores to a price, ``days`` from today."""
    page.goto(site.url)
    page.get_by_role("link", name="雀友会·静安店").click()
    page.get_by_role("link", name=room, exact=True).click()
    page.get_by_role("link", name=re.compile("选时间")).click()
    page.get_by_label("哪一天").get_by_role("link").nth(days).click()
    page.locator("#t-a").select_option(label="14:00")
    page.get_by_role("button", name="2 小时", exact=True).click()
    expect(page.locator("[data-total]")).to_have_text("¥76")


def test_from_the_list_of_stores_to_a_paid_order(page: Page, whole: Site):
    choose(page, whole)
    page.get_by_role("button", name="下一步，核对订单").click()
    expect(page.get_by_role("heading", name="登录后下单，选好的时间还在")).to_be_visible()
    log_in(page, whole)
    expect(page.get_by_role("heading", name="核对订单")).to_be_visible()
    expect(page.locator(".bigtime")).to_have_text("14:00–16:00")
    page.get_by_role("button", name="提交订单，付 ¥76").click()
    expect(page.get_by_text("房间还给你留着").first).to_be_visible()
    page.get_by_role("button", name="付 ¥76").click()
    expect(page).to_have_url(re.compile(re.escape(whole.till.url)))
    page.get_by_role("button", name=re.compile("支付")).first.click()
    expect(page).to_have_url(re.compile(r"/orders/[^/]+(\?paid=1)?$"))
    expect(page.get_by_role("heading", name="订好了")).to_be_visible()
    expect(page.get_by_text("付款成功")).to_be_visible()
    page.goto(f"{whole.url}/orders")
    expect(page.locator(".orow").get_by_text("待使用")).to_be_visible()


def test_who_walks_away_from_the_cashier_can_go_on_and_pays_once(page: Page, whole: Site):
    """Back without paying: the page waits, asks, and leads back to the same payment."""
    before = len(whole.till.payments())
    page.goto(f"{whole.url}/login")
    log_in(page, whole, "13911113333")
    expect(page).to_have_url(f"{whole.url}/")
    choose(page, whole, "梅间")
    page.get_by_role("button", name="下一步，核对订单").click()
    page.get_by_role("button", name="提交订单，付 ¥76").click()
    expect(page).to_have_url(re.compile(r"/orders/[^/]+/pay"))
    pay = page.url
    page.get_by_role("button", name="付 ¥76").click()
    expect(page).to_have_url(re.compile(re.escape(whole.till.url)))
    first = page.url
    page.goto(pay)
    expect(page.get_by_role("heading", name="等你在收银台付款")).to_be_visible()
    expect(page.get_by_role("button", name="付 ¥76", exact=True)).to_have_count(0)
    page.get_by_role("button", name="查一下结果").click()
    expect(page.get_by_text("还没有收到付款")).to_be_visible()
    page.get_by_role("link", name="继续付 ¥76").click()
    expect(page).to_have_url(first)
    page.get_by_role("button", name="取消").click()
    expect(page).to_have_url(re.compile(r"/orders/[^/]+/pay"))
    page.get_by_role("link", name="继续付 ¥76").click()
    expect(page).to_have_url(first)
    page.get_by_role("button", name=re.compile("支付")).first.click()
    expect(page).to_have_url(re.compile(r"/orders/[^/]+(\?paid=1)?$"))
    expect(page.get_by_role("heading", name="订好了")).to_be_visible()
    assert len(whole.till.payments()) == before + 1


def test_an_order_can_be_given_back_and_the_money_too(page: Page, whole: Site):
    """Cancelling says what it costs before the last tap."""
    page.goto(f"{whole.url}/login")
    log_in(page, whole, "13911114444")
    expect(page).to_have_url(f"{whole.url}/")
    choose(page, whole, "听雨")
    page.get_by_role("button", name="下一步，核对订单").click()
    page.get_by_role("button", name=re.compile("^提交订单，付")).click()
    expect(page).to_have_url(re.compile(r"/orders/[^/]+/pay"))
    page.get_by_role("button", name=re.compile("^付 ¥")).click()
    expect(page).to_have_url(re.compile(re.escape(whole.till.url)))
    page.get_by_role("button", name=re.compile("支付")).first.click()
    expect(page.get_by_role("heading", name="订好了")).to_be_visible()
    page.goto(f"{whole.url}/orders")
    page.locator(".orow").get_by_text("待使用").click()
    page.get_by_role("button", name="取消订单").click()
    expect(page.get_by_role("heading", name=re.compile("现在取消收 ¥0，退 ¥"))).to_be_visible()
    page.get_by_role("button", name=re.compile("^取消，退 ¥")).click()
    expect(page.get_by_text(re.compile(r"^你取消了订单，¥\d+ 退款中"))).to_be_visible()
    expect(page.get_by_text("退款到账")).to_be_visible()


def test_somebody_was_quicker(browser: Browser, page: Page, whole: Site):
    """Two look at the same time of the same room; the second is led to a free one.

    On a day of its own: the walks before it leave the other rooms of tomorrow taken.
    """
    for tab, phone in ((page, "13911114444"), (browser.new_context().new_page(), "13911115555")):
        tab.goto(f"{whole.url}/login")
        log_in(tab, whole, phone)
        expect(tab).to_have_url(f"{whole.url}/")
        choose(tab, whole, "听雨", days=2)
        tab.get_by_role("button", name="下一步，核对订单").click()
        expect(tab.get_by_role("heading", name="核对订单")).to_be_visible()
        if tab is page:
            continue
        tab.get_by_role("button", name=re.compile("提交订单")).click()
        expect(tab).to_have_url(re.compile("/pay$"))
        tab.context.close()
    page.get_by_role("button", name=re.compile("提交订单")).click()
    expect(page.get_by_text(re.compile("刚被别人订走了，.*同一时段空着"))).to_be_visible()
    page.get_by_role("link", name=re.compile("改订")).click()
    expect(page).to_have_url(re.compile("/book"))
    expect(page.locator("#t-a option:checked")).to_have_text("14:00")


def test_settings_and_the_way_out(page: Page, whole: Site):
    page.goto(f"{whole.url}/login?next=/me")
    log_in(page, whole)
    page.get_by_role("button", name="暗", exact=True).click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.get_by_role("button", name="跟随系统").click()
    expect(page.locator("html[data-theme]")).to_have_count(0)
    page.get_by_role("button", name="退出登录").click()
    expect(page).to_have_url(f"{whole.url}/")
    page.goto(f"{whole.url}/me")
    expect(page).to_have_url(re.compile("/login"))
