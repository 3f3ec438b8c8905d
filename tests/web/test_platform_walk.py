"""Platform vouchers in browsers: the owner sets Douyin up, a guest uses a code at a free room's door, the desk
takes another; a code that was used is refused; by hand a guest waits until staff have said yes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlmodel.ext.asyncio.session import AsyncSession

from simulators.douyin.app import POI
from tests.cloud_api.factories import make_customer, make_login, make_staff
from tests.support.malls import Mall, running_mall
from tests.web.real import running_site
from tests.web.scenes import Town
from tests.web.test_groupbuy_walk import shot
from tests.web.test_people_walk import sitting
from tests.web.test_walk import log_in
from tests.web.town import Visitor

SKU = "1234500001"
pytestmark = pytest.mark.xdist_group("groupbuy-walk")


@pytest.fixture(scope="module")
def mall() -> Iterator[Mall]:
    with running_mall("douyin") as running:
        yield running


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, mall: Mall) -> Iterator[Visitor]:
    """An empty house, every room free, and its owner."""
    with running_site(tmp_path_factory.mktemp("platform-walk")) as site:
        mall.desk.shelf.now = lambda: site.cloud.clocks.real.timestamp()  # noqa: PLW0108  asked each time
        site.cloud.settings.payment_private_hosts = True

        async def people(session: AsyncSession) -> Town:
            guest = await make_customer(session, site.now)
            owner = await make_staff(session, site.shop, site.now)
            token = await make_login(session, owner.account_id, site.cloud.clocks.real)
            return Town(site.shop, site.shop, guest, guest, {"owner": token})

        yield Visitor(site, site.write(people))


def set_up(desk: Page, town: Visitor, mall: Mall) -> None:
    """An access to Douyin with one deal, and one by hand."""
    desk.goto(f"{town.site.url}/console/platforms")
    shot(desk, "platforms-none")
    desk.get_by_role("link", name="抖音来客").click()
    for title, name in (
        ("应用 ID（client_key）", "client_key"),
        ("应用密钥", "client_secret"),
        ("来客商户 ID", "account_id"),
        ("接口地址", "base_url"),
    ):
        desk.get_by_label(title).fill(str(mall.desk.account()[name]))
    desk.get_by_role("button", name="保存").click()
    expect(desk.get_by_text("填门店的POI ID，至少一家")).to_be_visible()
    desk.get_by_label("雀友会·静安店").fill(POI)
    shot(desk, "platform-new")
    desk.get_by_role("button", name="保存").click()
    desk.get_by_role("button", name="加一个商品").click()
    sheet = desk.get_by_role("dialog")
    sheet.get_by_label("平台上的商品编号").fill(SKU)
    sheet.get_by_label("顾客看到的名字").fill("四人三小时")
    shot(desk, "platform-deal")
    sheet.get_by_role("button", name="保存").click()
    expect(desk.get_by_role("cell", name=re.compile("四人三小时"))).to_be_visible()
    desk.get_by_role("button", name="试一下").click()
    expect(desk.get_by_text("通了，可以核销").first).to_be_visible()
    shot(desk, "platform-account")
    desk.goto(f"{town.site.url}/console/platforms/new?kind=manual")
    desk.get_by_role("button", name="保存").click()
    desk.get_by_role("button", name="加一个商品").click()
    sheet.get_by_label("平台上的商品编号").fill("1")
    sheet.get_by_label("顾客看到的名字").fill("美团三小时")
    sheet.get_by_label("算多少元").fill("59")
    sheet.get_by_role("button", name="保存").click()
    expect(desk.get_by_role("cell", name=re.compile("美团三小时"))).to_be_visible()
    desk.goto(f"{town.site.url}/console/platforms")
    expect(desk.get_by_text("在用").first).to_be_visible()
    shot(desk, "platforms")


def test_codes_of_a_platform_at_the_door_at_the_desk_and_by_hand(
    browser: Browser, town: Visitor, mall: Mall
) -> None:
    site, code = town.site, mall.sell(SKU)
    with (
        sitting(browser, town, town.town.tokens["owner"]) as desk,
        sitting(browser, town, phone=True) as one,
    ):
        set_up(desk, town, mall)
        one.goto(f"{site.url}/login")
        log_in(one, site, "13911120001")
        expect(one).to_have_url(f"{site.url}/")

        # at the door of 梅间, which is free
        one.goto(f"{site.url}/d/{site.shop.doors[1].token}")
        one.get_by_role("link", name="用平台券").click()
        one.get_by_label(re.compile("^抖音")).check()
        one.get_by_role("textbox", name="券码").fill("123")
        one.get_by_role("button", name="看这张券").click()
        expect(one.get_by_text("输入券码", exact=True)).to_be_visible()
        one.get_by_role("textbox", name="券码").fill(code)
        shot(one, "platform-code")
        one.get_by_role("button", name="看这张券").click()
        expect(one.get_by_text("四人三小时 · 每天")).to_be_visible()
        shot(one, "platform-code-seen")
        one.get_by_role("button", name="用掉这张券").click()
        expect(one.get_by_role("heading", name="到了，请进")).to_be_visible()
        assert mall.times(code) == 1

        # the same code at the desk, then another
        desk.goto(f"{site.url}/console/redeem")
        desk.get_by_role("link", name="平台券", exact=True).first.click()
        desk.goto(f"{site.url}/console/redeem/platform")
        desk.get_by_label(re.compile("^抖音")).check()
        desk.get_by_role("textbox", name="券码").fill(code)
        desk.get_by_role("button", name="看这张券").click()
        expect(desk.get_by_text(re.compile("这张券 .*梅间用过了"))).to_be_visible()
        desk.get_by_role("textbox", name="券码").fill(mall.sell(SKU))
        desk.get_by_role("button", name="看这张券").click()
        desk.get_by_label("客人的手机号").fill("13911120002")
        shot(desk, "platform-desk")
        desk.get_by_role("button", name="核销，开这间").click()
        expect(desk.get_by_text("已核销").first).to_be_visible()
        shot(desk, "platform-uses")

        # by hand: the guest waits, staff say yes
        with sitting(browser, town, phone=True) as two:
            two.goto(f"{site.url}/login")
            log_in(two, site, "13911120003")
            expect(two).to_have_url(f"{site.url}/")
            two.goto(f"{site.url}/s/{site.shop.store.id}")
            two.get_by_role("link", name=re.compile("在抖音、美团买了券")).click()
            two.get_by_label(re.compile("^美团")).check()
            two.get_by_role("textbox", name="券码").fill("8888 7777 66")
            two.get_by_role("button", name="看这张券").click()
            two.get_by_role("radio", name="选个时间").check()
            two.get_by_label("从几点开始").fill(f"{site.now + timedelta(days=1):%Y-%m-%dT20:00}")
            two.get_by_role("button", name="用掉这张券").click()
            expect(two.get_by_text("等店家确认")).to_be_visible()
            shot(two, "platform-waits")
            desk.goto(f"{site.url}/console/platform-vouchers")
            expect(desk.get_by_text("8888777766")).to_be_visible()
            shot(desk, "platform-asked")
            desk.get_by_role("button", name="核销好了").click()
            desk.get_by_role("button", name="商家版里核销成功").click()
            desk.get_by_role("dialog").get_by_role("button", name="核销好了").click()
            expect(desk.get_by_text("没有要处理的平台券")).to_be_visible()
            expect(two.get_by_text("房间是你的了")).to_be_visible()
            two.get_by_role("link", name="看订单").click()
            expect(two.get_by_text("美团券抵 ¥59")).to_be_visible()
            shot(two, "platform-order")
