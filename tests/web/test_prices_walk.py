"""An owner sets prices and makes a coupon, in a browser; a guest books a slot with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlmodel import select

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.coupons import service as coupons
from cloud_api.coupons.models import Coupon
from cloud_api.pricing.models import Extra, Package, PriceRule, Slot, Tariff
from tests.cloud_api.factories import make_customer, make_login, make_staff
from tests.cloud_api.media.files import photo
from tests.web.conftest import PATIENCE_MS
from tests.web.real import Site, running_site

pytestmark = pytest.mark.xdist_group("prices-walk")
DESK, PHONE = (1440, 900), (390, 844)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("prices-walk")) as running:
        yield running


@pytest.fixture(scope="module")
def people(site: Site) -> dict[str, str]:
    """Login tokens of the owner and of a guest with a coupon, in a store with all kinds of prices."""

    async def act(session: Any) -> dict[str, str]:
        shop, clocks = site.shop, site.cloud.clocks
        own: dict[str, Any] = {
            "merchant_id": shop.merchant.id, "store_id": shop.store.id, "created_at": clocks.now,
        }  # fmt: skip
        session.add_all(
            [
                Tariff(name="周末", weekdays=0b1100000, hourly_fen=5800, priority=20, **own),
                Slot(name="上午场", from_minute=540, until_minute=780, price_fen=9900, **own),
                Slot(name="通宵", from_minute=1320, until_minute=480, price_fen=16800, **own),
                Package(name="四小时套餐", minutes=240, price_fen=12800, **own),
                Extra(name="茶水", price_fen=1500, unit="壶", **own),
                PriceRule(store_id=shop.store.id, merchant_id=shop.merchant.id, payg=True),
            ]
        )
        off = Coupon(
            merchant_id=shop.merchant.id, name="减十块", kind="off", off_fen=1000,
            products=["hourly", "slot", "package"], created_at=clocks.now,
        )  # fmt: skip
        session.add(off)
        owner = await make_staff(session, shop, clocks.real)
        guest = await make_customer(session, clocks.real)
        await session.flush()
        await coupons.grant(session, off, guest.id, "system", clocks)
        return {
            "owner": await make_login(session, owner.account_id, clocks.real),
            "guest": await make_login(session, guest.id, clocks.real),
        }

    return site.write(act)


@contextmanager
def sitting(browser: Browser, site: Site, token: str, size: tuple[int, int]) -> Iterator[Page]:
    """Somebody at a desk or with a phone; a script that fails, fails the test."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, has_touch=size == PHONE
    )
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies([{"name": LOGIN_COOKIE, "value": token, "url": site.url}])
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    yield tab
    context.close()
    assert wrong == []


def look(page: Page, name: str) -> None:
    """A picture for who wants to look (KAIMEN_LOOK names the folder); nothing wider than the screen."""
    if folder := os.environ.get("KAIMEN_LOOK"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
    width = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0, f"{name} is {width} px too wide"


def test_an_owner_sets_prices(browser: Browser, site: Site, people: dict[str, str]) -> None:
    with sitting(browser, site, people["owner"], DESK) as page:
        page.goto(f"{site.url}/console/prices")
        expect(page.locator(".pgrid tbody tr")).to_have_count(8)
        look(page, "console-prices-desk")
        new = page.locator("#h-slots ~ .pform-new")
        new.locator("summary").click()
        new.get_by_label("叫什么").fill("下午场")
        new.get_by_label("一场多少元").fill("119")
        new.get_by_label("从几点").fill("13:00")
        new.get_by_label("到几点").fill("18:00")
        look(page, "console-prices-form")
        new.get_by_role("button", name="保存").click()
        expect(page.locator("#slots")).to_contain_text("下午场")
        page.goto(f"{site.url}/console/prices")
        first = page.locator("#tariffs .pform", has=page.locator("summary", has_text="平日")).first
        first.locator("summary").click()
        first.get_by_role("button", name="删除").click()
        page.locator("#sheet-drop").get_by_role("button", name="确定").click()
        expect(page.locator("#sheet-drop [data-form-error]")).to_contain_text("就没有价格了")
    with sitting(browser, site, people["owner"], PHONE) as page:
        page.goto(f"{site.url}/console/prices")
        look(page, "console-prices-phone")

    async def slots(session: Any) -> list[tuple[str, int, int]]:
        found = (await session.exec(select(Slot).where(Slot.name == "下午场"))).all()
        return [(one.name, one.price_fen, one.until_minute) for one in found]

    assert site.write(slots) == [("下午场", 11900, 1080)]


def test_an_owner_makes_and_stops_a_coupon(
    browser: Browser, site: Site, people: dict[str, str]
) -> None:
    with sitting(browser, site, people["owner"], DESK) as page:
        page.goto(f"{site.url}/console/coupons")
        form = page.locator("#new form")
        form.get_by_label("叫什么").fill("新客八五折")
        form.get_by_label("怎么优惠").select_option("discount")
        expect(form.get_by_label("减多少元", exact=True)).to_be_hidden()
        form.get_by_label("付百分之几").fill("85")
        form.get_by_label("领券码").fill("hello85")
        form.get_by_role("button", name="做好").click()
        card = page.locator(".coupon", has_text="新客八五折")
        expect(card).to_contain_text("8.5 折")
        expect(card).to_contain_text("HELLO85")
        look(page, "console-coupons-desk")
        card.get_by_role("button", name="发给顾客").click()
        sheet = page.locator("#sheet-issue")
        sheet.get_by_label("哪些顾客").select_option("phones")
        look(page, "console-coupons-issue")
        page.keyboard.press("Escape")
        card.get_by_role("button", name="停发").click()
        page.locator("#sheet-stop").get_by_role("button", name="停发").click()
        expect(page.locator(".coupon.is-off", has_text="新客八五折")).to_be_visible()
    with sitting(browser, site, people["owner"], PHONE) as page:
        page.goto(f"{site.url}/console/coupons")
        look(page, "console-coupons-phone")


def test_an_owner_sets_a_room_up_and_a_guest_books_a_slot(
    browser: Browser, site: Site, people: dict[str, str], tmp_path: Path
) -> None:
    shot = tmp_path / "room.jpg"
    shot.write_bytes(photo(1280, 960))
    room = site.shop.room
    with sitting(browser, site, people["owner"], DESK) as page:
        page.goto(f"{site.url}/console/house")
        expect(page.locator("#rooms [data-item]")).to_have_count(3)
        page.locator("[data-weekday] [data-span]").first.locator("input").first.fill("08:00")
        page.locator("[data-weekday] [data-span]").first.locator("input").last.fill("06:00")
        page.locator("form[data-hours] [type=submit]").click()
        expect(page.get_by_role("status").filter(has_text="存好了")).to_be_visible()
        look(page, "console-house-desk")
        page.goto(f"{site.url}/console/house/rooms/{room.id}")
        page.locator("[data-part=brand]").first.fill("雀友")
        page.locator("[data-part=model]").first.fill("T8")
        page.get_by_label("标签").fill("临窗、安静")
        page.locator("form[data-room] [type=submit]").click()
        expect(page.get_by_role("status").filter(has_text="存好了")).to_be_visible()
        page.locator("input[type=file][multiple]").set_input_files(shot)
        expect(page.locator("#shots [data-item]")).to_have_count(1)
        look(page, "console-room-desk")
    with sitting(browser, site, people["owner"], PHONE) as page:
        for name, path in (("house", "house"), ("room", f"house/rooms/{room.id}")):
            page.goto(f"{site.url}/console/{path}")
            look(page, f"console-{name}-phone")
    with sitting(browser, site, people["guest"], PHONE) as page:
        page.goto(f"{site.url}/rooms/{room.id}")
        expect(page.locator(".shot img")).to_be_visible()
        expect(page.locator(".facs")).to_contain_text("麻将机 雀友 T8")
        look(page, "customer-room")
        page.goto(f"{site.url}/s/{site.shop.store.id}")
        card = page.locator(".room-pic img[loading=lazy][width][height]")
        expect(card).to_have_js_property("complete", True)
        assert card.evaluate("img => img.naturalWidth") > 0
        look(page, "customer-store")
        page.goto(f"{site.url}/rooms/{room.id}/book")
        night = page.locator("[data-product]", has_text="通宵")
        night.click()
        expect(night).to_have_attribute("aria-pressed", "true")
        expect(page.locator("[data-lines]")).to_contain_text("通宵 22:00–次日 08:00")
        expect(page.locator("[data-lines]")).to_contain_text("减十块")
        expect(page.locator("[data-total]")).to_have_text("¥158")
        look(page, "customer-book")
        page.locator("[data-next]").click()
        expect(page.locator("main")).to_contain_text("¥158")
        look(page, "customer-confirm")
