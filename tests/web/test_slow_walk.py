"""The first booking on a line as slow as in a cellar: what is under way is seen, and a second tap books nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.orders.models import Order
from cloud_api.payments.models import PaymentAttempt
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


def test_a_first_booking_on_a_slow_line_is_one_booking(page: Page, whole: Site):
    line = page.context.new_cdp_session(page)
    line.send("Network.enable")
    line.send("Network.emulateNetworkConditions", SLOW_3G)
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
