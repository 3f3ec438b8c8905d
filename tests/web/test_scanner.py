"""The scanner in the app, its camera looking at the printed sticker of a real door."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import qrcode
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from cloud_api.auth.csrf import LOGIN_COOKIE
from tests.support.camera import looking_at
from tests.web.conftest import ARGS, CHROMIUM, PATIENCE_MS
from tests.web.town import Visitor, running_town

pytestmark = pytest.mark.xdist_group("walk")


@pytest.fixture(scope="module")
def visitor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Visitor]:
    with running_town(tmp_path_factory.mktemp("scan")) as made:
        yield made


@pytest.fixture
def site(visitor: Visitor) -> str:
    return visitor.site.url


def log_in(page: Page, visitor: Visitor, who: str) -> None:
    token = visitor.town.tokens[who]
    page.context.add_cookies([{"name": LOGIN_COOKIE, "value": token, "url": visitor.site.url}])


@pytest.fixture(scope="module")
def sticker(browser: Browser, visitor: Visitor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """竹间's sticker as the console prints it."""
    tab = browser.new_context(viewport={"width": 1440, "height": 900}).new_page()
    log_in(tab, visitor, "owner")
    shop = visitor.site.shop
    tab.goto(f"{visitor.site.url}/console/stores/{shop.store.id}/stickers")
    file = tmp_path_factory.mktemp("sticker") / "sticker.png"
    tab.locator(f'.sticker[data-sticker$="/d/{shop.door.token}"]').screenshot(path=file)
    tab.context.close()
    return file


def test_the_camera_finds_the_door_and_one_tap_opens_it(
    browser: Browser, visitor: Visitor, sticker: Path, tmp_path: Path
):
    """Chromium on Linux has no reader of its own: the small decoder reads the tilted sticker."""
    film = looking_at(sticker, tmp_path / "door.y4m")
    fake = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={film}",
    ]
    eye = browser.browser_type.launch(executable_path=CHROMIUM, args=[*ARGS, *fake])
    try:
        page = eye.new_context(viewport={"width": 390, "height": 844}).new_page()
        page.set_default_timeout(PATIENCE_MS)
        log_in(page, visitor, "guest")
        page.goto(f"{visitor.site.url}/")
        page.goto(f"{visitor.site.url}/scan")
        if page.get_by_role("button", name="打开相机").is_visible():
            page.get_by_role("button", name="打开相机").click()
        expect(page).to_have_url(f"{visitor.site.url}/d/{visitor.site.shop.door.token}")
        expect(page.locator("[data-door]")).to_have_attribute("data-state", "ready")
    finally:
        eye.close()


def test_a_photo_does_as_well_and_another_code_is_refused(
    page: Page, visitor: Visitor, site: str, sticker: Path, tmp_path: Path
):
    log_in(page, visitor, "stranger")
    page.goto(f"{site}/scan")
    other = tmp_path / "other.png"
    with other.open("wb") as file:
        qrcode.make("https://elsewhere.test/d/abc").save(file)
    page.locator("[data-scan-file]").set_input_files(other)
    expect(page.get_by_text("这不是门上的码")).to_be_visible()
    blank = tmp_path / "blank.png"
    Image.new("RGB", (300, 300), "white").save(blank)
    page.locator("[data-scan-file]").set_input_files(blank)
    expect(page.get_by_text("照片里没有看到码")).to_be_visible()
    page.locator("[data-scan-file]").set_input_files(sticker)
    expect(page).to_have_url(f"{site}/d/{visitor.site.shop.door.token}")
    expect(page.get_by_role("heading", name="这间不是你的")).to_be_visible()


def test_without_a_camera_the_page_says_what_else_does(page: Page, site: str):
    page.goto(f"{site}/scan")
    page.get_by_role("button", name="打开相机").click()
    expect(page.locator("[data-scan-say]")).to_contain_text("选一张照片")
    expect(page.get_by_role("button", name="打开相机")).to_be_visible()
