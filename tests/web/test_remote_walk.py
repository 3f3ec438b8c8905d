"""The console's hands in a browser on the real cloud: temperatures, words, modes, a whole store, orders."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect
from sqlmodel import col, update

from cloud_api.orders.models import Order
from cloud_api.stores.models import Room
from tests.web.test_console_walk import answering, console, site, town  # noqa: F401  fixtures
from tests.web.town import Visitor


def test_a_temperature_and_words_show_the_stores_answer(console: Page, town: Visitor):  # noqa: F811
    console.goto(f"{town.site.url}/console/rooms/{town.site.shop.room.id}")
    air = console.locator("[data-device-box]").filter(has_text="空调温度")
    dialog = console.get_by_role("dialog")
    expect(air.get_by_role("button", name="设定")).to_be_hidden()
    air.get_by_role("button", name="高一度").click()
    with answering(town.site, "failed", "device_offline") as asked:
        air.get_by_role("button", name="设定").click()
        expect(dialog.get_by_text("把空调温度调到 26 度")).to_be_visible()
        dialog.get_by_role("button", name="设备检查").click()
        dialog.get_by_role("button", name="设定").click()
        expect(air.get_by_text("设备没有反应")).to_be_visible()  # never as if it had happened
    assert (asked[0].action, asked[0].args) == ("climate", {"setpoint": 26, "for_s": 3600})
    with answering(town.site, "done") as asked:
        air.get_by_role("button", name="除湿").click()
        expect(dialog.get_by_text("把空调温度换成除湿")).to_be_visible()
        dialog.get_by_role("button", name="设备检查").click()
        dialog.get_by_role("button", name="设定").click()
        expect(air.get_by_role("button", name="除湿")).to_have_attribute("aria-pressed", "true")
    assert (asked[0].action, asked[0].args) == ("climate", {"mode": "dry", "for_s": 3600})
    voice = console.locator("[data-device-box]").filter(has_text="语音")
    with answering(town.site, "done") as asked:
        voice.get_by_role("button", name="播报").click()
        dialog.get_by_label("说哪一句").select_option(label="还有 15 分钟")
        dialog.get_by_role("button", name="设备检查").click()
        dialog.get_by_role("button", name="播报").click()
        expect(voice.locator("[data-answer-steps] > .is-ok")).to_have_count(3)
    assert (asked[0].action, asked[0].args) == ("say", {"clip": "ends_in_15"})


def test_a_room_is_set_open_for_a_reason_and_back(console: Page, town: Visitor):  # noqa: F811
    shop = town.site.shop

    async def mode() -> tuple[str, str]:
        async with town.site.cloud.db.read() as session:
            room = await session.get_one(Room, shop.room.id)
            return room.mode, room.mode_why

    console.goto(f"{town.site.url}/console/rooms/{shop.room.id}")
    console.get_by_role("button", name="常开").click()
    dialog = console.get_by_role("dialog")
    dialog.get_by_role("button", name="切换").click()
    expect(dialog.get_by_text("写一句为什么")).to_be_visible()
    assert town.site.run(mode()) == ("normal", "")
    dialog.get_by_role("button", name="有活动").click()
    dialog.get_by_role("button", name="切换").click()
    glass = console.locator("#inspector")
    pressed = glass.get_by_role("button", name="常开")
    expect(pressed).to_have_attribute("aria-pressed", "true")
    expect(glass.get_by_text("门店还没照办")).to_be_visible()  # what is so, not what is wished
    assert town.site.run(mode()) == ("open", "有活动")
    glass.get_by_role("button", name="正常").click()
    console.get_by_role("dialog").get_by_role("button", name="切换").click()
    expect(glass.get_by_role("button", name="正常")).to_have_attribute("aria-pressed", "true")
    assert town.site.run(mode())[0] == "normal"


def test_a_whole_store_tells_which_devices_did_not_follow(console: Page, town: Visitor):  # noqa: F811
    console.goto(f"{town.site.url}/console")
    with answering(town.site, "refused", "stay_running") as asked:
        console.get_by_role("button", name="整店").click()
        dialog = console.get_by_role("dialog")
        dialog.get_by_text("灯全关").click()
        dialog.get_by_role("button", name="打烊").click()
        dialog.get_by_role("button", name="发出去").click()
        expect(dialog.get_by_text("3 个客人在用，没有动")).to_be_visible()
    assert len(asked) == 3
    assert all(one.args["on"] is False and one.args["force"] is False for one in asked)


def test_an_order_is_found_opened_and_cancelled_for_a_reason(console: Page, town: Visitor):  # noqa: F811
    order = town.town.orders["ready"]

    async def given(session) -> None:  # no payment stands behind it, so nothing goes back
        free = update(Order).where(col(Order.id) == order.id).values(total_fen=0, paid_fen=0)
        await session.exec(free)

    town.site.write(given)
    console.goto(f"{town.site.url}/console/orders")
    console.evaluate("window.marked = true")
    console.locator("label.lf-chip").filter(has_text="待使用").click()
    expect(console).to_have_url(re.compile("state=ready"))
    search = console.get_by_role("searchbox", name="单号或手机尾号")
    search.fill(order.number[-8:])
    expect(console.locator("tbody tr")).to_have_count(1)
    console.locator("tbody a").click()
    glass = console.locator("#inspector")
    expect(glass.get_by_role("heading", name=order.number)).to_be_visible()
    glass.get_by_role("button", name=re.compile("^取消")).click()
    dialog = console.get_by_role("dialog")
    dialog.get_by_role("button", name="取消订单").click()
    expect(dialog.get_by_text("写一句为什么")).to_be_visible()
    dialog.get_by_role("button", name="房间用不了").click()
    dialog.get_by_role("button", name="取消订单").click()
    expect(glass.get_by_text(re.compile("已取消|退款中|已退款")).first).to_be_visible()
    assert console.evaluate("window.marked") is True  # the page was never left
    console.go_back()
    expect(glass).to_have_count(0)

    async def status() -> str:
        async with town.site.cloud.db.read() as session:
            return (await session.get_one(Order, order.id)).status

    assert town.site.run(status()) == "cancelled"
