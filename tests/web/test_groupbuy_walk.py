"""Group-buy in browsers: the owner puts a campaign on sale, two people complete a team and pay, one goes
in at the door, one is let in at the desk; whoever tries a voucher again is told how it was used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlmodel.ext.asyncio.session import AsyncSession

from tests.cloud_api.factories import make_customer, make_login, make_staff
from tests.web.real import running_site
from tests.web.scenes import Town
from tests.web.test_people_walk import sitting
from tests.web.test_walk import log_in
from tests.web.town import Visitor

SHOTS = os.environ.get("SHOTS")
NAME = "两人下午场"
pytestmark = pytest.mark.xdist_group("groupbuy-walk")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """An empty house, every room free, and its owner."""
    with running_site(tmp_path_factory.mktemp("groupbuy-walk")) as site:

        async def people(session: AsyncSession) -> Town:
            guest = await make_customer(session, site.now)
            owner = await make_staff(session, site.shop, site.now)
            token = await make_login(session, owner.account_id, site.cloud.clocks.real)
            return Town(site.shop, site.shop, guest, guest, {"owner": token})

        yield Visitor(site, site.write(people))


def shot(page: Page, name: str) -> None:
    """A picture at both sizes, where somebody wants to look."""
    if not SHOTS:
        return
    size = page.viewport_size
    for kind, width, height in (("phone", 390, 844), ("desk", 1440, 900)):
        page.set_viewport_size({"width": width, "height": height})
        page.wait_for_timeout(150)
        page.screenshot(path=Path(SHOTS) / f"{name}-{kind}.png")
    if size:
        page.set_viewport_size(size)


def put_on_sale(desk: Page, town: Visitor) -> None:
    """The owner writes a campaign for two and publishes it."""
    desk.goto(f"{town.site.url}/console/campaigns")
    shot(desk, "campaigns-none")
    desk.get_by_role("link", name="新建活动").first.click()
    desk.get_by_label("名字", exact=True).fill(NAME)
    desk.get_by_label("一次多少分钟").fill("120")
    desk.get_by_label("团购价（元）").fill("58")
    desk.get_by_label("单独买的价（元）").fill("48")
    desk.get_by_label("几个人成团").fill("2")
    desk.get_by_label("另送什么").fill("龙井一壶\n瓜子一碟")
    expect(desk.get_by_role("checkbox", name="雀友会·静安店", exact=True)).to_be_checked()
    shot(desk, "campaign-new")
    desk.get_by_role("button", name="存成草稿").click()
    expect(desk.get_by_text(re.compile("单买价不能低于团购价"))).to_be_visible()
    desk.get_by_label("单独买的价（元）").fill("88")
    desk.get_by_role("button", name="存成草稿").click()
    row = desk.locator("tr.lr").filter(has_text=NAME)
    expect(row).to_contain_text("草稿")
    row.get_by_role("button", name="发布").click()
    desk.get_by_role("dialog").get_by_role("button", name="发布").click()
    expect(row).to_contain_text("在卖")
    shot(desk, "campaigns")
    row.get_by_role("link", name=NAME).click()
    expect(desk.get_by_label("另送什么")).to_have_value("龙井一壶\n瓜子一碟")
    shot(desk, "campaign")


def pay(phone: Page, town: Visitor) -> None:
    """Pay the group order of this page at the cashier, and come back to it."""
    expect(phone).to_have_url(re.compile("/groupbuy/orders/"))
    phone.get_by_role("button", name=re.compile("^付 ¥58")).click()
    expect(phone).to_have_url(re.compile(re.escape(town.site.till.url)))
    phone.get_by_role("button", name=re.compile("支付")).first.click()
    expect(phone).to_have_url(re.compile("/groupbuy/orders/"))


def test_a_campaign_from_the_console_to_the_door_and_the_desk(
    browser: Browser, town: Visitor
) -> None:
    site = town.site
    with (
        sitting(browser, town, town.town.tokens["owner"]) as desk,
        sitting(browser, town, phone=True) as one,
        sitting(browser, town, phone=True) as two,
    ):
        put_on_sale(desk, town)
        for phone, number in ((one, "13911120001"), (two, "13911120002")):
            phone.goto(f"{site.url}/login")
            log_in(phone, site, number)
            expect(phone).to_have_url(f"{site.url}/")
        one.get_by_role("link", name="拼团").click()
        one.get_by_role("link", name=NAME).click()
        one.get_by_role("button", name="开团 ¥58").click()
        pay(one, town)
        expect(one.get_by_role("img", name="2 人团，到了 1 人")).to_be_visible()
        two.goto(one.get_by_label("团的链接").input_value())
        assert two.locator('meta[property="og:title"]').get_attribute("content") == f"{NAME} ¥58"
        two.get_by_role("button", name="参团 ¥58").click()
        pay(two, town)
        for phone in (one, two):  # the first one's page looks again by itself
            phone.get_by_role("link", name="去用券").click()
            expect(phone.locator(".vcode")).to_have_text(re.compile(r"^\d{4} \d{4} \d{4}$"))
        code, other = one.locator(".vcode").inner_text(), two.locator(".vcode").inner_text()
        voucher = one.url

        # the first goes in by the door of 梅间, and tries once more on another phone
        plum = site.shop.doors[1].token
        with sitting(browser, town, phone=True) as tab:
            tab.context.add_cookies(one.context.cookies())  # type: ignore[arg-type]
            for phone in (one, tab):
                phone.goto(f"{site.url}/d/{plum}")
                phone.get_by_role("link", name="用团购券进门").click()
                phone.get_by_role("button", name="用券进梅间").click()
            shot(tab, "voucher-door")
            one.get_by_role("button", name="用掉这张券").click()
            expect(one).to_have_url(re.compile("/d/"))
            expect(one.get_by_role("heading", name="到了，请进")).to_be_visible()
            tab.get_by_role("button", name="用掉这张券").click()
            expect(
                tab.get_by_text(re.compile("这张券 .*在雀友会·静安店梅间用过了"))
            ).to_be_visible()
        one.goto(voucher)
        expect(one.get_by_text(re.compile("在雀友会·静安店梅间用过了"))).to_be_visible()
        shot(one, "voucher-used")

        # the desk: the first one's code is refused, the second one's opens 竹间
        desk.goto(f"{site.url}/console/redeem")
        shot(desk, "desk-empty")
        desk.get_by_label("券码").fill(code)
        desk.get_by_role("button", name="看这张券").click()
        expect(desk.get_by_text("这张券用过了")).to_be_visible()
        expect(desk.locator("[data-u-facts]")).to_contain_text("雀友会·静安店 梅间")
        expect(desk.locator("[data-u-facts]")).to_contain_text("顾客自己")
        shot(desk, "desk-used")
        desk.get_by_label("券码").fill(other.replace(" ", ""))
        expect(desk.get_by_label("券码")).to_have_value(other)
        desk.get_by_role("button", name="看这张券").click()
        expect(desk.get_by_role("radio", name=re.compile("竹间"))).to_be_checked()
        expect(desk.get_by_role("radio", name=re.compile("梅间"))).to_be_disabled()
        shot(desk, "desk-valid")
        desk.get_by_role("button", name="核销，开这间").click()
        expect(desk.get_by_role("heading", name=NAME)).to_be_visible()
        log = desk.locator("#log tr.lr")
        expect(log).to_have_count(2)
        shot(desk, "desk-done")
        desk.get_by_label("券码").fill(other)
        desk.get_by_role("button", name="看这张券").click()
        expect(desk.get_by_text("这张券用过了")).to_be_visible()
        expect(desk.locator("[data-u-facts]")).to_contain_text("竹间")

        # taken back: the voucher is whole again
        mine = log.filter(has_text="竹间").first
        mine.get_by_role("button", name="撤销").click()
        sheet = desk.get_by_role("dialog")
        sheet.get_by_role("button", name="选错了包间").click()
        sheet.get_by_role("button", name="撤销核销").click()
        expect(log.filter(has_text="已撤销")).to_have_count(1)
        two.reload()
        expect(two.locator(".vcode")).to_have_text(other)
        desk.get_by_role("link", name="团购", exact=True).first.click()
        desk.get_by_role("link", name="团购统计").click()
        expect(desk.locator("tr.lr").filter(has_text=NAME)).to_contain_text("¥116")
        shot(desk, "report")
