"""The owner from afar: sees the stay, opens a door with a reason, switches a light."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.hands import Hands

pytestmark = [pytest.mark.xdist_group("stage"), pytest.mark.timeout(240)]


def confirm(desk: Page, why: str, act: str) -> None:
    """The sheet asks why, and does nothing without an answer."""
    sheet = desk.get_by_role("dialog")
    expect(sheet).to_be_visible()
    go = sheet.get_by_role("button", name=act, exact=True)
    sheet.get_by_label("为什么").fill(" ")
    go.click()
    expect(sheet.get_by_text("写一句为什么")).to_be_visible()
    sheet.get_by_label("为什么").fill(why)
    go.click()
    expect(sheet).not_to_be_visible()


def test_the_owner_sees_the_stay_opens_and_switches(hands: Hands):
    guest = hands.person()
    hands.in_window(guest, "竹间")
    desk = hands.screen(hands.owner, desk=True)
    desk.goto(hands.url("/console"))
    tile = desk.locator(f'[data-tile="{hands.room("竹间")}"]')
    expect(tile).to_be_visible()
    expect(tile).not_to_contain_text("使用中")
    before = hands.eyes.pulses("竹间")
    assert guest.unlock(hands.stage.doors["竹间门"])["state"] == "done"
    expect(tile).to_contain_text("使用中", timeout=60_000)  # live, nobody reloads

    tile.click()
    glass = desk.locator("#inspector")
    expect(glass.get_by_role("heading", name="竹间", exact=True)).to_be_visible()
    door = glass.locator("[data-door-box]").filter(
        has=desk.get_by_role("heading", name="竹间门", exact=True)
    )
    desk.wait_for_timeout(3100)  # the guest's pulse answers for three seconds
    door.get_by_role("button", name="开门").click()
    confirm(desk, "客人手机没电", "开门")
    answer = door.locator("[data-answer-steps] > .is-ok")  # three rows, each with its tick
    expect(answer).to_have_text(
        [re.compile("^已送到门店"), re.compile("^控制器照办"), re.compile("^(锁已动作|开了)")]
    )
    expect(door.get_by_text("客人手机没电")).to_be_visible()
    assert hands.eyes.pulses("竹间") == before + 2
    hands.keep(desk, "console-live")

    desk.goto(hands.url(f"/console/rooms/{hands.room('梅间')}"))
    lamp = desk.get_by_role("switch", name="灯", exact=True)
    expect(lamp).to_have_attribute("aria-checked", "false")
    lamp.click()
    confirm(desk, "打扫", "打开")
    hands.eyes.expect_power("梅间", "light", on=True)
    expect(lamp).to_have_attribute("aria-checked", "true")
    desk.reload()
    expect(lamp).to_have_attribute("aria-checked", "true")
    lamp.click()
    confirm(desk, "打扫好了", "关掉")
    hands.eyes.expect_power("梅间", "light", on=False)
    light = next(
        one["id"]
        for one in hands.owner.get(f"/console/stores/{hands.stage.store_id}/devices")["bindings"]
        if one["role"] == "light" and one["rooms"] == [hands.room("梅间")]
    )
    hands.owner.post(f"/console/bindings/{light}/clear", {"why": "打扫好了"})
