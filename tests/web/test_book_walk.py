"""Choosing and paying in a browser: coupons, extras, pay-as-you-go, the month, every week; and ten taps in all."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Geolocation, Locator, Page, expect

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.coupons import service as coupons
from cloud_api.coupons.models import Coupon
from cloud_api.pricing.models import Extra, PriceRule
from tests.cloud_api.factories import make_customer, make_login, make_store
from tests.web.conftest import PATIENCE_MS
from tests.web.real import Site, running_site
from tests.web.storekeeper import answering
from tests.web.test_walk import log_in

pytestmark = pytest.mark.xdist_group("walk")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("book")) as running:
        running.people = running.write(lambda session: people(running, session))
        yield running


@pytest.fixture
def site(whole: Site) -> str:
    return whole.url


async def people(site: Site, session: Any) -> dict[str, str]:
    """A shop with tea and pay-as-you-go, and a guest who holds two coupons."""
    shop, clocks = site.shop, site.cloud.clocks
    own: dict[str, Any] = {"merchant_id": shop.merchant.id, "created_at": clocks.now}
    session.add_all(
        [
            Extra(name="茶水", price_fen=1500, unit="壶", most=2, store_id=shop.store.id, **own),
            PriceRule(store_id=shop.store.id, merchant_id=shop.merchant.id, payg=True),
        ]
    )
    small = Coupon(name="减十块", kind="off", off_fen=1000, **own)
    large = Coupon(name="减二十", kind="off", off_fen=2000, **own)
    picky = Coupon(name="大单券", kind="off", off_fen=9000, min_fen=90000, **own)
    session.add_all(
        [small, large, picky, Coupon(name="口令券", kind="off", off_fen=500, code="KAIMEN", **own)]
    )
    guest = await make_customer(session, clocks.real, "+8613977770001")
    await session.flush()
    for one in (small, large, picky):
        await coupons.grant(session, one, guest.id, "system", clocks)
    return {"guest": await make_login(session, guest.id, clocks.real)}


class Thumb:
    """Taps and counts them."""

    def __init__(self) -> None:
        self.taps = 0

    def tap(self, place: Locator) -> None:
        expect(place).to_be_enabled()
        place.tap()
        self.taps += 1


def test_a_first_time_guest_books_pays_and_enters_in_ten_taps(page: Page, whole: Site):
    """From the list of stores into the room, at noon, with nothing but a phone number."""
    thumb, phone = Thumb(), "13977770099"
    with answering(whole):
        page.goto(whole.url)
        thumb.tap(page.get_by_role("link", name="雀友会·静安店"))
        thumb.tap(page.locator(".room", has_text="竹间").get_by_role("link", name="订这间"))
        expect(page.locator("[data-total]")).to_have_text("¥76")
        thumb.tap(page.get_by_role("button", name="下一步，核对订单"))
        page.get_by_label("手机号").fill(phone)
        thumb.tap(page.get_by_role("button", name="发验证码"))
        page.get_by_label("短信里的 6 位数字").fill(whole.code_of(f"+86{phone}"))
        thumb.tap(page.get_by_role("button", name="提交订单，付 ¥76"))
        thumb.tap(page.get_by_role("button", name="付 ¥76"))
        thumb.tap(page.get_by_role("button", name=re.compile("支付")).first)
        expect(page.get_by_role("heading", name="订好了")).to_be_visible()
        thumb.tap(page.get_by_role("link", name="去开门"))
        thumb.tap(page.locator("[data-door]"))
        expect(page.locator("[data-door]")).to_have_attribute("data-state", "open")
    assert thumb.taps <= 10


def as_guest(page: Page, site: Site) -> None:
    page.context.add_cookies(
        [{"name": LOGIN_COOKIE, "value": site.people["guest"], "url": site.url}]
    )


def choose(page: Page, site: Site, room: int = 1, day: int = 1) -> None:
    """Two hours at 14:00, ``day`` days from now."""
    page.goto(f"{site.url}/rooms/{site.shop.rooms[room].id}/book")
    page.get_by_label("哪一天").get_by_role("link").nth(day).click()
    page.locator("#t-a").select_option(label="14:00")
    page.get_by_role("button", name="2 小时", exact=True).click()


def test_the_best_coupon_is_taken_and_extras_change_the_price(page: Page, whole: Site):
    as_guest(page, whole)
    choose(page, whole)
    expect(page.locator("[data-total]")).to_have_text("¥56")
    page.get_by_role("button", name="下一步，核对订单").click()
    total = page.locator(".fee-total b")
    expect(total).to_have_text("¥56")
    page.get_by_text("减二十，省 ¥20，这是最省的一张").click()
    expect(
        page.get_by_text("满 ¥900 才能用").or_(page.get_by_text(re.compile("¥900")))
    ).to_be_visible()
    page.get_by_role("button", name="多一份").click()
    page.get_by_role("button", name="多一份").click()
    expect(total).to_have_text("¥86")
    expect(page.get_by_role("button", name="多一份")).to_be_disabled()
    page.get_by_role("radio", name=re.compile("减十块")).check()
    expect(total).to_have_text("¥96")
    page.get_by_role("button", name="少一份").click()
    expect(total).to_have_text("¥81")
    page.get_by_role("radio", name="这次不用").check()
    expect(total).to_have_text("¥91")
    page.reload()
    expect(total).to_have_text("¥91")  # what was chosen last, also after a reload
    page.get_by_role("button", name="用最省的一张").click()
    expect(total).to_have_text("¥71")
    page.get_by_role("button", name="提交订单，付 ¥71").click()
    expect(page).to_have_url(re.compile(r"/orders/[^/]+/pay"))
    expect(page.get_by_role("button", name="付 ¥71")).to_be_visible()


def test_a_price_from_before_the_login_is_asked_for_again(page: Page, whole: Site):
    """A coupon is worth nothing if one has to choose the time again to have it taken off."""
    choose(page, whole, day=2)
    page.get_by_role("button", name="下一步，核对订单").click()
    log_in(page, whole, "13977770001")
    expect(page.locator(".fee-total b")).to_have_text(
        "¥66"
    )  # the larger one went into an order above


def test_pay_as_you_go_says_how_it_is_counted(page: Page, whole: Site):
    as_guest(page, whole)
    choose(page, whole, day=3)
    page.get_by_role("button", name=re.compile("用多少算多少")).click()
    expect(page.locator("[data-total]")).to_have_text("¥152")
    page.get_by_role("button", name="下一步，核对订单").click()
    expect(
        page.get_by_text("先付这么多，走的时候按实际用的算：每 15 分钟一算，最少 60 分钟")
    ).to_be_visible()


def test_the_month_leads_to_a_day(page: Page, whole: Site):
    page.goto(f"{whole.url}/rooms/{whole.shop.room.id}/book")
    page.get_by_role("button", name="月历").click()
    days = page.locator("a.month-day")
    expect(days.first).to_be_visible()
    page.get_by_role("button", name="上个月").is_disabled()
    wanted = days.last.get_attribute("href")
    days.last.click()
    expect(page).to_have_url(f"{whole.url}{wanted}")
    expect(page.get_by_label("哪一天").locator("[aria-current]")).to_have_attribute(
        "href", str(wanted)
    )


def test_every_week_says_which_cannot_be_had(page: Page, whole: Site):
    as_guest(page, whole)

    async def longer(session: Any) -> None:
        store = await session.get_one(type(whole.shop.store), whole.shop.store.id)
        store.advance_days = 15
        session.add(store)

    whole.write(longer)
    page.goto(f"{whole.url}/orders")
    unpaid = page.locator(".orow").get_by_text("待支付")
    before = unpaid.count()  # of an earlier walk
    choose(page, whole, room=2, day=4)
    page.get_by_role("button", name="下一步，核对订单").click()
    page.get_by_role("link", name=re.compile("每周都想要这个时间")).click()
    expect(page.get_by_role("heading", name=re.compile(r"能订 2 次，共 ¥152"))).to_be_visible()
    expect(page.locator(".is-gone")).to_have_count(2)
    page.wait_for_load_state()
    page.get_by_role("button", name="订下这 2 次").click()
    expect(page).to_have_url(f"{whole.url}/orders")
    expect(unpaid).to_have_count(before + 2)


def test_a_code_fetches_a_coupon_once(page: Page, whole: Site):
    as_guest(page, whole)
    page.goto(f"{whole.url}/me")
    page.get_by_role("link", name="我的优惠券").click()
    page.get_by_label("有领券码？").fill("nope")
    page.get_by_role("button", name="领取").click()
    expect(page.get_by_text("没有这个领券码")).to_be_visible()
    expect(page.get_by_label("有领券码？")).to_have_value("nope")
    page.get_by_label("有领券码？").fill("kaimen")
    page.get_by_role("button", name="领取").click()
    expect(page.get_by_role("heading", name="口令券")).to_be_visible()
    page.get_by_label("有领券码？").fill("kaimen")
    page.get_by_role("button", name="领取").click()
    expect(page.get_by_text("你已经领过")).to_be_visible()


def test_at_the_door_of_a_free_room_one_books_pays_and_enters(page: Page, whole: Site):
    """The sticker of a room that is free: from a scan to the open door, without knowing the shop."""
    door = whole.shop.doors[1]
    with answering(whole):
        page.goto(f"{whole.url}/d/{door.token}")
        log_in(page, whole, "13977770077")
        expect(page.get_by_text(re.compile("你现在没有订这里"))).to_be_visible()
        thumb = Thumb()
        thumb.tap(page.get_by_role("link", name=re.compile("^订")))
        thumb.tap(page.get_by_role("button", name="下一步，核对订单"))
        thumb.tap(page.get_by_role("button", name=re.compile("^提交订单")))
        thumb.tap(page.get_by_role("button", name=re.compile("^付 ¥")))
        thumb.tap(page.get_by_role("button", name=re.compile("支付")).first)
        expect(page.get_by_role("heading", name="订好了")).to_be_visible()
        page.goto(f"{whole.url}/d/{door.token}")  # the sticker once more
        thumb.tap(page.locator("[data-door]"))
        expect(page.locator("[data-door]")).to_have_attribute("data-state", "open")
    assert thumb.taps <= 7


def test_the_nearest_store_that_fits(browser: Browser, whole: Site):
    """Where the phone is orders the list and stands in no address; what does not fit is left out."""

    async def two(session: Any) -> None:
        store = await session.get_one(type(whole.shop.store), whole.shop.store.id)
        store.lat, store.lon = 31.2288, 121.4581
        other = await make_store(
            session, whole.now, merchant=whole.shop.merchant, name="雀友会·徐汇店", rooms=1
        )
        other.store.lat, other.store.lon = 31.1900, 121.4370
        session.add_all([store, other.store])

    whole.write(two)
    where: Geolocation = {"latitude": 31.1893, "longitude": 121.4372}
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, geolocation=where, permissions=["geolocation"]
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(whole.url)
    names = page.locator(".shop h3")
    expect(names).to_have_count(2)
    page.get_by_role("button", name="离我最近").click()
    expect(page.get_by_role("button", name="离我最近")).to_have_attribute("aria-pressed", "true")
    expect(names.first).to_have_text("雀友会·徐汇店")
    expect(page.locator(".shop").nth(1)).to_contain_text("4.")  # km
    assert page.url == f"{whole.url}/"
    page.get_by_role("link", name="6 人").click()
    expect(names).to_have_text(["雀友会·静安店"])
    page.get_by_role("searchbox").fill("徐汇")
    page.keyboard.press("Enter")
    expect(page.get_by_text("没有合适的门店")).to_be_visible()
    page.get_by_role("link", name="看全部门店").click()
    # A room with fresh air, tomorrow evening: what stands in a chip is taken back by a tap on it.
    page.get_by_role("button", name="时间和设施").click()
    page.get_by_label("哪一天").select_option(index=2)
    page.get_by_label("几点开始").select_option(label="19:00")
    page.get_by_label("玩多久").select_option(label="3 小时")
    page.get_by_role("checkbox", name="新风").check()
    page.get_by_role("button", name="看有哪些店").click()
    expect(names).to_have_text(["雀友会·静安店"])
    expect(page.get_by_role("link", name="明天 19:00 · 3 小时")).to_be_visible()
    page.get_by_role("button", name="时间和设施").click()
    expect(page.get_by_role("checkbox", name="新风")).to_be_checked()
    page.get_by_role("checkbox", name="沙发").check()
    page.get_by_role("button", name="看有哪些店").click()
    expect(page.get_by_text("没有合适的门店")).to_be_visible()
    page.get_by_role("link", name="沙发").click()
    page.get_by_role("link", name="明天 19:00 · 3 小时").click()
    expect(names).to_have_text(["雀友会·静安店"])
    page.get_by_role("link", name="新风").click()
    expect(names).to_have_count(2)
    page.get_by_role("button", name="离我最近").click()
    expect(page.get_by_role("button", name="离我最近")).to_have_attribute("aria-pressed", "false")
    # The way there is an address that WeChat and an iPhone open: longitude first, as the phone measured it.
    names.filter(has_text="静安店").click()
    way = page.get_by_role("link", name="导航").get_attribute("href") or ""
    assert way.startswith("https://uri.amap.com/marker?position=121.4581%2C31.2288&name=")
    assert "coordinate=wgs84" in way
    context.close()
