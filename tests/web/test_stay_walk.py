"""The running stay in a browser: devices that tell the truth, the last minutes, and what grows after the end."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.devices.models import DeviceCommand
from cloud_api.stores.models import Store
from tests.cloud_api.factories import make_order, make_store
from tests.web.arrive import arrive
from tests.web.storekeeper import answering
from tests.web.test_console_walk import answering as console_answering
from tests.web.town import Visitor, running_town

pytestmark = pytest.mark.xdist_group("walk")


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("stay")) as made:

        async def wire(session):
            store = await session.get_one(Store, made.site.shop.store.id)
            store.wifi_name, store.wifi_password = "queyouhui-5G", "88886666"
            store.overtime_mode, store.overtime_unit_fen = "per_unit", 1200
            session.add(store)

        made.site.write(wire)
        yield made


@pytest.fixture
def site(visitor: Visitor) -> str:
    return visitor.site.url


def at_the_stay(page: Page, visitor: Visitor) -> None:
    page.context.add_cookies(
        [{"name": LOGIN_COOKIE, "value": visitor.town.tokens["guest"], "url": visitor.site.url}]
    )
    page.goto(f"{visitor.site.url}/orders/{visitor.town.order('in_use')}/stay")


LOOKED = (
    "document.addEventListener('km:live', () => { document.documentElement.dataset.looked = '1'; })"
)


def looked(page: Page) -> None:
    """The look that a page takes when its feed has come up is over: here no store reports what a device did."""
    expect(page.locator("html[data-looked]")).to_be_attached()


def test_a_switch_moves_when_the_store_said_so(page: Page, visitor: Visitor, site: str):
    page.add_init_script(LOOKED)
    at_the_stay(page, visitor)
    looked(page)
    table = page.get_by_role("switch", name="麻将机")
    expect(table).to_have_attribute("aria-checked", "true")
    with answering(visitor.site, "failed"):
        table.click()
        expect(page.get_by_text(re.compile("没有办成|没调成"))).to_be_visible()
        expect(table).to_have_attribute(
            "aria-checked", "true"
        )  # what the store reported, not the tap
    with answering(visitor.site):
        page.reload()
        looked(page)
        table.click()
        expect(table).to_have_attribute("aria-checked", "false")
    page.get_by_role("button", name="低一度").click()
    expect(page.locator("[data-stepped]")).to_have_text("24°")
    with answering(visitor.site):
        expect(page.get_by_text("制冷 24 度 · 风速自动")).to_be_visible()
    modes = page.get_by_role("group", name="模式")
    dry, cool = (modes.get_by_role("button", name=one) for one in ("除湿", "制冷"))
    expect(cool).to_have_attribute("aria-pressed", "true")
    with answering(visitor.site, "failed"):
        dry.click()
        expect(page.get_by_text(re.compile("没有办成|没调成"))).to_be_visible()
    expect(cool).to_have_attribute("aria-pressed", "true")  # nothing was taken, so nothing moved
    with console_answering(visitor.site, "done") as asked:
        dry.click()
        expect(page.get_by_text("除湿 24 度 · 风速自动")).to_be_visible()
        page.get_by_role("group", name="风速").get_by_role("button", name="高").click()
        expect(page.get_by_text("除湿 24 度 · 风速高")).to_be_visible()
    expect(dry).to_have_attribute("aria-pressed", "true")
    told = [{k: v for k, v in one.args.items() if k != "for_s"} for one in asked]
    assert told == [{"mode": "dry"}, {"fan": "high"}]


TOUCH = """async (topic) => {
    const loaded = performance.getEntriesByType('resource').map((one) => one.name);
    (await import(loaded.find((name) => name.includes('/js/live')))).touch([topic]);
}"""


def test_what_the_store_said_outlives_a_look_that_began_before(
    page: Page, visitor: Visitor, site: str
):
    """Bug: the page asks for itself anew when its feed has come up. Whoever tapped just then was told that it
    had not worked, and the answer to the older question took the words away before they could be read.
    """
    page.add_init_script(LOOKED)
    at_the_stay(page, visitor)
    order = visitor.town.order("in_use")
    looked(page)
    held: list[Route] = []

    def hold(route: Route) -> None:
        held.append(route)

    page.route(f"{site}/orders/{order}/stay", hold)
    page.evaluate(TOUCH, f"order:{order}")
    until(page, lambda: bool(held))
    table = page.get_by_role("switch", name="麻将机")
    was = str(table.get_attribute("aria-checked"))
    with answering(visitor.site, "failed"):
        table.click()
        refused = page.get_by_text(re.compile("没有办成|没调成"))
        expect(refused).to_be_visible()
    page.evaluate(
        "() => { const now = Date.now(); Date.now = () => now; }"
    )  # however long the look takes
    page.evaluate("() => delete document.documentElement.dataset.looked")
    for one in held:
        one.continue_()
    looked(page)
    expect(refused).to_be_visible()
    expect(table).to_have_attribute("aria-checked", was)


def until(page: Page, true: Callable[[], bool]) -> None:
    """Let the page go on until it is so."""
    for _ in range(600):
        if true():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come to that")


def test_help_wifi_and_friends_are_at_hand(page: Page, visitor: Visitor, site: str):
    at_the_stay(page, visitor)
    page.get_by_role("button", name="WiFi").click()
    expect(page.get_by_text("88886666")).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="呼叫店家").click()
    for number in ("119", "120", "110"):
        expect(page.locator(f'a[href="tel:{number}"]')).to_be_visible()
    page.keyboard.press("Escape")
    page.get_by_role("link", name="报修").click()
    expect(page.get_by_label("哪一类")).to_have_value("repair")
    page.go_back()
    page.get_by_role("link", name=re.compile("邀牌友")).click()
    expect(page.get_by_role("button", name="生成邀请链接")).to_be_visible()


def test_a_tap_opens_the_door_also_where_no_script_comes(page: Page, visitor: Visitor, site: str):
    """Bug: 开门 did nothing at all until its script had come, and on a phone that runs none never: at ten to
    midnight, with one bar of signal, a guest stood before a button that looked right and was dead.
    """
    browser = page.context.browser
    assert browser is not None
    plain = browser.new_context(java_script_enabled=False, locale="zh-CN")
    cookie = {"name": LOGIN_COOKIE, "value": visitor.town.tokens["guest"], "url": site}
    plain.add_cookies([cookie])  # type: ignore[list-item]
    phone, door = plain.new_page(), f"{site}/d/{visitor.site.shop.door.token}"
    said = phone.locator("[data-door-say]")

    async def a_tap(session):
        real, shop = visitor.site.cloud.clocks.real, visitor.site.shop
        made = DeviceCommand(
            merchant_id=shop.merchant.id, store_id=shop.store.id, target=shop.door.id, action="unlock", args={},
            by=f"customer:{visitor.town.guest.id}", why="", order_id=None, instance="", created_at=real,
            expires_at=real + timedelta(seconds=10),
        )  # fmt: skip
        session.add(made)
        return made.id

    try:
        phone.goto(door)
        expect(said).to_have_text("")  # looking opens nothing
        with answering(visitor.site, "failed"):
            phone.get_by_role("button", name="开门").click()
            expect(phone.get_by_role("button", name="再试")).to_be_visible()
        expect(said).not_to_have_text("")
        with answering(visitor.site):
            phone.get_by_role("button", name="再试").click()
            expect(said).to_have_text("开了，请推门")
        opened = phone.url
        phone.goto(f"{site}/orders/{visitor.town.order('in_use')}/stay")
        with answering(visitor.site):
            phone.get_by_role("button", name="开门").click()  # again so soon: no second pulse
        expect(phone).to_have_url(
            re.compile(r"/orders/[^/]+/stay\?tap=")
        )  # told beside the stay's controls
        expect(said).to_have_text("开了，请推门")
        tap = visitor.site.write(a_tap)  # the answer was heard, and its row is still to be written
        with answering(visitor.site, after_s=0.5):
            phone.goto(f"{door}?tap={tap}")
        expect(said).to_have_text("开了，请推门")
        phone.goto(f"{door}?tap=01ANOTHERS")  # a link of somebody who was here before says nothing
        expect(said).to_have_text("")
    finally:
        plain.close()
    at_the_stay(page, visitor)
    page.goto(opened)  # a script that came after the tap takes over
    expect(page.locator("[data-door]")).to_have_attribute("data-state", "ready")


def test_the_last_minutes_warn_and_overtime_grows(page: Page, visitor: Visitor, site: str):
    """The page is left open: the clock alone brings the warning, the grace and what it costs."""
    at_the_stay(page, visitor)
    order = visitor.town.orders["in_use"]
    left = order.ends_at - visitor.site.now
    visitor.site.passes(seconds=(left - timedelta(minutes=12)).total_seconds())
    expect(page.get_by_text(re.compile(r"还有 1[12] 分钟，要续时吗？最多到 16:"))).to_be_visible()
    visitor.site.passes(minutes=14)
    expect(page.get_by_text(re.compile("前离开不加钱"))).to_be_visible()
    visitor.site.passes(minutes=30)
    over = page.get_by_text(re.compile(r"超时中，目前 ¥\d+"))
    expect(over).to_be_visible()
    first = over.text_content()
    visitor.site.passes(hours=1)
    expect(over).not_to_have_text(str(first))


def stay_of_another_store(visitor: Visitor, name: str) -> str:
    """The order of a stay that began half an hour ago and has as much left."""
    made = visitor.site

    async def stay(session):
        shop = await make_store(session, made.now, merchant=made.shop.merchant, name=name)
        begins = made.now - timedelta(minutes=30)
        order = await make_order(
            session, shop, visitor.town.guest, begins, now=made.now, minutes=120, status="in_use"
        )
        order.entered_at = begins
        session.add(order)
        return order.id

    return str(made.write(stay))


def test_more_time_is_bought_where_the_price_was_told_first(
    page: Page, visitor: Visitor, site: str
):
    order = stay_of_another_store(visitor, "雀友会·长宁店")
    at_the_stay(page, visitor)
    page.goto(f"{site}/orders/{order}/stay")
    page.get_by_role("link", name="续时").click()
    longest = page.get_by_role("navigation", name="再玩多久").get_by_role("link").last
    longest.click()
    expect(longest).to_have_attribute("aria-current", "true")  # else the price is the last page's
    more = page.get_by_role("button", name=re.compile("^续到 .*，付 ¥"))
    told = re.search(r"续到 (\d\d:\d\d)，付 (¥[\d.]+)", more.inner_text())
    assert told is not None
    more.click()
    expect(page.get_by_text("没付成，原来的时间照旧")).to_be_visible()
    page.get_by_role("button", name=f"付 {told[2]}", exact=True).click()
    page.get_by_role("button", name=re.compile("支付")).first.click()
    expect(page).to_have_url(re.compile(rf"/orders/{order}(\?|$)"))
    expect(page.get_by_text(f"已续到 {told[1]}，等门店收到")).to_be_visible()


def test_a_server_that_is_busy_takes_nothing_off_the_page(page: Page, visitor: Visitor, site: str):
    """A live part is asked for again; an error has no such part, and what is shown is better than nothing."""
    at_the_stay(page, visitor)
    order = visitor.town.order("in_use")
    page.route(
        f"{site}/orders/{order}/stay", lambda route: route.fulfill(status=502, body="<h1>502</h1>")
    )
    # The look that each page takes when its feed has come up may be under way still.
    with page.expect_response(
        lambda one: one.url == f"{site}/orders/{order}/stay" and one.status == 502
    ):
        page.evaluate(TOUCH, f"order:{order}")
    page.evaluate(
        "() => new Promise((shown) => requestAnimationFrame(() => setTimeout(shown, 200)))"
    )
    expect(page.get_by_role("switch", name="麻将机")).to_be_visible()
    expect(page.get_by_role("button", name="提前结束")).to_be_visible()


def test_what_was_settled_elsewhere_leads_on_by_itself(page: Page, visitor: Visitor, site: str):
    """The page to pay shows nothing any more once there is nothing to pay: its reader is sent on, as at a new look."""
    order = stay_of_another_store(visitor, "雀友会·虹口店")
    at_the_stay(page, visitor)
    page.goto(f"{site}/orders/{order}/extend")
    page.get_by_role("button", name=re.compile("^续到 .*，付 ¥")).click()
    expect(page.get_by_text("没付成，原来的时间照旧")).to_be_visible()
    path = urlsplit(page.url).path
    headers = {"authorization": f"Bearer {visitor.town.tokens['guest']}"}
    dropped = httpx.post(f"{site}/api/v1{path}/drop", headers=headers, trust_env=False)
    assert dropped.status_code == 200, dropped.text
    arrive(page, f"{site}/orders/{order}")


def test_a_stay_is_reviewed_and_reminders_are_chosen(page: Page, visitor: Visitor, site: str):
    """What others read of it holds nothing of who wrote it; a choice stands after the page is opened anew."""
    at_the_stay(page, visitor)
    said = "新桌子，洗牌安静 🀄️👍 茶也好"
    page.goto(f"{site}/orders/{visitor.town.order('done')}")
    page.get_by_role("link", name="评价").first.click()
    page.get_by_role("radio", name=re.compile("4 星")).check()
    page.get_by_label("想说什么").fill(said)
    page.get_by_role("button", name="发表").click()
    expect(page.get_by_role("heading", name="你给了 4 星")).to_be_visible()
    told = visitor.get("", f"/s/{visitor.site.shop.store.id}/reviews").text
    assert said in told
    assert "5678" not in told
    page.goto(f"{site}/me/notices")
    page.get_by_role("link", name=re.compile("设置")).click()
    # With its script: a tap before that is nobody's.
    arrive(page, re.compile(r"/me/notices/choices$"))
    first = page.get_by_role("switch").first
    expect(first).to_have_attribute("aria-checked", "true")
    first.click()
    expect(first).to_have_attribute("aria-checked", "false")
    page.reload()
    expect(page.get_by_role("switch").first).to_have_attribute("aria-checked", "false")
