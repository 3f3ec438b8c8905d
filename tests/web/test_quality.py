"""Every page of the customer's, looked at by machines: weight, accessibility, targets, shifts, narrow phones.

One browser and one town for all of them; what is wrong anywhere is told together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.coupons.models import Coupon
from cloud_api.groupbuy.models import Campaign
from cloud_api.staff.models import StaffMember
from cloud_api.stores.models import Room, Store
from tests.web.arrive import arrive
from tests.web.conftest import PATIENCE_MS
from tests.web.customer_pages import pages_of
from tests.web.server import serving
from tests.web.town import Visitor, running_town

pytestmark = pytest.mark.xdist_group("walk")

MOST_KB = 150  # HTML, CSS and script of a page as they come over the line
CLS = 0.02  # of 1; a page counts as steady below 0.1 (web.dev/cls)
WEIGHED = {"Document", "Stylesheet", "Script"}
AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
SERIOUS = ("serious", "critical")

WATCH = """
window.__shift = 0;
new PerformanceObserver((list) => { for (const e of list.getEntries()) if (!e.hadRecentInput) window.__shift += e.value; })
  .observe({ type: 'layout-shift', buffered: true });
"""
# A target is 44 px where a thumb meets it: its own box, its label's, or what reacts around its middle.
TARGETS = """() => {
  const small = [];
  for (const el of document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary, [role=slider]')) {
    const box = el.getBoundingClientRect();
    const style = getComputedStyle(el);
    if (!box.width || !box.height || style.visibility === 'hidden' || el.closest('.skip, .vh, dialog:not([open])') || el.classList.contains('vh')) continue;
    if (el.tagName === 'A' && style.display === 'inline') continue; // within a sentence (WCAG 2.5.8)
    const area = (el.matches('input') && el.closest('label') || el);
    const b = area.getBoundingClientRect();
    if (b.width >= 43.5 && b.height >= 43.5) continue;
    el.scrollIntoView({ block: 'center' });
    const c = area.getBoundingClientRect();
    const x = c.left + c.width / 2, y = c.top + c.height / 2;
    const hits = [[0, -21], [0, 21], [-21, 0], [21, 0]].every(([dx, dy]) => {
      const at = document.elementFromPoint(x + dx, y + dy);
      return at && (area.contains(at) || at.contains(el) && at.matches('a, button, label'));
    });
    if (!hits) small.push(`${el.tagName.toLowerCase()}.${el.className} "${(el.textContent || el.name || '').trim().slice(0, 20)}" ${Math.round(b.width)}×${Math.round(b.height)}`);
  }
  scrollTo(0, 0);
  return small;
}"""


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("quality")) as made:
        yield made


@pytest.fixture(scope="module")
def addresses(visitor: Visitor) -> dict[str, str]:
    return pages_of(visitor)


@pytest.fixture
def phone(browser: Browser, visitor: Visitor) -> Iterator[Page]:
    """The guest's, without a worker that would keep files back from the scales."""
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, service_workers="block"
    )
    context.set_default_timeout(PATIENCE_MS)
    context.add_cookies(
        [{"name": LOGIN_COOKIE, "value": visitor.town.tokens["guest"], "url": visitor.site.url}]
    )
    context.add_init_script(WATCH)
    yield context.new_page()
    context.close()


# What comes a moment after the page (a price, offers of the house) and whatever moves: until it stands.
STANDS = """async () => {
  const end = Date.now() + 30000;
  const waits = () => document.querySelector('.is-quoting, .htmx-request');
  while (waits() && Date.now() < end) await new Promise((go) => setTimeout(go, 20));
  if (waits()) return false;
  await new Promise((go) => requestAnimationFrame(() => requestAnimationFrame(go)));
  const moving = document.getAnimations().filter((a) => Number.isFinite(a.effect?.getComputedTiming().endTime) && a.playState === 'running');
  await Promise.race([Promise.all(moving.map((a) => a.finished.catch(() => {}))), new Promise((go) => setTimeout(go, 2000))]);
  return true;
}"""
# Only what is told is carried over: axe's whole answer names every element it liked.
LOOK = """async (rules) => {
  const told = await axe.run(document, { resultTypes: ['violations'], runOnly: rules });
  return told.violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.slice(0, 3).map(({ html }) => html.slice(0, 140)) }));
}"""
EVERYTHING = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def serious(page: Page) -> list[str]:
    """Axe's serious findings on the page as it stands."""
    page.evaluate(AXE)
    told: list[dict[str, Any]] = page.evaluate(LOOK, EVERYTHING)
    return [
        f"{one['id']}: {node}" for one in told if one["impact"] in SERIOUS for node in one["nodes"]
    ]


def dark(page: Page) -> list[str]:
    """What is hard to read by night; after ``serious``, which brought axe along."""
    page.emulate_media(color_scheme="dark")
    settled(page)
    told: list[dict[str, Any]] = page.evaluate(LOOK, ["color-contrast"])
    return [f"dark {node}" for one in told for node in one["nodes"]]


def settled(page: Page) -> None:
    """The page is whole, nothing is being asked for, and what faded or slid has come to rest."""
    page.wait_for_load_state("load")
    assert page.evaluate(STANDS), page.url


def test_weight_accessibility_targets_shifts_dark_and_narrow(
    phone: Page, visitor: Visitor, addresses: dict[str, str]
):
    """One visit each: by day on a phone, then by night, where contrast stays, and 320 px wide, where nothing
    needs scrolling sideways.
    """
    wrong: list[str] = []
    line = phone.context.new_cdp_session(phone)
    line.send("Network.enable")
    line.send("Network.setCacheDisabled", {"cacheDisabled": True})
    kinds: dict[str, str] = {}
    weighed: dict[str, float] = {}
    line.on("Network.responseReceived", lambda e: kinds.update({e["requestId"]: e["type"]}))
    line.on(
        "Network.loadingFinished",
        lambda e: weighed.update({e["requestId"]: e["encodedDataLength"]}),
    )
    for name, path in addresses.items():
        phone.emulate_media(color_scheme="light")
        phone.set_viewport_size({"width": 390, "height": 844})
        kinds.clear()
        weighed.clear()
        answer = phone.goto(visitor.site.url + path)
        assert answer is not None
        assert answer.status == 200, (name, path)
        phone.evaluate("() => document.fonts.ready.then(() => true)")
        settled(phone)
        weight = sum(size for key, size in weighed.items() if kinds.get(key) in WEIGHED)
        if weight > MOST_KB * 1024:
            wrong.append(f"{name}: {weight / 1024:.0f} kB")
        wrong += [f"{name}: {found}" for found in serious(phone)]
        shift = phone.evaluate("window.__shift")
        if shift > CLS:
            wrong.append(f"{name}: shifts by {shift:.3f}")
        wrong += [f"{name}: small target {found}" for found in phone.evaluate(TARGETS)]
        phone.set_viewport_size({"width": 320, "height": 568})
        wrong += [f"{name}: {found}" for found in dark(phone)]
        wide = phone.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            wrong.append(f"{name}: {wide} px too wide")
    assert not wrong, "\n".join(wrong)


ELSEWHERE = (  # what a town does not show at one moment: a door's other answers, a payment under way, a present
    "door-early", "door-none_free", "door-none_taken", "door-unpaid", "door-store_offline", "door-lock_dead",
    "door-ended", "door-closed", "stay-grace", "stay-over", "pay-waiting", "pay-code", "pay-failed", "pay-late",
    "login", "login-inside", "order-fresh", "team", "team-over", "group-order-done", "voucher-used", "gift",
    "gift-gone", "error", "coupons-none",
)  # fmt: skip


def test_what_a_town_does_not_show(phone: Page):
    """The same eyes on the samples of these, at 320 px: reach, targets, names and contrast, by day and by night."""
    wrong: list[str] = []
    phone.set_viewport_size({"width": 320, "height": 568})
    phone.route(
        "**/api/**", lambda asked: asked.abort()
    )  # what waits would find another state and go
    with serving() as url:
        for name in ELSEWHERE:
            phone.emulate_media(color_scheme="light")
            phone.goto(f"{url}/{name}")
            settled(phone)
            wide = phone.evaluate("document.documentElement.scrollWidth - innerWidth")
            wrong += [f"{name}: {wide} px too wide"] if wide > 0 else []
            wrong += [f"{name}: small target {found}" for found in phone.evaluate(TARGETS)]
            wrong += [f"{name}: {found}" for found in serious(phone)]
            wrong += [f"{name}: {found}" for found in dark(phone)]
    assert not wrong, "\n".join(wrong)


def test_the_scales_and_the_eye_see_what_is_wrong(phone: Page, visitor: Visitor):
    """The negative control: a small button without a name and a line that jumps are found."""
    phone.goto(visitor.site.url + "/me")
    phone.evaluate(
        """() => { const b = document.createElement('button'); b.style.setProperty('width', '10px');
        b.style.setProperty('height', '10px'); document.querySelector('main').append(b); }"""
    )
    assert any("button-name" in one for one in serious(phone))
    assert phone.evaluate(TARGETS)


def test_going_back_and_a_refusal_keep_what_was_typed(phone: Page, visitor: Visitor):
    order = visitor.town.order("in_use")
    phone.goto(f"{visitor.site.url}/orders/{order}/help")
    phone.get_by_label("怎么了").fill("麻将机卡牌，东风位")
    phone.context.set_offline(True)
    phone.get_by_role("button", name="发给客服").click()
    phone.get_by_text("没连上网络").first.wait_for()
    assert phone.get_by_label("怎么了").input_value() == "麻将机卡牌，东风位"
    phone.context.set_offline(False)
    phone.goto(f"{visitor.site.url}/s/{visitor.site.shop.store.id}?seats=4")
    phone.get_by_role("link", name="竹间", exact=True).click()
    arrive(phone, re.compile(r"/rooms/[^/]+$"))
    phone.go_back()
    arrive(phone, re.compile(r"/s/[^/]+\?seats=4$"))


FAMILY = "🀄️👨‍👩‍👧‍👦"
LONG = {  # as long as each may be
    Store: (f"{FAMILY}雀友会·" + "南京西路静安寺地铁站二号口旁" * 6)[:80],
    Room: (f"{FAMILY}竹间" + "最里面靠窗能看见苏州河的那一间大包" * 3)[:40],
    StaffMember: (f"{FAMILY}欧阳" + "阿依古丽买买提江" * 6)[:40],
    Campaign: (f"{FAMILY}四人下午场" + "送一壶明前龙井和一碟瓜子" * 6)[:60],
    Coupon: (f"{FAMILY}周末减" + "老顾客专享限静安店使用" * 5)[:40],
}
NAMED = (  # pages of the customer's on which such names stand
    "stores", "store", "room", "book", "confirm", "weekly", "wait", "pay", "orders", "order-ready", "order-in-use",
    "order-cancelled", "stay", "extend", "change", "friends", "join", "review", "door-open", "door-other-room",
    "door-store-offline", "groupbuy", "campaign", "group-order", "store-reviews", "coupons",
)  # fmt: skip
DESKS = (
    "",
    "/orders",
    "/cleaning",
    "/staff",
    "/campaigns",
    "/coupons",
    "/controllers",
    "/stickers",
    "/audit",
    "/timeline",
    "/book",
)
# What a thumb cannot reach: it ends beyond the edge, and nothing around it scrolls sideways.
BEYOND = """() => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, h1, h2')].filter(el => {
  const box = el.getBoundingClientRect();
  if (!box.width || box.right <= innerWidth + 1 && box.left >= -1 || el.closest('.skip, .vh, dialog:not([open])')) return false;
  for (let up = el.parentElement; up; up = up.parentElement) if (/auto|scroll/.test(getComputedStyle(up).overflowX) && up.tagName !== 'HTML' && up.tagName !== 'BODY') return false;
  return true;
}).map(el => `${el.tagName} ${(el.textContent || '').trim().slice(0, 12)} ${Math.round(el.getBoundingClientRect().right)}`)"""


def test_the_longest_names_and_emoji_fit_the_smallest_phone(
    phone: Page, browser: Browser, visitor: Visitor, addresses: dict[str, str]
):
    """Names as long as they may be, with a family of four in one sign: whole in the page, nothing beyond the edge."""

    async def rename(session: AsyncSession) -> None:
        for model, name in LONG.items():
            await session.execute(update(model).values(name=name))

    visitor.site.write(rename)
    wrong: list[str] = []

    def look(page: Page, name: str, url: str) -> str:
        page.set_viewport_size({"width": 320, "height": 568})
        answer = page.goto(url)
        assert answer is not None
        assert answer.status == 200, (name, answer.status)
        settled(page)
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        wrong.extend([f"{name}: {wide} px too wide"] if wide > 0 else [])
        wrong.extend(f"{name}: beyond {what}" for what in page.evaluate(BEYOND))
        return page.content()

    for name in NAMED:
        shown = look(phone, name, visitor.site.url + addresses[name])
        assert FAMILY in shown, name
    desk = browser.new_context(viewport={"width": 320, "height": 568}, service_workers="block")
    owner = {"name": LOGIN_COOKIE, "value": visitor.town.tokens["owner"], "url": visitor.site.url}
    desk.add_cookies([owner])  # type: ignore[list-item]
    table = desk.new_page()
    for path in DESKS:
        look(table, f"console{path}", f"{visitor.site.url}/console{path}")
    desk.close()
    assert not wrong, "\n".join(wrong)
    # Whole where no browser cuts them off: the telephone's calendar and the printed stickers.
    told = visitor.get("guest", f"/orders/{visitor.town.order('in_use')}/calendar.ics")
    assert all(len(line.encode()) <= 75 for line in told.content.decode().split("\r\n"))
    assert f"SUMMARY:{LONG[Room]} · {LONG[Store]}" in told.text.replace("\r\n ", "")
    sheet = visitor.get("owner", f"/console/stores/{visitor.site.shop.store.id}/stickers.pdf")
    assert sheet.content.startswith(b"%PDF")
