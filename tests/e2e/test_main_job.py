"""From the store's page to the report of use, with a browser where a person would use one."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from demo.people import until
from tests.e2e.hands import OWNER_PHONE, Hands, advance_on_panel

pytestmark = [pytest.mark.xdist_group("stage"), pytest.mark.timeout(300)]
GUEST = "+8613912340001"
GRACE = timedelta(minutes=10)
ON = ("table", "light", "ac")
MAIN_DOOR_MS = 60_000  # a waiting page looks every five seconds, on a busy machine


def test_from_the_store_page_to_the_report_of_use(hands: Hands):
    """Book, pay, come too early, enter, stay over, leave: each page says so, each coil does so."""
    guest = hands.screen()
    order_id = book_and_pay(hands, guest)
    panel = hands.screen(desk=True)
    panel.goto(hands.stage.url("panel"))

    sticker = sticker_of(hands, "竹间门")
    pulses = hands.eyes.pulses("竹间")
    guest.goto(hands.mapped(sticker))
    expect(guest.get_by_role("heading", name="早到了，再等一会儿")).to_be_visible()
    expect(guest.locator("[data-countdown]")).to_be_visible()
    expect(guest.locator("[data-door]")).to_have_count(0)

    opens = datetime.fromisoformat(
        str(guest.locator("[data-countdown]").get_attribute("data-countdown"))
    )
    wait = opens - hands.eyes.clock.now()
    advance_on_panel(panel, int(wait.total_seconds() // 60) + 1)
    enter = guest.get_by_role("button", name="开门")
    expect(enter).to_be_visible(timeout=MAIN_DOOR_MS)  # nobody reloads the page
    expect(guest.get_by_role("heading", name="到了，请进")).to_be_visible()
    hands.keep(guest, "door-ready")
    assert hands.eyes.pulses("竹间") == pulses, "showing a door opens nothing"

    enter.click()
    expect(guest.get_by_text("开了，请推门").first).to_be_visible()
    assert hands.eyes.pulses("竹间") == pulses + 1
    for role in ON:
        hands.eyes.expect_power("竹间", role, on=True)
    for name in ("麻将机", "灯", "空调"):
        expect(panel.locator(f'[data-coil="竹间/{name}"]')).to_have_attribute("data-on", "true")
    hands.keep(panel, "panel")

    order = until(
        lambda: hands.owner.get(f"/console/orders/{order_id}"),
        lambda seen: seen["state"] == "in_use",
        "the cloud to know of the stay",
    )
    guest.goto(hands.url(f"/orders/{order_id}/stay"))
    ring = guest.get_by_role("timer")
    expect(ring).to_be_visible()
    expect(ring).to_contain_text("还剩")
    hands.keep(guest, "stay")

    stays_over_and_leaves(hands, panel, datetime.fromisoformat(order["ends_at"]))
    guest.goto(hands.url(f"/orders/{order_id}"))
    expect(guest.get_by_text("已完成")).to_be_visible(timeout=60_000)
    expect(guest.get_by_text(re.compile(r"用了 \d.*超时 \d+ 分钟"))).to_be_visible()
    guest.goto(hands.mapped(sticker))
    expect(guest.get_by_role("heading", name="时段已结束")).to_be_visible()
    assert hands.eyes.pulses("竹间") == pulses + 1


def book_and_pay(hands: Hands, guest: Page) -> str:
    """Store → room → time → login → confirm → cashier → order; the order's id."""
    guest.goto(hands.url("/"))
    guest.get_by_role("link", name="雀友会·静安店").click()
    expect(guest.get_by_role("heading", name="雀友会·静安店")).to_be_visible()
    hands.keep(guest, "store")
    guest.get_by_role("link", name="竹间", exact=True).click()
    guest.get_by_role("link", name=re.compile("^选时间")).click()
    later = hands.eyes.clock.now() + timedelta(minutes=45)
    starts = guest.get_by_role("combobox", name="开始时间")
    expect(starts.locator("option").nth(3)).to_be_attached()  # the script has drawn the choice
    times = starts.locator("option").evaluate_all("all => all.map((one) => one.value)")
    chosen = next(one for one in times if datetime.fromisoformat(one) > later)
    starts.select_option(chosen)
    guest.get_by_role("button", name="2 小时", exact=True).click()
    expect(guest.locator("[data-total]")).to_contain_text("¥")
    guest.get_by_role("button", name="下一步，核对订单").click()

    expect(guest.get_by_text("登录后下单，选好的时间还在")).to_be_visible()
    hands.log_in(guest, GUEST)
    expect(guest.get_by_role("heading", name="核对订单")).to_be_visible()
    guest.get_by_role("button", name=re.compile("^提交订单")).click()
    expect(guest.get_by_text("房间还给你留着")).to_be_visible()
    guest.get_by_role("button", name=re.compile("^付 ¥")).click()
    guest.get_by_role("button", name=re.compile("^支付 ¥")).click()
    expect(guest.get_by_role("heading", name="订好了")).to_be_visible(timeout=60_000)
    found = re.search(r"/orders/([^/?]+)", guest.url)
    assert found is not None
    return found.group(1)


def sticker_of(hands: Hands, door: str) -> str:
    """The owner prints the stickers; what the code in the picture under that name says."""
    desk = hands.screen(desk=True)
    desk.goto(hands.url("/console"))
    hands.log_in(desk, OWNER_PHONE)
    desk.get_by_role("link", name="设备", exact=True).first.click()
    desk.get_by_role("link", name="门贴", exact=True).first.click()
    paper = desk.locator("[data-sticker]").filter(
        has=desk.get_by_role("heading", name=door, exact=True)
    )
    expect(paper).to_be_visible()
    for image in desk.get_by_role("img", name=re.compile("的二维码$")).all():
        image.evaluate("image => image.decode()")
    box = paper.bounding_box()
    assert box is not None
    mine = [
        text
        for text, x, y in hands.codes_in(desk)
        if box["x"] <= x <= box["x"] + box["width"] and box["y"] <= y <= box["y"] + box["height"]
    ]
    assert mine == [hands.door(door)]
    return mine[0]


def stays_over_and_leaves(hands: Hands, panel: Page, ends: datetime) -> None:
    """Past the end and grace the power goes; five minutes more are overtime; then nobody is there."""
    panel.get_by_role("button", name=re.compile("^竹间.*没人")).click()
    expect(panel.get_by_role("button", name=re.compile("^竹间.*有人"))).to_be_visible()
    hands.eyes.advance_to(ends + timedelta(seconds=30))
    panel.wait_for_timeout(2500)
    for role in ON:
        hands.eyes.expect_power("竹间", role, on=True, seconds=0.1)  # grace
    hands.eyes.advance_to(ends + GRACE)
    for role in ON:
        hands.eyes.expect_power("竹间", role, on=False, seconds=10)
    panel.wait_for_timeout(1500)  # the store sees that somebody is still there
    advance_on_panel(panel, 5)
    panel.wait_for_timeout(2500)
    panel.get_by_role("button", name=re.compile("^竹间.*有人")).click()
    panel.wait_for_timeout(2500)
    advance_on_panel(panel, 2)  # a minute without a sign counts as left
