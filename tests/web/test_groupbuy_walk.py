"""Group-buy in browsers: the owner puts a campaign on sale, two people complete a team and pay, one goes
in at the door, one is let in at the desk; whoever tries a voucher again is told how it was used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page, expect
from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.orders import refund_wait
from cloud_api.orders.models import RefundWait
from tests.cloud_api.factories import make_customer, make_login, make_staff
from tests.cloud_api.media.files import film, photo
from tests.support.camera import looking_at
from tests.web.arrive import arrive
from tests.web.conftest import ARGS, CHROMIUM, PATIENCE_MS
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


def nobody_went_in(town: Visitor) -> None:
    """The store has taken the right to enter back, and has nothing more to tell."""
    site = town.site

    async def says(session: AsyncSession) -> None:
        waits = (await session.exec(select(RefundWait))).all()
        store = site.shop.store.id
        await refund_wait.told(session, store, 1, 7, frozenset(one.claim_id for one in waits))
        await refund_wait.obeyed(session, store, 1, 7, 0, site.cloud.clocks)

    site.write(says)


def put_on_sale(desk: Page, town: Visitor) -> None:
    """The owner writes a campaign for two and publishes it."""
    desk.goto(f"{town.site.url}/console/campaigns")
    shot(desk, "campaigns-none")
    desk.get_by_role("link", name="新建活动").click()  # offered once
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
    expect(desk.get_by_text("还没有照片，客人先看到一幅画")).to_be_visible()
    pictures: list[FilePayload] = [
        {"name": f"{n}.jpg", "mimeType": "image/jpeg", "buffer": photo(900, 700, sideways=n > 1)}
        for n in (1, 2)
    ]
    clip: FilePayload = {"name": "店.mp4", "mimeType": "video/mp4", "buffer": film()}
    desk.get_by_label("传照片或视频").set_input_files([*pictures, clip])
    shots = desk.locator("#shots [data-item]")
    expect(shots).to_have_count(3)
    second = shots.nth(1).get_attribute("data-item") or ""
    with desk.expect_response(re.compile("/media-order$")):  # written down before it is read again
        shots.nth(1).get_by_role("button", name="往前").click()
    expect(shots.nth(0)).to_have_attribute("data-item", second)
    desk.reload()
    expect(shots.nth(0)).to_have_attribute("data-item", second)
    expect(shots.nth(0)).to_contain_text("封面")
    shot(desk, "campaign-draft")
    desk.goto(f"{desk.url}/preview")
    expect(desk.locator(".gallery video")).to_have_count(1)
    shot(desk, "campaign-preview")
    desk.goto(f"{town.site.url}/console/campaigns")
    row = desk.locator("tr.lr").filter(has_text=NAME)
    expect(row).to_contain_text("草稿")
    row.get_by_role("button", name="发布").click()
    desk.get_by_role("dialog").get_by_role("button", name="发布").click()
    expect(row).to_contain_text("在卖")
    shot(desk, "campaigns")
    row.get_by_role("link", name=NAME).click()
    expect(desk.get_by_label("另送什么")).to_have_value("龙井一壶\n瓜子一碟")
    shot(desk, "campaign")


def redeem_by_camera(browser: Browser, town: Visitor, phone: Page, folder: Path) -> None:
    """The desk's camera looks at a guest's phone: the voucher's QR of this minute opens 竹间."""
    for _ in range(3):  # the QR is of a minute or two: read in time, or shown anew
        phone.reload()
        phone.locator(".qr img").first.screenshot(path=folder / "qr.png")
        fake = [
            "--use-fake-device-for-media-stream",
            "--use-fake-ui-for-media-stream",
            f"--use-file-for-fake-video-capture={looking_at(folder / 'qr.png', folder / 'qr.y4m')}",
        ]
        eye = browser.browser_type.launch(executable_path=CHROMIUM, args=[*ARGS, *fake])
        try:
            page = eye.new_context(viewport={"width": 390, "height": 844}).new_page()
            page.set_default_timeout(PATIENCE_MS)
            token = town.town.tokens["owner"]
            page.context.add_cookies([{"name": LOGIN_COOKIE, "value": token, "url": town.site.url}])
            page.goto(f"{town.site.url}/console/redeem")
            page.get_by_role("button", name="用相机扫码").click()
            valid = page.get_by_role("heading", name=NAME)
            old = page.get_by_text("二维码过期了")
            expect(valid.or_(old)).to_be_visible()
            if valid.is_visible():
                expect(page.get_by_role("radio", name=re.compile("竹间"))).to_be_checked()
                expect(page.locator("[data-scan-view]")).to_be_hidden()
                shot(page, "desk-camera")
                page.get_by_role("button", name="核销，开这间").click()
                expect(page.get_by_text("核销好了")).to_be_visible()
                return
        finally:
            eye.close()
    raise AssertionError("the camera did not read the voucher")


def hired(town: Visitor, role: str) -> str:
    """Somebody new in this role; their login."""

    async def made(session: AsyncSession) -> str:
        member = await make_staff(session, town.site.shop, town.site.now, role=role)
        return await make_login(session, member.account_id, town.site.cloud.clocks.real)

    return town.site.write(made)


def pay(phone: Page, town: Visitor) -> None:
    """Pay the group order of this page at the cashier, and come back to it."""
    expect(phone).to_have_url(re.compile("/groupbuy/orders/"))
    phone.get_by_role("button", name=re.compile("^付 ¥58")).click()
    expect(phone).to_have_url(re.compile(re.escape(town.site.till.url)))
    phone.get_by_role("button", name=re.compile("支付")).first.click()
    expect(phone).to_have_url(re.compile("/groupbuy/orders/"))


def test_a_campaign_from_the_console_to_the_door_and_the_desk(
    browser: Browser, town: Visitor, tmp_path: Path
) -> None:
    """The owner sells; whoever stands at the desk is a cashier, with no more rights than that."""
    site = town.site
    with (
        sitting(browser, town, town.town.tokens["owner"]) as owner,
        sitting(browser, town, hired(town, "cashier")) as desk,
        sitting(browser, town, phone=True) as one,
        sitting(browser, town, phone=True) as two,
    ):
        put_on_sale(owner, town)
        for phone, number in ((one, "13911120001"), (two, "13911120002")):
            phone.goto(f"{site.url}/login")
            log_in(phone, site, number)
            expect(phone).to_have_url(f"{site.url}/")
        one.get_by_role("link", name="拼团").click()
        shot(one, "groupbuy")
        one.get_by_role("link", name=NAME).first.click()
        expect(one.locator(".gallery video")).to_have_count(1)
        shot(one, "groupbuy-campaign")
        one.get_by_role("button", name="开团 ¥58").click()
        shot(one, "groupbuy-pay")
        pay(one, town)
        expect(one.get_by_role("img", name="2 人团，到了 1 人")).to_be_visible()
        two.goto(one.get_by_label("团的链接").input_value())
        assert two.locator('meta[property="og:title"]').get_attribute("content") == f"{NAME} ¥58"
        cover = two.locator('meta[property="og:image"]').get_attribute("content") or ""
        assert re.fullmatch(rf"{re.escape(site.url)}/media/\w+/640\.jpg", cover)
        two.get_by_text("海报").click()
        expect(two.get_by_role("img", name=re.compile("这个团的海报"))).to_have_js_property(
            "naturalWidth", 750
        )
        shot(two, "team")
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
            # A phone that does not hear of the other: else its page may be another before it is tapped.
            tab.route("**/api/v1/events*", lambda route: route.abort())
            for phone in (one, tab):
                phone.goto(f"{site.url}/d/{plum}")
                phone.get_by_role("link", name="用团购券进门").click()
                arrive(phone, re.compile("/me/vouchers/"))  # with its script, which opens the sheet
                phone.get_by_role("button", name="用券进梅间").click()
                expect(phone.get_by_role("button", name="用掉这张券")).to_be_visible()
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
        redeem_by_camera(browser, town, two, tmp_path)
        desk.reload()
        log = desk.locator("#log tr.lr")
        expect(log).to_have_count(2)
        expect(log.filter(has_text="竹间")).to_contain_text("扫码")
        shot(desk, "desk-done")
        desk.get_by_label("券码").fill(other)
        desk.get_by_role("button", name="看这张券").click()
        expect(desk.get_by_text("这张券用过了")).to_be_visible()
        for told in ("雀友会·静安店 竹间", "陈店长", "订单"):  # where, by whom, for what
            expect(desk.locator("[data-u-facts]")).to_contain_text(told)
        shot(desk, "desk-used-by-staff")
        two.reload()
        expect(two.get_by_text(re.compile("在雀友会·静安店竹间用过了"))).to_be_visible()

        # taken back: the voucher is whole again
        mine = log.filter(has_text="竹间").first
        mine.get_by_role("button", name="撤销").click()
        sheet = desk.get_by_role("dialog")
        sheet.get_by_role("button", name="选错了包间").click()
        sheet.get_by_role("button", name="撤销核销").click()
        expect(log.filter(has_text="等门店确认")).to_have_count(1)  # they stand at the door
        nobody_went_in(town)
        desk.reload()
        expect(log.filter(has_text="已撤销")).to_have_count(1)
        two.reload()
        expect(two.locator(".vcode")).to_have_text(other)
        desk.get_by_role("link", name="团购", exact=True).first.click()
        desk.get_by_role("link", name="团购统计").click()
        expect(desk.locator("tr.lr").filter(has_text=NAME)).to_contain_text("¥116")
        desk.get_by_role("link", name="金额", exact=True).click()  # sorted by the server
        expect(desk.locator("th[aria-sort=descending]")).to_have_text("金额")
        expect(desk).to_have_url(re.compile("sort=-sold_fen"))
        expect(desk.locator("tr.lr").filter(has_text=NAME)).to_contain_text("¥116")
        shot(desk, "report")
