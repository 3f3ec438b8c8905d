"""Each way a door can refuse: what its page says, and that nothing moved at the boards."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from demo.people import until
from tests.e2e.hands import Hands

pytestmark = [pytest.mark.xdist_group("stage"), pytest.mark.timeout(240)]
MENDS_MS = 60_000


def says(page: Page, headline: str) -> None:
    """The door's one answer."""
    expect(page.get_by_role("heading", name=headline)).to_be_visible()


def cannot_tap(page: Page) -> None:
    expect(page.locator("[data-door]")).to_have_count(0)


def test_not_paid(hands: Hands):
    guest = hands.person()
    hands.booked(guest, "梅间", paid=False)
    before = hands.coils()
    page = hands.screen(guest)
    page.goto(hands.door("梅间门"))
    says(page, "还差付款")
    expect(page.get_by_text("梅间给你留着，付好就能开门")).to_be_visible()
    cannot_tap(page)
    hands.unchanged(before)
    page.get_by_role("link", name=re.compile("^付 ¥")).click()
    expect(page.get_by_text("用什么付")).to_be_visible()


def test_wrong_room(hands: Hands):
    guest = hands.person()
    hands.in_window(guest, "竹间")
    before = hands.coils()
    page = hands.screen(guest)
    page.goto(hands.door("梅间门"))
    says(page, "这间不是你的")
    expect(page.get_by_text("你订的是竹间，去找写着「竹间门」的门")).to_be_visible()
    cannot_tap(page)
    hands.unchanged(before)


def test_anothers_order(hands: Hands):
    hands.in_window(hands.person(), "竹间")
    before = hands.coils()
    page = hands.screen(hands.person())
    page.goto(hands.door("竹间门"))
    says(page, "你现在没有订这里，这间别人订了")
    cannot_tap(page)
    hands.unchanged(before)


def test_nobody_in_particular_logs_in_first(hands: Hands):
    before = hands.coils()
    page = hands.screen()
    page.goto(hands.door("竹间门"))
    expect(page.get_by_text("登录后就能看这扇门")).to_be_visible()
    hands.unchanged(before, 0.5)


def test_over(hands: Hands):
    guest = hands.person()
    order = hands.in_window(guest, "听雨")
    page = hands.screen(guest)
    page.goto(hands.door("听雨门"))
    expect(page.get_by_role("button", name="开门")).to_be_visible()
    before = hands.coils()
    hands.eyes.advance_to(datetime.fromisoformat(order["ends_at"]) + timedelta(minutes=15))
    page.get_by_role("button", name="开门").click()  # the page was left open
    expect(page.locator('[data-door][data-state="failed"]')).to_be_visible()
    expect(page.locator("[data-door-say]")).not_to_be_empty()
    page.reload()
    says(page, "时段已结束")
    cannot_tap(page)
    hands.unchanged(before)


def test_store_offline(hands: Hands):
    guest = hands.person()
    hands.in_window(guest, "竹间")
    page = hands.screen(guest)
    page.goto(hands.door("竹间门"))
    expect(page.get_by_role("button", name="开门")).to_be_visible()
    before = hands.coils()
    hands.running.press("/programs/controller/kill")
    hands.until_case(guest, "竹间门", "store_offline", 60)
    page.get_by_role("button", name="开门").click()
    expect(page.locator('[data-door][data-state="failed"]')).to_be_visible()
    expect(page.locator("[data-door-say]")).to_contain_text("断网")
    page.reload()
    expect(page.get_by_role("heading", name=re.compile("^门店暂时断网"))).to_be_visible()
    cannot_tap(page)
    hands.unchanged(before)
    hands.running.press("/programs/controller/start")
    says_ready = page.get_by_role("heading", name="到了，请进")
    expect(says_ready).to_be_visible(timeout=MENDS_MS)  # by itself
    hands.unchanged(before)  # nothing was waiting to be delivered


def test_dead_board(hands: Hands):
    guest = hands.person()
    hands.in_window(guest, "听雨")
    page = hands.screen(guest)
    page.goto(hands.door("听雨门"))
    before = hands.coils()
    hands.eyes.fault("听雨", dead=True)
    page.get_by_role("button", name="开门").click()
    expect(
        page.locator('[data-door][data-state="failed"], [data-door][data-state="unknown"]')
    ).to_be_visible()
    hands.until_case(guest, "听雨门", "lock_dead")
    page.reload()
    says(page, "门锁没有反应")
    expect(page.get_by_role("link", name="打给店家").first).to_be_visible()
    hands.unchanged(before)
    hands.eyes.fault("听雨", dead=False)
    expect(page.get_by_role("heading", name="到了，请进")).to_be_visible(timeout=90_000)
    hands.unchanged(before)


def test_two_taps_are_one_pulse(hands: Hands):
    guest = hands.person()
    hands.in_window(guest, "竹间")
    pages = [hands.screen(guest), hands.screen(guest)]
    for page in pages:
        page.goto(hands.door("竹间门"))
    before = hands.eyes.pulses("竹间")
    for page in pages:  # twice on each of two phones
        page.get_by_role("button", name="开门").dblclick()
    for page in pages:
        expect(page.get_by_text("开了，请推门").first).to_be_visible()
    pages[0].wait_for_timeout(1000)
    assert hands.eyes.pulses("竹间") == before + 1


def test_the_cloud_dies_in_the_middle_of_a_tap(hands: Hands):
    """The page does not know, says so, and forbids a second tap; there is never a second pulse."""
    guest = hands.person()
    order = hands.in_window(guest, "竹间")
    page = hands.screen(guest)
    page.goto(hands.door("竹间门"))
    before = hands.eyes.pulses("竹间")
    board = hands.eyes.board("竹间")["id"]
    hands.running.press(f"/boards/{board}/fault", {"slow_ms": 250})
    page.get_by_role("button", name="开门").click()
    expect(page.locator('[data-door][data-state="sending"]')).to_be_visible()
    hands.running.press("/programs/cloud/kill")
    expect(page.locator('[data-door][data-state="unknown"]')).to_be_visible()
    expect(page.locator("[data-door-say]")).to_contain_text("可能已经开了，推一下试试")
    expect(page.locator("[data-door]")).to_have_attribute("aria-disabled", "true")
    page.locator("[data-door]").click(force=True)  # does nothing: the first may still act
    hands.running.press(f"/boards/{board}/fault", {"slow_ms": 0})
    hands.running.press("/programs/cloud/start")
    until(hands.cloud_is_up, bool, "the cloud to be up", 60)
    hands.eyes.online(60)
    after = hands.eyes.pulses("竹间")
    assert after - before in {0, 1}
    page.wait_for_timeout(3000)
    assert hands.eyes.pulses("竹间") == after, "a pulse was repeated"
    page.reload()
    assert guest.get(f"/orders/{order['id']}")["state"] in {"ready", "in_use"}
    expect(page.get_by_role("button", name="开门")).to_be_visible()
