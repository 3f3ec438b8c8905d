"""People's ways in, in a browser: the first owner's set-up, an invitation, the platform at a console."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO

import pyotp
import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from sqlmodel import col, update

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.auth.models import Login, Totp
from cloud_api.auth.service import account_of_phone
from cloud_api.staff import cli, platform
from tests.cloud_api.factories import make_login
from tests.web.conftest import PATIENCE_MS
from tests.web.town import Visitor, running_town

OWNER = "13900001111"
CASHIER = "13900002222"
ADMIN = "13900003333"
PASSWORD = "three lamps by the door"

pytestmark = pytest.mark.xdist_group("people-walk")  # they share a running site


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("people-walk")) as running:
        yield running


@contextmanager
def sitting(
    browser: Browser, town: Visitor, token: str = "", *, phone: bool = False
) -> Iterator[Page]:
    """Somebody at a desk or with a phone; a script that fails, fails the test."""
    size = {"width": 390, "height": 844} if phone else {"width": 1440, "height": 900}
    context = browser.new_context(viewport=size, has_touch=phone)  # type: ignore[arg-type]
    context.set_default_timeout(PATIENCE_MS)
    if token:
        cookie = {"name": LOGIN_COOKIE, "value": token, "url": town.site.url}
        context.add_cookies([cookie])  # type: ignore[list-item]
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    yield tab
    context.close()
    assert wrong == []


def stale(town: Visitor, phone: str) -> None:
    """Eleven minutes since the second factor was proved: a dangerous act asks for it again."""

    async def act(session) -> None:
        account = await account_of_phone(session, f"+86{phone}")
        assert account is not None
        long_ago = town.site.cloud.clocks.real - timedelta(minutes=11)
        mine = col(Login.account_id) == account.id
        await session.exec(update(Login).where(mine).values(strong_at=long_ago))

    town.site.write(act)


def test_the_first_owner_is_guided_in_and_asked_again_before_what_is_dangerous(
    browser: Browser, town: Visitor
):
    site = town.site
    lines = site.write(
        lambda s: cli.first_owner(s, site.cloud, merchant="听竹轩", phone=OWNER, owner="林店主")
    )
    (link,) = (line.strip() for line in lines if "/console/setup#" in line)
    with sitting(browser, town, phone=True) as page:
        page.goto(link)
        expect(page).to_have_url(f"{site.url}/console/setup")  # the code stays in no address
        with page.expect_navigation():  # and its scripts have run
            page.get_by_role("button", name="进门").click()
        page.get_by_label("新密码").fill("1234567890")
        page.get_by_role("button", name="设密码").click()
        expect(
            page.locator("[data-error-for=password], [data-form-error]")
            .filter(has_text=re.compile("数字|密码"))
            .first
        ).to_be_visible()
        page.get_by_label("新密码").fill(PASSWORD)
        with page.expect_navigation():  # and its scripts have run
            page.get_by_role("button", name="设密码").click()
        page.get_by_role("button", name="开始设置").click()
        picture = page.get_by_alt_text("给动态码应用扫的二维码")
        expect(picture).to_be_visible()
        page.locator(".totp-qr").evaluate("image => image.decode()")
        (code,) = zxingcpp.read_barcodes(Image.open(BytesIO(picture.screenshot())))
        generator = pyotp.parse_uri(code.text)
        assert isinstance(generator, pyotp.TOTP)
        assert page.locator("[data-totp-secret]").inner_text().replace(" ", "") == generator.secret
        page.get_by_label("应用里现在的 6 位数字").fill("000000")
        page.get_by_role("button", name="确认").click()
        expect(page.get_by_text(re.compile("不对")).first).to_be_visible()
        page.get_by_label("应用里现在的 6 位数字").fill(generator.now())
        page.get_by_role("button", name="确认").click()
        codes = page.locator("[data-codes-list] > li")
        expect(codes).to_have_count(10)
        recovery = codes.all_inner_texts()
        page.get_by_role("link", name="收好了").click()
        expect(page).to_have_url(re.compile("/console"))
        page.goto(f"{site.url}/console/security")
        expect(page.get_by_text("还剩 10 个恢复码")).to_be_visible()
        assert recovery[0] not in page.content()  # shown once
    with sitting(browser, town) as page:
        page.goto(f"{site.url}/console/staff/new")
        expect(page).to_have_url(re.compile("/console/login"))
        page.get_by_text("用密码登录").click()
        page.locator("#f-p-phone").fill(OWNER)
        page.get_by_label("密码").fill(PASSWORD)
        with page.expect_navigation():  # and its scripts have run
            page.locator("details").get_by_role("button", name="登录").click()
        page.get_by_label("手机动态码应用里的 6 位数字").fill(recovery[0])
        with page.expect_navigation():  # and its scripts have run
            page.get_by_role("button", name="继续").click()
        expect(page.get_by_role("heading", name="请一位员工")).to_be_visible()
        stale(town, OWNER)
        page.get_by_label("手机号").fill("13900004444")
        page.get_by_label("姓名").fill("赵财务")
        page.get_by_role("button", name="发邀请短信").click()
        sheet = page.get_by_role("dialog")
        expect(sheet.get_by_role("heading", name="再输一次动态码")).to_be_visible()
        sheet.get_by_label("6 位数字，或一个恢复码").fill(recovery[0])
        sheet.get_by_role("button", name="继续").click()
        expect(sheet.locator("[data-error-for=code]")).not_to_be_empty()  # used already
        sheet.get_by_label("6 位数字，或一个恢复码").fill(recovery[1])
        sheet.get_by_role("button", name="继续").click()
        expect(page.get_by_role("heading", name="邀请短信发出去了")).to_be_visible()  # resent
        page.goto(f"{site.url}/console/audit")
        stale(town, OWNER)
        page.get_by_role("link", name="导出").click()
        sheet.get_by_label("6 位数字，或一个恢复码").fill(recovery[2])
        with page.expect_download() as saved:
            sheet.get_by_role("button", name="继续").click()
        assert saved.value.suggested_filename == "audit.jsonl"
        assert '"staff.invite"' in saved.value.path().read_text()


def test_who_is_invited_gets_in_sees_what_the_role_may_and_is_thrown_out_at_once(
    browser: Browser, town: Visitor
):
    site = town.site
    with sitting(browser, town, town.town.tokens["owner"]) as desk:
        desk.goto(f"{site.url}/console/staff/new")
        desk.get_by_label("手机号").fill(CASHIER)
        desk.get_by_label("姓名").fill("周收银")
        desk.get_by_label("岗位").select_option(label="收银员")
        desk.get_by_role("button", name="发邀请短信").click()
        link = desk.locator("[data-invited-link]")
        expect(link).to_contain_text("/invite#")
        with sitting(browser, town, phone=True) as page:
            page.goto(link.inner_text())
            expect(page.get_by_text("雀友会请你做收银员")).to_be_visible()
            with page.expect_navigation():  # and its scripts have run
                page.get_by_role("button", name="登录后接受").click()
            page.get_by_label("手机号").first.fill(CASHIER)
            page.get_by_role("button", name="发验证码").click()
            with page.expect_navigation(url=re.compile("/invite")):
                page.get_by_label("短信里的 6 位数字").fill(_login_code(town, CASHIER))
            page.get_by_role("button", name="接受").click()
            expect(page).to_have_url(re.compile("/console"))
            page.goto(f"{site.url}/console/orders")
            expect(page.get_by_role("heading", name="订单")).to_be_visible()
            page.get_by_role("button", name="更多").click()
            pages = page.locator("#sheet-pages")
            expect(pages.get_by_role("link", name="订单")).to_be_visible()
            expect(pages.get_by_role("link", name="员工")).to_have_count(0)
            expect(pages.get_by_role("link", name="备份")).to_have_count(0)
            refused = page.goto(f"{site.url}/console/staff")
            assert refused is not None
            assert refused.status == 403
            page.goto(f"{site.url}/console/orders")
            desk.goto(f"{site.url}/console/staff")
            with desk.expect_navigation():
                desk.get_by_role("link", name="周收银").click()
            desk.get_by_role("button", name="停用").click()
            desk.get_by_role("dialog").get_by_role("button", name="停用").click()
            expect(desk).to_have_url(re.compile("/console/staff$"))
            expect(desk.get_by_role("link", name="周收银")).to_have_count(0)
            page.reload()
            expect(page.get_by_role("heading", name="订单")).to_have_count(0)


def _login_code(town: Visitor, phone: str) -> str:
    """The newest code: the invitation's own message holds digits too."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for message in town.site.gateway.of(f"+86{phone}"):
            if "验证码" in message.text and (found := re.search(r"\d{6}", message.text)):
                return found[0]
        time.sleep(0.05)
    raise AssertionError("no code came")


def test_an_administrator_suspends_resumes_and_looks_on_seen_by_the_owner(
    browser: Browser, town: Visitor
):
    site, secret = town.site, pyotp.random_base32()

    async def admin(session) -> str:
        _admin, account = await platform.add_admin(session, ADMIN, "平台小吴", site.cloud.clocks)
        real = site.cloud.clocks.real
        account.second_factor_at = real
        session.add_all(
            [
                account,
                Totp(account_id=account.id, secret=secret, created_at=real, confirmed_at=real),
            ]
        )
        return await make_login(session, account.id, real)

    token = site.write(admin)
    with sitting(browser, town, token) as page:
        page.goto(f"{site.url}/platform")
        page.get_by_label("手机动态码应用里的 6 位数字").fill(pyotp.TOTP(secret).now())
        with page.expect_navigation():  # and its scripts have run
            page.get_by_role("button", name="继续").click()
        expect(page).to_have_url(re.compile("/platform"))
        mine = page.locator(".merchants > li").filter(has_text="雀友会")
        sheet = page.get_by_role("dialog")
        mine.get_by_role("button", name="暂停").click()
        sheet.get_by_label("为什么").fill("欠费")
        with page.expect_navigation():  # and its scripts have run
            sheet.get_by_role("button", name="暂停").click()
        expect(mine.get_by_text("已暂停")).to_be_visible()
        shut = town.get("owner", "/console")
        assert shut.status_code == 403
        assert "商家已暂停使用" in shut.text
        mine.get_by_role("button", name="恢复").click()
        sheet.get_by_label("为什么").fill("付清了")
        with page.expect_navigation():  # and its scripts have run
            sheet.get_by_role("button", name="恢复").click()
        expect(mine.get_by_role("button", name="暂停")).to_be_visible()
        assert town.get("owner", "/console").status_code == 200
        mine.get_by_role("button", name="代看控制台").click()
        sheet.get_by_role("button", name="店主请我帮忙").click()
        with page.expect_navigation():  # and its scripts have run
            sheet.get_by_role("button", name="进去").click()
        banner = page.get_by_text("你在代看 雀友会，店主看得到")
        expect(banner).to_be_visible()
        page.goto(f"{site.url}/console/staff/new")
        page.get_by_label("手机号").fill("13900005555")
        page.get_by_label("姓名").fill("无名")
        page.get_by_role("button", name="发邀请短信").click()
        expect(page.get_by_text("不能操作")).to_be_visible()
        with sitting(browser, town, town.town.tokens["owner"], phone=True) as owner:
            owner.goto(f"{site.url}/console/security")
            expect(owner.get_by_text("平台代看")).to_be_visible()
            page.get_by_role("button", name="结束代看").click()
            expect(page).to_have_url(f"{site.url}/platform")
            owner.reload()
            expect(owner.get_by_text("平台代看")).to_have_count(0)
            owner.goto(f"{site.url}/console/audit")
            for told in ("平台管理员结束代看", "平台管理员代看控制台", "恢复商家", "暂停商家"):
                expect(owner.get_by_role("link", name=told)).to_have_count(1)
            owner.get_by_role("link", name="平台管理员代看控制台").click()
            expect(owner.locator("#inspector").get_by_text("店主请我帮忙")).to_be_visible()
