"""A browser that can show Chinese: found on the machine, or fetched where that is possible."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support import debian

# The same engine without windows, menus and extensions comes first: half the work for a page.
_LIGHT = "chromium-headless-shell"
_NAMES = (_LIGHT, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MAC_APPS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
_PLAYWRIGHT_PATTERNS = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
    "chromium_headless_shell-*/chrome-*/headless_shell",
    "chromium_headless_shell-*/chrome-*/chrome-headless-shell",
)
_DEBIAN_BROWSERS = ((_LIGHT,), ("chromium",))
_DEBIAN_FONT = ("fontconfig", "fonts-wqy-microhei")


class ChromiumError(Exception):
    """No browser, or no font with Chinese glyphs; the message says what to do."""


def _candidates() -> Iterator[Path]:
    if chosen := os.environ.get("CHROMIUM"):
        yield Path(chosen)
    for name in _NAMES:
        if found := shutil.which(name):
            yield Path(found)
    for app in _MAC_APPS:
        yield Path(app)
    for cache in _playwright_caches():
        for pattern in _PLAYWRIGHT_PATTERNS:
            yield from sorted(cache.glob(pattern), reverse=True)  # the newest first


def _playwright_caches() -> list[Path]:
    if chosen := os.environ.get("PLAYWRIGHT_BROWSERS_PATH"):
        return [Path(chosen)]
    home = Path.home()
    return [home / ".cache" / "ms-playwright", home / "Library" / "Caches" / "ms-playwright"]


def _works(browser: Path) -> bool:
    """Whether it starts at all: libraries may be missing, a shim may lead nowhere."""
    if not browser.is_file():
        return False
    try:
        done = subprocess.run(
            [browser, "--version"], capture_output=True, check=False, timeout=60, text=True
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0 and "chrom" in done.stdout.lower()


def find_chromium() -> Path | None:
    """The first browser that starts, without fetching anything."""
    return next((path for path in _candidates() if _works(path)), None)


def has_chinese_font() -> bool:
    """Whether pages get Chinese glyphs; macOS always has them."""
    if sys.platform == "darwin":
        return True
    if shutil.which("fc-list") is None:
        return False
    listed = subprocess.run(
        ["fc-list", ":lang=zh", "family"], capture_output=True, check=False, text=True
    )
    return bool(listed.stdout.strip())


def ensure_chromium() -> Path:
    """A browser and a font, fetched if need be: apt as root on Debian, else Playwright's own.

    :raises ChromiumError: one sentence that says what is missing and how to get it.
    """
    browser = find_chromium()
    if debian.can_install():
        if not has_chinese_font():
            debian.install(_DEBIAN_FONT)
        for wanted in _DEBIAN_BROWSERS:
            if not os.environ.get("CHROMIUM") and shutil.which(wanted[0]) is None:
                debian.install(wanted)
            if browser := find_chromium():
                break
    if browser is None:
        _playwright_install()
        browser = find_chromium()
    if browser is None:
        raise ChromiumError(
            "No Chromium for the browser tests: install Chromium or Google Chrome, or set "
            "CHROMIUM to the path of one."
        )
    if not has_chinese_font():
        raise ChromiumError(
            "No font with Chinese glyphs, so pages would show empty boxes: install one, e.g. "
            "Debian's fonts-wqy-microhei."
        )
    return browser


def _playwright_install() -> None:
    print("Fetching Playwright's Chromium …", flush=True)
    subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"],
        capture_output=True,
        check=False,
    )
