"""A draft looked at before it is published, a voucher given to a friend, and one that the desk lets be good
for longer: in browsers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, expect
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.groupbuy import campaigns
from cloud_api.groupbuy.schemas import CampaignIn
from cloud_api.staff.permissions import ALL
from tests.cloud_api.factories import make_customer, make_login, make_staff, staff
from tests.web.real import running_site
from tests.web.scenes import Town
from tests.web.test_groupbuy_walk import pay, shot
from tests.web.test_people_walk import sitting
from tests.web.test_walk import log_in
from tests.web.town import Visitor

pytestmark = pytest.mark.xdist_group("groupbuy-walk")


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    """An empty house, its owner, and a campaign that is a draft."""
    with running_site(tmp_path_factory.mktemp("gift-walk")) as site:

        async def people(session: AsyncSession) -> Town:
            guest = await make_customer(session, site.now)
            owner = await make_staff(session, site.shop, site.now)
            token = await make_login(session, owner.account_id, site.cloud.clocks.real)
            wanted = CampaignIn(
                name="三小时通用券",
                price_fen=5800,
                list_fen=8800,
                minutes=180,
                starts_at=site.now - timedelta(hours=1),
                ends_at=site.now + timedelta(days=30),
                store_ids=[site.shop.store.id],
            )
            who = staff(owner, ALL)
            made = await campaigns.create(session, who, wanted.model_dump(), site.cloud.clocks)
            return Town(site.shop, site.shop, guest, guest, {"owner": token, "campaign": made.id})

        yield Visitor(site, site.write(people))


def test_a_draft_a_present_and_more_time(browser: Browser, town: Visitor) -> None:
    site, campaign = town.site, town.town.tokens["campaign"]
    with (
        sitting(browser, town, town.town.tokens["owner"]) as desk,
        sitting(browser, town, phone=True) as one,
        sitting(browser, town, phone=True) as two,
    ):
        desk.goto(f"{site.url}/console/campaigns/{campaign}")
        expect(desk.get_by_text("写了使用规则 · 还没有")).to_be_visible()
        shot(desk, "campaign-draft")
        desk.get_by_role("link", name="在手机上的样子").click()
        expect(desk.get_by_text("这是预览，发布以后顾客才看得到")).to_be_visible()
        shot(desk, "campaign-preview")
        desk.go_back()
        desk.get_by_role("button", name="发布").click()
        desk.get_by_role("dialog").get_by_role("button", name="发布").click()
        expect(desk.get_by_text("在卖").first).to_be_visible()

        for phone, number in ((one, "13911130001"), (two, "13911130002")):
            phone.goto(f"{site.url}/login")
            log_in(phone, site, number)
            expect(phone).to_have_url(f"{site.url}/")
        one.goto(f"{site.url}/groupbuy/{campaign}")
        one.get_by_role("button", name="买，¥58 一张").click()
        pay(one, town)
        one.get_by_role("link", name="去用券").click()
        voucher = one.url
        one.get_by_role("button", name="送朋友").click()
        one.get_by_role("button", name="生成礼物链接").click()
        expect(one.get_by_label("礼物链接")).to_have_value(re.compile("/gifts/"))
        link = one.get_by_label("礼物链接").input_value()
        two.goto(link)
        shot(two, "gift")
        two.get_by_role("button", name="领下这张券").click()
        expect(two.locator(".vcode")).to_have_text(re.compile(r"^\d{4} \d{4} \d{4}$"))
        code = two.locator(".vcode").inner_text()
        one.goto(voucher)
        expect(one.locator(".vcode")).to_have_count(0)
        one.goto(link)
        expect(one.get_by_text(re.compile("领走|没有了|已经"))).to_be_visible()

        desk.goto(f"{site.url}/console/redeem")
        desk.get_by_label("券码").fill(code)
        desk.get_by_role("button", name="看这张券").click()
        desk.get_by_role("button", name="延长有效期").first.click()
        sheet = desk.get_by_role("dialog")
        until = site.now + timedelta(days=200)
        sheet.get_by_label("用到什么时候").fill(f"{until:%Y-%m-%dT12:00}")
        sheet.get_by_role("button", name="活动顺延").click()
        shot(desk, "desk-extend")
        sheet.get_by_role("button", name="延长", exact=True).click()
        expect(desk.get_by_text("延长了，客人那边也看得到")).to_be_visible()
        two.reload()
        expect(two.get_by_text(f"{until.month}月{until.day}日").first).to_be_visible()
