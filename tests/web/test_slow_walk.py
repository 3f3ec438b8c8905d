"""The first booking on a line as slow as in a cellar: what is under way is seen, and a second tap books nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import CDPSession, Page, expect
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.orders.models import Order
from cloud_api.payments.models import PaymentAttempt
from tests.web.arrive import arrive
from tests.web.real import Site, running_site
from tests.web.test_walk import choose, log_in

pytestmark = pytest.mark.xdist_group("walk")
SLOW_3G = {
    "offline": False,
    "latency": 400,
    "downloadThroughput": 50_000,
    "uploadThroughput": 50_000,
}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("slow")) as running:
        yield running


@pytest.fixture
def site(whole: Site) -> str:
    return whole.url


@pytest.fixture
def slow(page: Page) -> CDPSession:
    """The page's line, as slow as in a cellar."""
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", SLOW_3G)
    return line


def _twice(page: Page, name: str) -> None:
    """Two taps in a row, as from a thumb that saw nothing happen; the button says that it works."""
    button = page.get_by_role("button", name=re.compile(name))
    told = button.evaluate(
        "b => { b.click(); const busy = b.getAttribute('aria-busy'); b.click(); return busy; }"
    )
    assert told == "true"


async def _made(session: AsyncSession) -> tuple[int, int]:
    orders = (await session.exec(scoped(System(), Order))).all()
    payments = (await session.exec(select(PaymentAttempt))).all()
    return len(orders), len(payments)


def test_a_first_booking_on_a_slow_line_is_one_booking(page: Page, whole: Site, slow: CDPSession):
    choose(page, whole)
    page.get_by_role("button", name="下一步，核对订单").click()
    expect(page.get_by_role("heading", name="登录后下单，选好的时间还在")).to_be_visible()
    log_in(page, whole, "13911119090")
    expect(page.get_by_role("heading", name="核对订单")).to_be_visible()
    _twice(page, "^提交订单，付 ¥76")
    expect(page).to_have_url(re.compile(r"/orders/[^/]+/pay"))
    assert whole.write(_made) == (1, 0)
    _twice(page, "^付 ¥76")
    expect(page).to_have_url(re.compile(re.escape(whole.till.url)))
    assert whole.write(_made) == (1, 1)
    # Back on the way, as people do who think that nothing happens: it is the same order and the same payment.
    page.go_back()
    expect(page.get_by_role("heading", name="等你在收银台付款")).to_be_visible()
    page.get_by_role("link", name=re.compile("^继续付")).click()
    page.get_by_role("button", name=re.compile("支付")).first.click()
    expect(page.get_by_role("heading", name="订好了")).to_be_visible()
    assert whole.write(_made) == (1, 1)


def test_nothing_waits_without_a_sign_and_what_was_lost_is_tried_again(
    page: Page, whole: Site, slow: CDPSession
):
    """A tap on a slow line shows that something comes; without a line the price and the month say so, keep what was
    chosen, and come by a tap or by themselves.
    """
    store = whole.shop.store.id
    page.goto(f"{whole.url}/s/{store}")
    # The browser's driver answers nothing while a page is under way, so the page itself notes what it showed.
    page.evaluate(
        """() => new MutationObserver(() => sessionStorage.setItem('shown', 'yes'))
        .observe(document.querySelector('.going'), { attributeFilter: ['hidden'] })"""
    )
    going = page.locator(".going")
    slow.send("Network.emulateNetworkConditions", {**SLOW_3G, "latency": 2000})
    page.get_by_role("link", name="竹间", exact=True).click()
    arrive(page, re.compile("/rooms/"))
    assert page.evaluate("sessionStorage.getItem('shown')") == "yes"
    expect(going).to_be_hidden()
    slow.send("Network.emulateNetworkConditions", SLOW_3G)
    page.go_back()
    arrive(page, re.compile("/s/"))
    expect(going).to_be_hidden()  # nothing of the page before stays lit
    slow.send("Network.emulateNetworkConditions", {**SLOW_3G, "latency": 0})
    page.goto(f"{whole.url}/rooms/{whole.shop.room.id}/book")
    expect(page.locator("[data-total]")).to_have_text("¥76")
    lost = {**SLOW_3G, "offline": True}
    slow.send("Network.emulateNetworkConditions", lost)
    page.get_by_role("button", name="3 小时", exact=True).click()
    expect(page.locator("[data-say]")).to_contain_text("没连上网络")
    ends = page.locator("#t-b option:checked").inner_text()
    page.get_by_role("button", name="月历").click()
    expect(page.locator("[data-month-error]")).to_have_text("没取到这个月的空位")
    slow.send("Network.emulateNetworkConditions", {**lost, "offline": False, "latency": 0})
    # Its price came by itself; the month by a tap.
    expect(page.locator("[data-total]")).to_have_text("¥114")
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("button", name="再试").click()
    expect(sheet.locator(".month-day b").first).to_be_visible()
    expect(sheet.get_by_role("button", name="再试")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#t-b option:checked")).to_have_text(ends)
    expect(page.get_by_role("button", name="下一步，核对订单")).to_be_enabled()
