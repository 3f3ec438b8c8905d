"""What is kept, in a browser: the log of acts, a backup made and looked at, one's own data taken along."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.service import account_of_phone
from cloud_api.backups import key as keys
from cloud_api.kit.keys import load_keys
from cloud_api.merchants.models import Merchant
from cloud_api.orders.models import Order
from tests.cloud_api.factories import make_customer, make_login, make_order
from tests.web.test_people_walk import sitting
from tests.web.town import Visitor, running_town

LEAVER = "13900007777"

pytestmark = pytest.mark.xdist_group("safety-walk")  # they share a running site


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    folder = tmp_path_factory.mktemp("safety-walk")
    with running_town(folder) as running:
        settings = running.site.cloud.settings
        load_keys(folder)
        settings.backup_to = str(folder / "backups")
        settings.backup_key_file = folder / "owner.key"
        keys.make_file(settings.backup_key_file)
        yield running


@pytest.fixture
def desk(browser: Browser, town: Visitor) -> Iterator[Page]:
    """The owner at a desk."""
    with sitting(browser, town, town.town.tokens["owner"]) as page:
        yield page


def test_a_backup_is_made_and_looked_at_from_the_page_and_stands_in_the_log(
    desk: Page, town: Visitor
):
    desk.goto(f"{town.site.url}/console/backups")
    expect(desk.get_by_text("每天夜里自动备份一次")).to_be_visible()
    sheet = desk.get_by_role("dialog")
    desk.get_by_role("button", name="现在备份").click()
    sheet.get_by_role("button", name="现在备份").click()
    expect(desk.locator("tbody tr")).to_have_count(1)
    row = desk.locator("tbody tr").first
    expect(row.get_by_text("完好")).to_be_visible()  # nobody reloads the page
    expect(row).to_contain_text(".kmb")
    look = desk.get_by_role("button", name="检查最新一份")
    expect(look).to_be_enabled()
    look.click()
    sheet.get_by_role("button", name="检查").click()
    expect(row.get_by_text("检查过")).to_be_visible()
    expect(row.get_by_text("完好")).to_be_visible()
    desk.goto(f"{town.site.url}/console/staff")
    desk.get_by_text("店主都要").click()
    desk.get_by_role("button", name="保存").click()
    expect(desk).to_have_url(
        re.compile("/console/security")
    )  # the owner has none yet: led to set it up
    expect(desk.get_by_role("heading", name="设密码")).to_be_visible()
    town.site.write(_nothing_demanded)
    desk.goto(f"{town.site.url}/console/audit")
    expect(desk.get_by_role("link", name="立即备份")).to_be_visible()
    desk.get_by_label("什么").select_option(label="商家")
    expect(desk.locator("tbody tr")).to_have_count(1)
    desk.get_by_role("link", name="改动态码要求").click()
    glass = desk.locator("#inspector")
    expect(glass.get_by_text("店主都要")).to_be_visible()
    told = glass.inner_text()
    assert not re.search(r"[{}\[\]]|\b(off|owner|None|true|false)\b", told), told


async def _nothing_demanded(session: AsyncSession) -> None:
    await session.exec(update(Merchant).values(second_factor="off"))


def test_ones_data_is_taken_along_and_deleted_when_nothing_is_open(browser: Browser, town: Visitor):
    site = town.site

    async def make(session) -> tuple[str, str]:
        account = await make_customer(session, site.now, f"+86{LEAVER}")
        hours = site.now.replace(hour=site.now.hour + 3)
        order = await make_order(
            session, site.shop, account, hours, now=site.now, room=site.shop.rooms[1]
        )
        return await make_login(session, account.id, site.cloud.clocks.real), order.id

    token, order_id = site.write(make)
    with sitting(browser, town, token, phone=True) as page:
        page.goto(f"{site.url}/me/privacy")
        page.get_by_role("button", name="整理一份").click()
        expect(page.get_by_text(re.compile("正在整理|可以下载")).first).to_be_visible()
        link = page.get_by_role("link", name="下载")
        for _try in range(40):
            if link.count():
                break
            page.wait_for_timeout(250)
            page.reload()
        with page.expect_download() as saved:
            link.click()
        with zipfile.ZipFile(saved.value.path()) as packed:
            texts = [packed.read(name).decode() for name in packed.namelist()]
        assert any(LEAVER in text for text in texts)
        page.get_by_label("输入手机号后四位确认").fill("7777")
        page.get_by_role("button", name="注销账号").click()
        expect(page.get_by_text("现在还不能注销")).to_be_visible()
        expect(page.get_by_text("还有没结束的订单")).to_be_visible()

        async def over(session) -> None:
            mine = col(Order.id) == order_id
            await session.exec(update(Order).where(mine).values(status="completed"))

        site.write(over)
        page.get_by_label("输入手机号后四位确认").fill("7777")
        page.get_by_role("button", name="注销账号").click()
        expect(page).to_have_url(f"{site.url}/")
        page.goto(f"{site.url}/me/privacy")
        expect(page).to_have_url(re.compile("/login"))

    async def gone(session) -> bool:
        return await account_of_phone(session, f"+86{LEAVER}") is None

    assert site.write(gone)
