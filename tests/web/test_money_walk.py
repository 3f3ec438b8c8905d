"""Balance, refund requests, the books and the drawer, as guests and staff use them in a browser."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.orders import deposits, desk, place, store_events
from cloud_api.orders.models import Order
from cloud_api.pricing import service as pricing
from cloud_api.staff.permissions import ALL
from cloud_api.stored_value import office, topup
from cloud_api.stored_value.schemas import AdjustIn, PayOutIn, PlanIn
from tests.cloud_api.factories import customer, make_customer, make_login, make_staff, staff
from tests.web.real import Site, running_site

SHOTS = os.environ.get("KAIMEN_SHOTS", "")
pytestmark = pytest.mark.xdist_group("money-walk")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("money")) as site:
        site.write(lambda session: _people(session, site))
        yield site


@pytest.fixture(scope="module")
def site(running: Site) -> str:
    return running.url


async def _people(session: AsyncSession, site: Site) -> None:
    now, clocks = site.now, site.cloud.clocks
    guest = await make_customer(session, now)
    member = await make_staff(session, site.shop, now)
    finance = await make_staff(session, site.shop, now, role="finance")
    owner = staff(member, ALL)
    site.people = {
        "guest": guest,
        "owner": owner,
        "guest_login": await make_login(session, guest.id, clocks.real),
        "finance_login": await make_login(session, finance.account_id, clocks.real),
        "owner_login": await make_login(session, member.account_id, clocks.real),
    }
    await topup.put_plan(
        session,
        owner,
        None,
        PlanIn(name="充 300 送 50", pay_fen=30_000, gift_fen=5_000, gift_days=90),
        clocks,
    )
    body = AdjustIn(store_id=site.shop.store.id, amount_fen=5_000, why="新店开业，送你的")
    await office.adjust(session, owner, guest.id, body, clocks)
    await deposits.put_rule(session, owner, site.shop.store.id, None, 10_000, 30, clocks)
    starts = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
    who = customer(guest)
    quote = await pricing.quote(
        session, who, site.shop.room.id, starts, starts + timedelta(hours=2), clocks
    )
    order = await place.place(session, who, quote.id, clocks)
    await desk.take_cash(session, owner, order.id, "在店里付", clocks)
    site.people["order"] = order.id


def _as(tab: Page, site: Site, who: str) -> None:
    tab.context.add_cookies(
        [{"name": LOGIN_COOKIE, "value": site.people[f"{who}_login"], "url": site.url}]
    )


def _shot(tab: Page, name: str) -> None:
    """A picture for people to look at, where they ask for one."""
    if SHOTS:
        tab.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


def _until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.2)


def _used(site: Site) -> None:
    site.passes(hours=30)

    async def act(session: AsyncSession) -> Any:
        await store_events.complete_forgotten(session, site.people["order"], site.cloud.clocks)
        order = await session.get_one(Order, site.people["order"])
        return order.status

    assert site.write(act) == "completed"


def test_a_guest_sees_the_balance_and_its_movements(page: Page, running: Site) -> None:
    _as(page, running, "guest")
    page.goto(f"{running.url}/me")
    expect(page.get_by_role("link", name="我的余额")).to_contain_text("¥50")  # before one asks
    page.get_by_role("link", name="我的余额").click()
    expect(page.get_by_text("¥50", exact=True).first).to_be_visible()
    expect(page.get_by_text("新店开业，送你的")).to_be_visible()
    expect(page.get_by_text("充 300 送 50")).to_be_visible()
    _shot(page, "balance")
    page.wait_for_load_state("load")  # the form is a script's
    page.get_by_role("button", name="去付款").click()
    expect(page).to_have_url(re.compile(r".*/pay/.*$"))  # the cashier's own page


def test_a_request_is_asked_reviewed_and_answered(
    page: Page, browser: Browser, running: Site
) -> None:
    _used(running)
    _as(page, running, "guest")
    page.goto(f"{running.url}/orders/{running.people['order']}")
    expect(page.get_by_role("heading", name="押金 ¥100")).to_be_visible()
    _shot(page, "order")
    page.get_by_role("link", name="申请退款").click()
    expect(page.get_by_text("最多能退 ¥76")).to_be_visible()
    page.get_by_role("button", name="提交申请").click()
    expect(page.get_by_text("这一项要填").first).to_be_visible()
    page.get_by_label("为什么要退").fill("空调坏了，热得坐不住")
    _shot(page, "refund-form")
    page.get_by_role("button", name="提交申请").click()
    expect(page.get_by_role("heading", name="等店家处理")).to_be_visible()
    desk_tab = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    _as(desk_tab, running, "owner")
    desk_tab.goto(f"{running.url}/console/refunds")
    expect(desk_tab.get_by_text("空调坏了，热得坐不住").first).to_be_visible()
    expect(desk_tab.get_by_text("门店没有看到有人进门").first).to_be_visible()
    _shot(desk_tab, "refunds")
    desk_tab.goto(f"{running.url}/console/orders/{running.people['order']}")
    desk_tab.get_by_role("button", name="扣押金").click()
    sheet = desk_tab.locator("#sheet-claim-deposit")
    sheet.get_by_label("扣多少元").fill("15")
    sheet.get_by_label("照片在哪里").fill("相册 1")
    sheet.get_by_label("为什么").fill("茶杯碎了一个")
    _shot(desk_tab, "claim")
    sheet.get_by_role("button", name="扣押金").click()
    expect(desk_tab.get_by_text("24 小时内可以提出异议").first).to_be_visible()
    desk_tab.goto(f"{running.url}/console/refunds")
    desk_tab.get_by_label("退多少元").fill("40")
    desk_tab.get_by_label("给顾客的说明").fill("空调已修好，退一半多一点")
    desk_tab.get_by_role("button", name="同意退款").click()
    expect(desk_tab.get_by_text("没有等着处理的退款申请")).to_be_visible()
    page.reload()
    expect(page.get_by_text("店家同意退 ¥40")).to_be_visible()
    _shot(page, "refund-answer")
    desk_tab.goto(
        f"{running.url}/console/orders/{running.people['order']}"
    )  # and for who telephones
    desk_tab.get_by_role("button", name="替客人申请退款").click()
    asked = desk_tab.locator("#sheet-ask-refund")
    expect(asked.get_by_text("最多 ¥36。")).to_be_visible()
    asked.get_by_label("退多少元").fill("6")
    asked.get_by_label("为什么").fill("客人来电说明")
    _shot(desk_tab, "refund-for-a-guest")
    asked.get_by_role("button", name="提交申请").click()
    expect(desk_tab.get_by_role("link", name="有退款申请等处理")).to_be_visible()
    _shot(desk_tab, "refund-waits")
    desk_tab.set_viewport_size({"width": 390, "height": 844})
    _shot(desk_tab, "refund-waits-phone")
    desk_tab.context.close()


def test_money_that_a_provider_will_not_give_back_is_settled_by_hand(
    browser: Browser, running: Site
) -> None:
    """A top-up paid out again, which the provider refuses: the guest is owed it until somebody pays."""
    running.till.faults(refund_state="refused")
    number = next(iter(running.till.payments()))
    running.till.pay(number)
    owner, guest = running.people["owner"], running.people["guest"]

    async def out(session: AsyncSession) -> bool:
        body = PayOutIn(amount_fen=10_000, why="会员不来了")
        shown = await office.show(session, customer(guest), running.shop.merchant.id, guest.id)
        if shown.paid_fen < body.amount_fen:
            return False
        await office.pay_out(session, owner, guest.id, body, running.cloud.clocks)
        return True

    _until(lambda: running.write(out))
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    tab = context.new_page()
    _as(tab, running, "finance")
    tab.goto(f"{running.url}/console/refunds")
    _until(lambda: running.till.refunds() != {})
    tab.get_by_role("link", name="没退成的").click()
    refused = tab.get_by_text("收款方没有退")
    _until(lambda: tab.reload() is not None and refused.count() == 1)
    _shot(tab, "stuck-refunds")
    tab.get_by_role("button", name="已线下退").click()
    sheet = tab.locator("#sheet-by-hand")
    sheet.get_by_label("为什么").fill("顾客的卡已停用")
    sheet.get_by_role("button", name="记下").click()
    expect(sheet.get_by_text("这一项要填")).to_be_visible()
    sheet.get_by_label("怎么退的").fill("银行转账 2611240001")
    tab.set_viewport_size({"width": 390, "height": 844})
    _shot(tab, "stuck-refunds-phone")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    sheet.get_by_role("button", name="记下").click()
    expect(tab.get_by_text("没有。退款都到了，或者正在路上")).to_be_visible()
    running.till.faults()
    context.close()


def test_finance_reads_the_books_takes_them_along_and_closes_the_day(
    browser: Browser, running: Site
) -> None:
    """The role's own rights are enough for its day; what is the owner's alone stays the owner's."""
    running.passes(days=1)
    context = browser.new_context(viewport={"width": 1440, "height": 900}, accept_downloads=True)
    tab = context.new_page()
    _as(tab, running, "finance")
    since = (running.now - timedelta(days=3)).date()
    tab.goto(f"{running.url}/console/finance?first={since}&last={running.now.date()}")
    expect(tab.get_by_role("cell", name="现金", exact=True)).to_be_visible()
    _shot(tab, "finance")
    with tab.expect_download() as saved:
        tab.get_by_role("link", name="导出明细 CSV").click()
    assert "现金" in saved.value.path().read_text("utf-8-sig")
    tab.get_by_label("抽屉里点出多少元").fill("100")
    tab.get_by_role("button", name="日结到").click()
    expect(tab.get_by_text("点出来的数和账上不一样").first).to_be_visible()
    tab.get_by_label("和账上不一样的原因").fill("找零找错了")
    tab.get_by_role("button", name="日结到").click()
    expect(tab.get_by_text("日结好了")).to_be_visible()  # said on the page that it leads to
    expect(tab.get_by_text("已日结").first).to_be_visible()
    tab.goto(f"{running.url}/console/plans")
    expect(tab.get_by_role("heading", name="这一页不给你看")).to_be_visible()
    _as(tab, running, "owner")
    for path, name in (
        ("plans", "plans"),
        ("deposits", "deposits"),
        (f"members/{running.people['guest'].id}/balance", "member"),
    ):
        tab.goto(f"{running.url}/console/{path}")
        expect(tab.get_by_role("heading", level=1).first).to_be_visible()
        _shot(tab, name)
    tab.set_viewport_size({"width": 390, "height": 844})
    for path, name in (("finance", "finance-phone"), ("refunds?decided=true", "refunds-phone")):
        tab.goto(f"{running.url}/console/{path}")
        _shot(tab, name)
        wide = tab.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"{name} is {wide} px wide on a phone"
    context.close()
