"""The app in a dead spot: the pass and the PIN are on the phone, and it finds its way back by itself."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.devices.models import Binding
from cloud_api.stores.models import Door
from tests.web.town import Visitor, running_town

pytestmark = pytest.mark.xdist_group("walk")


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("pocket")) as made:
        hang_keypad(made)
        yield made


@pytest.fixture
def site(visitor: Visitor) -> str:
    return visitor.site.url


def hang_keypad(visitor: Visitor) -> None:
    """A scanner with keys at 竹间's door."""
    shop = visitor.site.shop

    async def hang(session):
        made = Binding(
            merchant_id=shop.merchant.id,
            store_id=shop.store.id,
            board_id=shop.boards[0].id,
            name="扫码键盘",
            capability="input.code",
            role="keypad",
            rooms=[shop.room.id],
            created_at=visitor.site.now,
        )
        session.add(made)
        await session.flush()
        door = await session.get_one(Door, shop.door.id)
        door.reader_binding_id = made.id
        session.add(door)

    visitor.site.write(hang)


def as_guest(page: Page, visitor: Visitor, who: str = "guest") -> None:
    page.context.add_cookies(
        [{"name": LOGIN_COOKIE, "value": visitor.town.tokens[who], "url": visitor.site.url}]
    )


def until(page: Page, condition: str, arg: str | None = None) -> None:
    """Wait in the page for ``condition``, a function (the pages' policy forbids what Playwright does)."""
    come = page.evaluate(
        """async ([test, arg]) => { const end = Date.now() + 30000;
        const holds = { worker: () => navigator.serviceWorker.controller !== null,
          passes: () => (localStorage.getItem('km-passes') ?? '').includes('svg'),
          another: () => localStorage.getItem('km-passes') !== arg }[test];
        while (!holds() && Date.now() < end) await new Promise((go) => setTimeout(go, 50));
        return holds(); }""",
        [condition, arg],
    )
    assert come, condition


def worker_ready(page: Page) -> None:
    until(page, "worker")
    until(page, "passes")


def test_a_dead_spot_shows_pass_and_pin_and_ends_by_itself(page: Page, visitor: Visitor, site: str):
    as_guest(page, visitor)
    page.goto(f"{site}/orders")
    worker_ready(page)
    kept = json.loads(page.evaluate("localStorage.getItem('km-passes')"))
    now, later = kept["items"][0], kept["items"][1]
    assert now["order"] == visitor.town.order("in_use")
    assert re.fullmatch(r"\d{6}", now["pin"])
    assert "unpaid" not in {one["order"] for one in kept["items"]}
    page.context.set_offline(True)
    page.goto(f"{site}/d/{visitor.site.shop.door.token}")
    expect(page.get_by_text("没有网络，通行码照样能用")).to_be_visible()
    cards = page.locator(".passcard")
    expect(cards).to_have_count(len(kept["items"]))
    expect(cards.first.get_by_text(f"{now['room']} · {now['store']}")).to_be_visible()
    assert "".join(cards.first.locator(".pin b").all_text_contents()) == now["pin"]
    assert page.evaluate("document.querySelector('[data-qr]').naturalWidth") > 0
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    expect(page.get_by_text(later["range"])).to_be_visible()
    page.context.set_offline(False)
    expect(page.locator("[data-door]")).to_be_visible()  # where one wanted to be


def test_the_pass_is_renewed_each_minute_while_there_is_network(
    browser: Browser, visitor: Visitor, site: str
):
    """A renewed pass is another one: its time of issue is in it."""
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = context.new_page()
    as_guest(page, visitor)
    page.clock.install()
    page.goto(f"{site}/orders")
    until(page, "passes")
    first = page.evaluate("localStorage.getItem('km-passes')")
    with page.expect_response("**/me/passes") as renewed:
        page.clock.run_for(61_000)
    renewed.value.finished()
    page.clock.run_for(100)
    assert page.evaluate("localStorage.getItem('km-passes')") != first
    context.close()


def test_a_booking_goes_into_the_phones_calendar(visitor: Visitor):
    order = visitor.town.orders["ready"]
    told = visitor.get("guest", f"/orders/{order.id}/calendar.ics")
    assert told.headers["content-type"].startswith("text/calendar")
    assert all(len(line.encode()) <= 75 for line in told.text.split("\r\n"))
    whole = told.text.replace("\r\n ", "")
    assert f"DTSTART:{order.starts_at:%Y%m%dT%H%M%SZ}" in whole
    assert "SUMMARY:竹间 · 雀友会·静安店" in whole
    assert visitor.get("stranger", f"/orders/{order.id}/calendar.ics").status_code == 404


def test_a_pass_that_is_over_is_not_shown_and_logging_out_forgets(
    page: Page, visitor: Visitor, site: str
):
    as_guest(page, visitor)
    page.goto(f"{site}/me")
    worker_ready(page)
    page.evaluate(
        """() => { const told = JSON.parse(localStorage.getItem('km-passes'));
        for (const one of told.items) one.until = new Date(Date.now() + told.ahead - 1000).toISOString();
        localStorage.setItem('km-passes', JSON.stringify(told)); }"""
    )
    page.context.set_offline(True)
    page.goto(f"{site}/scan")
    expect(page.get_by_text("这部手机没有存着要用的通行码")).to_be_visible()
    expect(page.locator(".passcard")).to_have_count(0)
    page.context.set_offline(False)
    page.goto(f"{site}/me")
    page.get_by_role("button", name="退出登录").click()
    expect(page).to_have_url(f"{site}/")
    assert page.evaluate("localStorage.getItem('km-passes')") is None


def test_manifest_and_worker_name_files_that_are_there(visitor: Visitor):
    told = visitor.get("", "/manifest.webmanifest")
    assert told.headers["content-type"].startswith("application/manifest+json")
    named = [icon["src"] for icon in told.json()["icons"]]
    assert {"192x192", "512x512"} <= {icon["sizes"] for icon in told.json()["icons"]}
    worker = visitor.get("", "/sw.js")
    assert worker.headers["content-type"].startswith("text/javascript")
    assert worker.headers["cache-control"] == "no-cache"
    kept = json.loads(re.search(r"const KEPT = (\[.*?\]);", worker.text)[1])  # type: ignore[index]
    assert all(visitor.get("", path).status_code == 200 for path in named + kept)
    # All that the kept page loads is kept, or it would be bare in a dead spot.
    page = visitor.get("", "/offline").text
    asked = set(re.findall(r'(?:href|src)="(/static/[^"#]+)', page))
    asked -= set(re.findall(r'rel="apple-touch-icon" href="([^"]+)', page))
    assert asked <= set(kept)
    assert 'name="km-passes"' not in page
    assert visitor.get("", "/me/passes").json()["items"] == []


def test_files_are_packed_for_whoever_takes_them_so(visitor: Visitor):
    path = re.search(r"/static/css/customer.css\?v=\w+", visitor.get("", "/").text)[0]  # type: ignore[index]
    packed = visitor.get("", path, headers={"Accept-Encoding": "gzip"})
    plain = visitor.get("", path, headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.headers["vary"] == plain.headers["vary"] == "Accept-Encoding"
    assert packed.text == plain.text
    assert "immutable" in packed.headers["cache-control"]
    font = visitor.get("", "/static/vendor/barlow/kaimen-num-500.woff2")
    assert "content-encoding" not in font.headers
