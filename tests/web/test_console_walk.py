"""The owner's console in a browser on the real cloud: rooms live, a room under the glass, commands, stickers."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, Page, expect
from sqlmodel import col, select, update

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.devices.models import DeviceCommand, StoreStatus
from cloud_api.kit.actor import System, scoped
from cloud_api.store_channel.outcomes import Outcome, settle
from tests.web.conftest import PATIENCE_MS
from tests.web.real import Site
from tests.web.town import Visitor, running_town


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("console-walk")) as running:
        yield running


@pytest.fixture
def site(town: Visitor) -> str:
    return town.site.url


@pytest.fixture
def console(browser: Browser, town: Visitor) -> Iterator[Page]:
    """The owner at a desk."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    cookie = {"name": LOGIN_COOKIE, "value": town.town.tokens["owner"], "url": town.site.url}
    context.add_cookies([cookie])  # type: ignore[list-item]
    context.set_default_timeout(PATIENCE_MS)
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    yield tab
    context.close()
    assert wrong == []


@contextmanager
def answering(site: Site, state: str, reason: str | None = None) -> Iterator[list[DeviceCommand]]:
    """Settle each command as the channel does when the store's answer arrives; yields what was asked."""
    asked: list[DeviceCommand] = []
    done = threading.Event()
    since = site.cloud.clocks.real

    async def once() -> None:
        async with site.cloud.db.write() as session:
            query = scoped(System(), DeviceCommand).where(
                col(DeviceCommand.state) == "created", col(DeviceCommand.created_at) > since
            )
            for command in (await session.exec(query)).all():
                asked.append(command)
                outcome = Outcome(state, reason)
                await settle(session, site.cloud, command.store_id, command.id, outcome)

    def keep() -> None:
        while not done.wait(0.1):
            site.run(once())

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield asked
    finally:
        done.set()
        thread.join(5)


def test_a_room_under_the_glass_and_its_door_opened_for_a_reason(console: Page, town: Visitor):
    console.goto(f"{town.site.url}/console")
    console.get_by_role("link", name=re.compile("竹间.*使用中")).click()
    glass = console.locator("#inspector")
    expect(glass.get_by_role("heading", name="竹间", exact=True)).to_be_visible()
    expect(console).to_have_url(re.compile("/console/rooms/"))
    with answering(town.site, "done") as asked:
        glass.get_by_role("button", name="开门").first.click()
        dialog = console.get_by_role("dialog")
        dialog.get_by_role("button", name="开门").click()
        expect(dialog).to_be_visible()  # no reason, no command
        dialog.get_by_role("button", name="送东西、打扫").click()
        dialog.get_by_role("button", name="开门").click()
        expect(glass.locator("[data-answer-by]").first).to_contain_text("送东西、打扫")
        expect(glass.get_by_text("锁已动作").first).to_be_visible()
    (command,) = asked
    assert (command.action, command.why) == ("unlock", "送东西、打扫")
    assert command.target == town.site.shop.door.id
    console.keyboard.press("Escape")
    expect(glass).to_have_count(0)


def test_power_is_cut_under_a_guest_only_after_the_consequence_was_read(
    console: Page, town: Visitor
):
    shop = town.site.shop
    console.goto(f"{town.site.url}/console/rooms/{shop.room.id}")
    switch = console.get_by_role("switch", name="麻将机")
    expect(switch).to_have_attribute("aria-checked", "true")
    with answering(town.site, "refused", "stay_running") as asked:
        switch.click()
        dialog = console.get_by_role("dialog")
        expect(dialog.get_by_text("客人正在玩的会马上停")).to_be_visible()
        dialog.get_by_role("button", name="设备检查").click()
        dialog.get_by_role("button", name="关掉").click()
        expect(console.locator("#inspector").get_by_text("有客人在用").first).to_be_visible()
    assert asked[0].args == {"on": False, "for_s": 3600, "force": False}
    expect(switch).to_have_attribute("aria-checked", "true")  # what the store reported
    with answering(town.site, "done") as asked:
        switch.click()
        dialog.get_by_label("有人在用也断电").check()
        dialog.get_by_role("button", name="设备检查").click()
        dialog.get_by_label("保持多久").select_option(label="15 分钟")
        dialog.get_by_role("button", name="关掉").click()
        expect(console.locator("#inspector").get_by_text("好了").first).to_be_visible()
    assert asked[0].args == {"on": False, "for_s": 900, "force": True}


def test_a_command_that_nobody_answers_is_told_as_unknown(console: Page, town: Visitor):
    """Ten seconds and no word: it may have happened, so the page does not say that it did not."""
    console.goto(f"{town.site.url}/console/rooms/{town.site.shop.rooms[2].id}")
    console.locator("#inspector").get_by_role("button", name="开门").first.click()
    dialog = console.get_by_role("dialog")
    dialog.get_by_role("button", name="设备检查").click()
    dialog.get_by_role("button", name="开门").click()
    expect(console.get_by_text(re.compile("可能已经开了"))).to_be_visible()


def test_the_board_follows_what_happens_and_the_clock(console: Page, town: Visitor):
    """A stay that ends turns the tile, and so does time that passes; nobody reloads the page."""
    site = town.site
    console.goto(f"{site.url}/console")
    console.evaluate("window.marked = true")
    rain = console.locator(f"#tile-{site.shop.rooms[2].id}")
    expect(rain).to_contain_text("到店")
    site.passes(minutes=40)
    expect(rain).to_contain_text("该到了")
    expect(console.locator("[data-clock]")).to_have_text(re.compile(r"12:4\d"))
    far = site.shop.store.id

    async def lost() -> None:
        from cloud_api.store_channel.status import take_presence
        from store_link.reports import Presence

        async with site.cloud.db.read() as session:
            query = select(StoreStatus).where(col(StoreStatus.store_id) == far)
            status = (await session.exec(query)).one()
        message = Presence(
            v=1,
            store=far,
            state="lost",
            boot=status.boot or "",
            nonce=status.nonce or "",
            sent_at=0,
        )
        await take_presence(site.cloud, site.shop.merchant.id, message, retained=False)

    site.run(lost())
    expect(console.locator(f"#s-{far} + .link-off")).to_be_visible()
    assert console.evaluate("window.marked") is True

    async def back(session) -> None:
        await session.exec(
            update(StoreStatus)
            .where(col(StoreStatus.store_id) == far)
            .values(online=True, nonce="n1")
        )

    site.write(back)


def test_a_printed_sticker_leads_to_its_door(console: Page, town: Visitor, tmp_path):
    """Read by an independent decoder from the rendered page, on screen and as printed."""
    site = town.site
    console.goto(f"{site.url}/console/stores/{site.shop.store.id}/stickers")
    doors = {
        f"{site.url}/d/{door.token}" for door in (*site.shop.doors, site.shop.entrance) if door
    }
    for media in ("screen", "print"):
        console.emulate_media(media=media)
        found = set()
        for card in console.locator(".sticker").all():
            picture = tmp_path / "card.png"
            card.screenshot(path=picture)
            (code,) = zxingcpp.read_barcodes(Image.open(picture))
            assert code.text == card.get_attribute("data-sticker")
            found.add(code.text)
        assert found == doors
    width, height = console.locator(".sticker").first.evaluate(
        "e => [e.getBoundingClientRect().width, e.getBoundingClientRect().height]"
    )
    mm = 96 / 25.4
    assert (round(width / mm), round(height / mm)) == (105, 148)


def test_the_stay_ends_early_when_the_guest_says_so(browser: Browser, town: Visitor):
    site = town.site
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    cookie = {"name": LOGIN_COOKIE, "value": town.town.tokens["guest"], "url": site.url}
    context.add_cookies([cookie])  # type: ignore[list-item]
    page = context.new_page()
    page.goto(f"{site.url}/orders/{town.town.order('in_use')}/stay")
    with answering(site, "done") as asked:
        page.get_by_role("button", name="开门").click()
        expect(page.get_by_text("开了，请推门").first).to_be_visible()
        page.get_by_role("button", name="提前结束").click()
        expect(page.get_by_text("剩下的时间不退钱")).to_be_visible()
        page.get_by_role("button", name="结束使用").click()
        expect(page.get_by_text("已经提前结束")).to_be_visible()
    assert [command.action for command in asked] == ["unlock", "finish"]
    context.close()


def test_a_door_page_left_open_notices_that_its_time_has_come(browser: Browser, town: Visitor):
    site = town.site
    context = browser.new_context(viewport={"width": 390, "height": 844})
    cookie = {"name": LOGIN_COOKIE, "value": town.town.tokens["guest"], "url": site.url}
    context.add_cookies([cookie])  # type: ignore[list-item]
    page = context.new_page()
    ready = town.town.orders["ready"]
    site.passes(seconds=(ready.starts_at - site.now - timedelta(hours=1)).total_seconds())
    page.goto(f"{site.url}/orders/{ready.id}")
    expect(page.get_by_text("起可以进门").first).to_be_visible()
    site.passes(minutes=50)
    # Outside a demonstration a page is told the time every 15 s.
    expect(page.get_by_text("现在就能进，扫门上的码")).to_be_visible()
    expect(page.locator(".how")).to_contain_text("现在就能进门")  # not from when, once that is over
    context.close()
