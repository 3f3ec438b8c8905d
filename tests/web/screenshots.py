"""``make screenshots``: every page of the customer's, at a phone's size, into docs/images/pages/ as WebP.

``python -m tests.web.screenshots FOLDER [NAME …]`` writes elsewhere, or only some. The pages are those of a
town that really runs, with people and orders in it; what a town cannot show at one moment (a door's other
answers) is drawn from the samples that the templates are tried out with.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

import structlog
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from cloud_api.auth.csrf import LOGIN_COOKIE
from tests.web.conftest import ARGS, CHROMIUM
from tests.web.customer_pages import pages_of
from tests.web.server import serving
from tests.web.town import running_town

FOLDER = Path(__file__).parents[2] / "docs" / "images" / "pages"
SIZE = {"width": 390, "height": 844}
SAMPLES = (  # what the town does not show
    "door-early", "door-none_free", "door-none_taken", "door-unpaid", "door-store_offline", "door-lock_dead",
    "door-ended", "door-closed", "stay-grace", "stay-over", "pay-waiting", "pay-late", "team",
)  # fmt: skip
DARK = (
    "stores", "store", "book", "order-ready", "room", "confirm", "pay", "orders", "groupbuy", "voucher", "balance",
    "notices",
)  # fmt: skip
QUALITY = 72


def main() -> None:
    """Take them all."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    only = set(sys.argv[2:])
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        _town(browser, folder, only)
        _samples(browser, folder, only)
        browser.close()


def _town(browser: Browser, folder: Path, only: set[str]) -> None:
    with tempfile.TemporaryDirectory() as room, running_town(Path(room)) as visitor:
        addresses = pages_of(visitor)
        for scheme in ("light", "dark"):
            page = _phone(browser, scheme)
            page.goto(f"{visitor.site.url}/login")
            if scheme == "light":
                _keep(page, folder / "login.webp", only)
            token = visitor.town.tokens["guest"]
            page.context.add_cookies(
                [{"name": LOGIN_COOKIE, "value": token, "url": visitor.site.url}]
            )
            for name, path in addresses.items():
                if scheme == "dark" and name not in DARK:
                    continue
                page.goto(visitor.site.url + path)
                _keep(page, folder / f"{name}{'-dark' if scheme == 'dark' else ''}.webp", only)
            page.context.close()


def _samples(browser: Browser, folder: Path, only: set[str]) -> None:
    with serving() as url:
        page = _phone(browser, "light")
        for name in SAMPLES:
            page.goto(f"{url}/{name}")
            _keep(page, folder / f"{name.replace('_', '-')}.webp", only)
        page.context.close()


def _phone(browser: Browser, scheme: str) -> Page:
    context = browser.new_context(
        viewport=SIZE,  # type: ignore[arg-type]
        has_touch=True,
        color_scheme=scheme,  # type: ignore[arg-type]
        service_workers="block",
    )
    context.set_default_timeout(60_000)
    return context.new_page()


def _keep(page: Page, file: Path, only: set[str]) -> None:
    if only and file.stem not in only:
        return
    page.wait_for_load_state("load")
    page.wait_for_timeout(800)  # figures of a countdown, the price of a chosen time
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled")))
    picture.convert("RGB").save(file, "WEBP", quality=QUALITY, method=6)
    print(file.name, f"{file.stat().st_size / 1024:.0f} kB", file=sys.stderr)


if __name__ == "__main__":
    main()
