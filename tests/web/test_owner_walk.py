"""An owner's own work: the look of the house, met by guests at every turn; many rooms and orders at once."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

import pytest
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, FilePayload, expect
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.auth.csrf import LOGIN_COOKIE
from cloud_api.branding.colour import parse, ramp
from cloud_api.orders.models import Order
from cloud_api.stores.models import Room
from tests.web.conftest import PATIENCE_MS
from tests.web.test_people_walk import sitting
from tests.web.test_prices_walk import look
from tests.web.town import Visitor, running_town

pytestmark = pytest.mark.xdist_group("owner-walk")
LONG = "听竹轩棋牌茶社🀄二十四小时自助连锁总店！"


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("owner-walk")) as running:
        yield running


def logo(width: int, height: int) -> FilePayload:
    """A red seal with a white bamboo, round about what is clear."""
    image = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((4, 4, width - 4, height - 4), height // 5, fill=(160, 28, 44, 255))
    for x in range(width // 4, width * 3 // 4, width // 8):
        pen.rectangle((x, height // 5, x + width // 40 + 4, height * 4 // 5), fill="white")
    out = io.BytesIO()
    image.save(out, "PNG")
    return {"name": "logo.png", "mimeType": "image/png", "buffer": out.getvalue()}


def test_a_brand_is_chosen_seen_met_by_guests_and_taken_back(
    browser: Browser, town: Visitor
) -> None:
    site, store = town.site, town.town.shop
    with sitting(browser, town, town.town.tokens["owner"]) as desk:
        desk.goto(f"{site.url}/console/brand")
        form = desk.locator("form[data-brand]")
        expect(form.get_by_label("名字", exact=True)).to_have_attribute("placeholder", "雀友会")
        form.get_by_label("名字", exact=True).fill(LONG)
        form.get_by_label("一句话").fill("一盏灯，一桌牌，随到随开")
        form.get_by_label("客服电话").fill("021-5555 0000")
        form.get_by_label("微信号").fill("tingzhu_01")
        form.get_by_label("页脚").fill("沪ICP备12345678号-1")
        # The phones beside it follow, in tones that words can be read on; a colour that cannot is told.
        for place in desk.locator("[data-preview] [data-put=name]").all():
            expect(place).to_have_text(LONG)
        field = form.locator("[name=colour]")
        field.fill("#FFD500")
        expect(desk.locator("[data-told]")).to_contain_text("太浅")
        expect(desk.locator("[data-preview=dark] .btn-solid")).to_have_css(
            "background-color", "rgb(255, 213, 0)"
        )
        expect(desk.locator("[data-preview=light] .btn-solid")).not_to_have_css(
            "background-color", "rgb(255, 213, 0)"
        )
        field.fill("#8B1E3F")
        expect(desk.locator("[data-told]")).to_contain_text("太深")
        expect(desk.locator("[data-preview=light] .btn-solid")).to_have_css(
            "background-color", "rgb(139, 30, 63)"
        )
        # A logo goes at once; what was typed meanwhile is not lost under it.
        square = desk.locator("[data-logo=square]")
        square.locator("input").set_input_files(
            {"name": "x.svg", "mimeType": "image/svg+xml", "buffer": b"<svg onload='x()'/>"}
        )
        expect(square.locator(".error")).to_contain_text("只收 JPEG、PNG、WebP")
        square.locator("input").set_input_files(logo(512, 512))
        expect(desk.locator("[data-logo=square] img")).to_be_visible()
        expect(form.locator("[name=footer]")).to_have_value("沪ICP备12345678号-1")
        look(desk, "brand-desk")
        form.get_by_role("button", name="保存").click()
        expect(desk.get_by_text("存好了")).to_be_visible()
        expect(desk.locator(".cbar-house")).to_have_text(LONG)
        with sitting(browser, town, town.town.tokens["owner"], phone=True) as hand:
            hand.goto(f"{site.url}/console/brand")
            expect(hand.locator(".cbar-mark img")).to_be_visible()
            look(hand, "brand-hand")

        context = browser.new_context(viewport={"width": 320, "height": 700}, has_touch=True)
        context.set_default_timeout(PATIENCE_MS)
        guest = context.new_page()
        login = f"/login?next=/d/{store.doors[0].token}"
        for path, name in (
            (login, "login"), ("/", "home"), (f"/s/{store.store.id}", "store"), ("/offline", "offline"),
            (f"/d/{store.doors[0].token}", "door"),
        ):  # fmt: skip
            if name == "door":
                cookie = {"name": LOGIN_COOKIE, "value": town.town.tokens["guest"], "url": site.url}
                context.add_cookies([cookie])  # type: ignore[list-item]
            guest.goto(f"{site.url}{path}")
            if name != "door":
                expect(guest).to_have_title(re.compile(LONG))
            assert "icon-64.png" in (guest.locator("link[rel=icon]").get_attribute("href") or "")
            look(guest, f"brand-{name}-320")
        expect(guest.locator(".top-mark img")).to_be_visible()
        guest.goto(f"{site.url}/")
        expect(guest.get_by_text("沪ICP备12345678号-1")).to_be_visible()
        guest.goto(f"{site.url}/s/{store.store.id}")
        expect(guest.locator(".actions .btn-solid")).to_have_css(
            "background-color", "rgb(139, 30, 63)"
        )
        guest.emulate_media(color_scheme="dark")
        bright = "rgb({}, {}, {})".format(*parse(ramp("#8B1E3F").dark.brand))
        expect(guest.locator(".actions .btn-solid")).to_have_css("background-color", bright)
        look(guest, "brand-store-dark")
        context.close()

        # Stickers carry the house's mark; the last change is taken back, then everything.
        desk.goto(f"{site.url}/console/stickers")
        assert "/media/" in (desk.locator(".sticker-mark img").first.get_attribute("src") or "")
        desk.goto(f"{site.url}/console/brand")
        desk.locator("[data-logo=wide] input").set_input_files(logo(900, 220))
        expect(desk.locator("[data-logo=wide] img")).to_be_visible()
        desk.get_by_role("button", name="撤销上一次").click()
        with desk.expect_navigation():
            desk.get_by_role("dialog").get_by_role("button", name="撤销").click()
        expect(desk.locator("[data-logo=wide] img")).to_have_count(0)
        desk.get_by_role("button", name="恢复成开门").click()
        desk.get_by_role("dialog").get_by_role("button", name="恢复").click()
        expect(desk.locator("form[data-brand] [name=name]")).to_have_value("")
        expect(desk.locator(".rail-home img")).to_have_attribute("src", re.compile("mark"))


def test_many_rooms_and_orders_at_once(browser: Browser, town: Visitor) -> None:
    """Rooms go out and come back by the toast's undo; orders go only after the page said what each gives back."""
    site = town.site
    with sitting(browser, town, town.town.tokens["owner"]) as desk:
        desk.goto(f"{site.url}/console/house?store={town.town.far.store.id}")
        for box in desk.locator("[data-pick]").all():
            box.check()
        look(desk, "many-rooms")
        desk.get_by_role("button", name="停用", exact=True).click()
        sheet = desk.get_by_role("dialog")
        sheet.get_by_label("为什么").fill("装修两周")
        sheet.get_by_role("button", name="停用").click()
        expect(desk.get_by_text("做好 2 项")).to_be_visible()

        async def modes(session: AsyncSession) -> list[str]:
            return [(await session.get_one(Room, one.id)).mode for one in town.town.far.rooms]

        assert site.write(modes) == ["maintenance"] * 2
        desk.get_by_role("button", name="撤销").click()
        expect(desk.get_by_text("撤销了")).to_be_visible()
        assert site.write(modes) == ["normal"] * 2

        desk.goto(f"{site.url}/console/orders")
        ready, running = town.town.order("ready"), town.town.order("in_use")

        async def given(session: AsyncSession) -> None:  # no payment stands behind it
            order = await session.get_one(Order, ready)
            order.paid_fen = 0
            session.add(order)

        site.write(given)
        for order_id in (ready, running):
            desk.locator(f"#o-{order_id} [data-pick]").check()
        look(desk, "many-orders")
        desk.get_by_role("button", name="取消订单").click()
        expect(desk.locator(f"[data-outcome='{running}']")).to_contain_text("不能取消")
        expect(desk.locator(f"[data-outcome='{ready}'] [data-whole]")).to_have_text("没有要退的")
        look(desk, "many-cancel")
        desk.get_by_text("按预订规则：").click()
        expect(desk.locator(f"[data-outcome='{ready}'] [data-whole]")).to_be_hidden()
        desk.get_by_text("全退：").click()
        desk.set_viewport_size({"width": 390, "height": 844})
        look(desk, "many-cancel-hand")
        desk.get_by_role("button", name="取消这 1 单").click()
        expect(desk.locator("[data-error-for=why]")).not_to_be_empty()
        desk.get_by_label("为什么").fill("停电停水")
        desk.get_by_role("button", name="取消这 1 单").click()
        expect(desk.locator(f"[data-outcome='{ready}']")).to_contain_text("取消了")
        expect(desk.get_by_text("做好 1 项")).to_be_visible()
        look(desk, "many-cancelled-hand")
