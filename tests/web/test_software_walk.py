"""Other software's keys and addresses, in a browser: made, shown once, used, stopped; pushes that arrive."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

import cloud_api.webhooks.jobs  # noqa: F401  registers its handlers
from tests.cloud_api.webhooks.receiver import Receiver, receiving
from tests.web.test_people_walk import sitting
from tests.web.town import Visitor, running_town

pytestmark = pytest.mark.xdist_group("software-walk")  # they share a running site


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("software-walk")) as running:
        running.site.cloud.settings.notice_private_hosts = True
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.fixture
def desk(browser: Browser, town: Visitor) -> Iterator[Page]:
    """The owner at a desk."""
    with sitting(browser, town, town.town.tokens["owner"]) as page:
        yield page


def test_a_key_is_made_shown_once_used_and_stopped(desk: Page, town: Visitor):
    desk.goto(f"{town.site.url}/console/api-keys")
    desk.get_by_role("link", name="新建密钥").first.click()
    form = desk.locator("form[data-api][action$='api-keys']")
    form.get_by_label("名字", exact=True).fill("财务软件")
    form.get_by_role("button", name="新建密钥").click()
    expect(form.locator("[data-error-for=permissions]")).not_to_be_empty()
    form.get_by_text("看订单", exact=True).click()
    form.get_by_text("只要选中的").click()
    form.get_by_role("button", name="新建密钥").click()
    expect(form.locator("[data-error-for=store_ids]")).to_have_text("选至少一个门店")
    form.locator("[data-reach-some]").get_by_text("静安店").click()
    form.get_by_role("button", name="新建密钥").click()
    expect(desk.get_by_role("heading", name="密钥建好了")).to_be_focused()
    key = desk.locator("[data-once-text]").inner_text()
    assert key.startswith("kmk_")

    def orders() -> int:
        told = {"Authorization": f"Bearer {key}"}
        return httpx.get(
            f"{town.site.url}/api/v1/console/orders", headers=told, trust_env=False
        ).status_code

    assert orders() == 200
    desk.get_by_role("link", name="回到密钥").click()
    row = desk.locator("tbody tr")
    expect(row).to_contain_text("财务软件")
    expect(row).to_contain_text("上次用")
    assert key not in desk.content()
    row.get_by_text("1 项权限 · 雀友会·静安店").click()
    expect(row.get_by_text("看订单", exact=True)).to_be_visible()
    row.get_by_role("button", name="停用").click()
    desk.get_by_role("dialog").get_by_role("button", name="停用").click()
    expect(desk.get_by_text("先给它一把密钥")).to_be_visible()
    assert orders() == 401
    desk.locator("label.chip", has_text="已停用").click()
    expect(desk.locator("tbody tr")).to_contain_text("财务软件")
    expect(desk.get_by_role("button", name="停用")).to_have_count(0)


def test_an_address_is_added_tried_given_a_new_secret_paused_and_told_again(
    desk: Page, town: Visitor, receiver: Receiver
):
    desk.goto(f"{town.site.url}/console/webhooks")
    desk.get_by_role("link", name="加一个地址").first.click()
    form = desk.locator("form[data-api][action$='webhooks']")
    form.get_by_label("名字", exact=True).fill("财务软件")
    form.get_by_label("地址").fill("ftp://erp.example/hook")
    form.get_by_text("alarm", exact=True).click()
    form.get_by_text("只要其中几种").first.click()
    form.get_by_text("order.paid", exact=True).click()
    form.get_by_role("button", name="加上").click()
    expect(form.locator("[data-error-for=url]")).to_contain_text("https://")
    form.get_by_label("地址").fill(receiver.url)
    form.get_by_role("button", name="加上").click()
    expect(desk.get_by_role("heading", name="这是签名密钥")).to_be_focused()
    receiver.secret = desk.locator("[data-once-text]").inner_text()
    assert receiver.secret.startswith("whsec_")
    desk.get_by_role("link", name="回到推送").click()
    expect(desk.locator("tbody tr")).to_contain_text("订单 · 已支付")
    expect(desk.locator("tbody tr")).to_contain_text("告警的全部事件")
    desk.get_by_role("link", name="财务软件").click()
    assert receiver.secret not in desk.content()
    receiver.now = town.site.cloud.clocks.real.timestamp()
    desk.get_by_role("button", name="发一条试试").click()
    row = desk.locator("tbody tr").first
    expect(row).to_contain_text("送到了")  # nobody reloads the page
    expect(row).to_contain_text("204")
    row.get_by_role("button", name="再发一次").click()
    expect(row).to_contain_text("送到了")
    desk.get_by_role("button", name="换签名密钥").click()
    desk.get_by_role("dialog").get_by_role("button", name="换签名密钥").click()
    expect(desk.get_by_role("heading", name="新的签名密钥")).to_be_focused()
    assert desk.locator("[data-once-text]").inner_text() != receiver.secret
    expect(desk.get_by_text("换过签名密钥")).to_be_visible()
    desk.get_by_role("button", name="暂停推送").click()
    desk.get_by_role("dialog").get_by_role("button", name="暂停推送").click()
    expect(desk.locator("[data-region=hook] .state")).to_have_text("暂停")
    desk.get_by_role("button", name="恢复").click()
    expect(desk.locator("[data-region=hook] .state")).to_have_text("在推")
    desk.get_by_role("button", name="暂停推送").click()
    desk.get_by_role("dialog").get_by_role("button", name="暂停推送").click()
    desk.get_by_role("button", name="删掉").click()
    desk.get_by_role("dialog").get_by_role("button", name="删掉").click()
    expect(desk).to_have_url(f"{town.site.url}/console/webhooks")
    expect(desk.get_by_text("先加它的地址")).to_be_visible()
