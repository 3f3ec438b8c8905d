"""Paying with a card in a browser: the owner opens the account, guests pay, go back, change their mind.

UnionPay is a real server with certificates of its own: the owner's form takes its real files, the
guest's browser posts the form that we signed, and the order is ready once UnionPay has told us.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.payments import service as payments
from tests.support.card_simulators import Gateway, running_gateway
from tests.web.test_people_walk import sitting
from tests.web.test_walk import choose, log_in
from tests.web.town import Visitor, running_town

SHOTS = os.environ.get("SHOTS")
pytestmark = pytest.mark.xdist_group("pay-walk")  # they share a running site


@pytest.fixture(scope="module")
def bank() -> Iterator[Gateway]:
    with running_gateway(time_factor=60.0) as running:
        yield running


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("pay-walk")) as running:
        running.site.cloud.settings.payment_private_hosts = True
        yield running


@pytest.fixture
def card(town: Visitor, files: dict[str, Any]) -> None:
    """The owner has opened the account, by the page or before."""

    async def there(session: AsyncSession) -> None:
        known = await payments.accounts_of(session, town.site.shop.store, "unionpay")
        if not known:
            made = await payments.add_account(
                session,
                merchant_id=town.site.shop.merchant.id,
                provider="unionpay",
                name="银联卡",
                credentials=json.dumps({k: v for k, v in files.items() if k != "folder"}),
                clocks=town.site.cloud.clocks,
            )
            made.position = -1

    town.site.write(there)


@pytest.fixture
def site(town: Visitor) -> str:
    return town.site.url


@pytest.fixture(scope="module")
def files(bank: Gateway, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The account as its owner has it: files in a folder, and what is typed."""
    account = bank.account()
    folder = tmp_path_factory.mktemp("bank")
    (folder / "acp.pfx").write_bytes(base64.b64decode(account["pfx"]))
    (folder / "root.cer").write_text(account["root"])
    (folder / "middle.cer").write_text(account["middle"])
    return account | {"folder": folder}


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


def to_the_choice(page: Page, town: Visitor, phone: str, room: str, days: int = 1) -> str:
    """Logged in, ordered, at the choice of ways to pay; the page's address."""
    page.goto(f"{town.site.url}/login")
    log_in(page, town.site, phone)
    expect(page).to_have_url(f"{town.site.url}/")
    choose(page, town.site, room, days=days)
    page.get_by_role("button", name="下一步，核对订单").click()
    page.get_by_role("button", name=re.compile("^提交订单，付")).click()
    expect(page).to_have_url(re.compile(r"/orders/[^/]+/pay$"))
    return page.url


def test_the_owner_opens_an_account_and_tries_it(
    browser: Browser, town: Visitor, files: dict[str, Any], bank: Gateway
) -> None:
    with sitting(browser, town, town.town.tokens["owner"]) as desk:
        desk.goto(f"{town.site.url}/console/payments")
        expect(desk.get_by_role("link", name=re.compile("银联在线支付"))).to_be_visible()
        shot(desk, "accounts-first")
        desk.get_by_role("link", name=re.compile("银联在线支付")).click()
        desk.get_by_label("银联商户号（15 位）").fill(files["merchant"])
        folder = files["folder"]
        desk.get_by_label("签名证书文件（.pfx）").set_input_files(folder / "acp.pfx")
        desk.get_by_label("签名证书的密码").fill("wrong")
        desk.get_by_label("银联中级证书（.cer）").set_input_files(folder / "middle.cer")
        desk.get_by_label("银联根证书（.cer）").set_input_files(folder / "root.cer")
        desk.get_by_label("网关地址").fill(bank.url)
        desk.get_by_label("对账文件地址").fill(bank.url)
        desk.get_by_role("button", name="保存").click()
        expect(desk.get_by_text("密码不对，或者不是 .pfx 文件")).to_be_visible()
        shot(desk, "account-wrong")
        desk.get_by_label("签名证书的密码").fill(files["pfx_password"])
        desk.get_by_role("button", name="保存").click()
        expect(desk).to_have_url(f"{town.site.url}/console/payments")
        row = desk.locator("tr.lr", has_text="银联卡")
        expect(row.get_by_text("还没试过")).to_be_visible()
        row.get_by_role("button", name="试一下").click()
        expect(row.get_by_text("在用")).to_be_visible()
        row.get_by_role("button", name="上移").click()
        expect(desk.locator("tr.lr").first).to_contain_text("银联卡")
        shot(desk, "accounts")
        row.get_by_role("link", name="改").click()
        expect(desk.get_by_text("签名证书", exact=True).first).to_be_visible()
        expect(desk.get_by_text(re.compile(r"还有 \d+ 天")).first).to_be_visible()
        shot(desk, "account")
        whole = desk.content()
        assert files["pfx"][:60] not in whole
        assert files["pfx_password"] not in re.sub(r"<[^>]+>", "", whole)


@pytest.mark.usefixtures("card")
def test_a_guest_pays_with_a_card_and_comes_back_to_a_booked_room(
    page: Page, town: Visitor, bank: Gateway
) -> None:
    pay = to_the_choice(page, town, "13911120001", "竹间")
    expect(page.get_by_role("radio", name=re.compile("银联卡"))).to_be_checked()
    shot(page, "pay-choose")
    page.get_by_role("button", name=re.compile("^付 ¥")).click()
    expect(page).to_have_url(re.compile(re.escape(bank.url)))
    page.goto(pay)
    expect(page.get_by_role("heading", name="等你在银联卡付款")).to_be_visible()
    shot(page, "pay-waiting")
    page.get_by_role("button", name="换一种付法").click()  # UnionPay cannot close: so we say
    expect(page.get_by_text(re.compile("先别再付一次"))).to_be_visible()
    page.goto(pay)
    expect(page.get_by_text("等银联卡的结果", exact=True)).to_be_visible()
    shot(page, "pay-unknown")
    page.get_by_role("button", name="查一下结果").click()
    page.get_by_role("link", name=re.compile("继续付")).click()
    expect(page).to_have_url(re.compile(re.escape(bank.url)))
    page.get_by_role("button", name=re.compile("确认付款")).click()
    expect(page.get_by_text("支付成功")).to_be_visible()
    page.get_by_role("button", name="返回商家").click()
    expect(page).to_have_url(re.compile(r"/orders/[^/]+(/pay|\?paid=1)?$"))
    expect(page.get_by_role("heading", name="订好了")).to_be_visible()


@pytest.mark.usefixtures("card")
def test_another_way_is_chosen_once_the_first_is_closed(page: Page, town: Visitor) -> None:
    to_the_choice(page, town, "13911120002", "梅间")
    page.get_by_role("radio", name=re.compile("收银台")).check()
    page.get_by_role("button", name=re.compile("^付 ¥")).click()
    expect(page).to_have_url(re.compile(re.escape(town.site.till.url)))
    page.get_by_role("button", name="取消").click()
    expect(page).to_have_url(re.compile(r"/orders/[^/]+/pay$"))
    page.get_by_role("button", name="换一种付法").click()
    expect(page.get_by_role("radio", name=re.compile("银联卡"))).to_be_visible()
    expect(page.get_by_text("没付成，钱没有扣")).to_be_visible()
    shot(page, "pay-again")
    assert [row["state"] for row in town.site.till.payments().values()] == ["closed"]
