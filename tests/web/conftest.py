"""One Chromium per module, one phone per test; a test module brings its own ``site``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.support.chromium import find_chromium

CHROMIUM = find_chromium()
# What is waited for comes within moments, or never: on a loaded machine a moment is long.
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
ARGS = [
    "--accept-lang=zh-CN",  # what a guest's browser asks for; a test of another language says so
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


# A page that waits asks every few seconds; here it asks five times as often, and people wait a fifth. What it
# looks at by the half minute stays rare: a walk has to see what came by itself.
HASTE = """(() => {
  const every = window.setInterval;
  window.setInterval = (act, ms, ...more) => every(act, ms >= 2000 && ms <= 15000 ? ms / 5 : ms, ...more);
})()"""
HERE = Path(__file__).parent
SHARED = {"visitor", "town", "site", "whole"}  # what is made once for a module


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One worker does all tests of a module's site; two would make it twice. Before xdist reads the groups."""
    for item in items:
        if item.path.parent != HERE or item.get_closest_marker("xdist_group"):
            continue
        if SHARED & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("no Chromium found; set CHROMIUM to its path")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield running
        running.close()


@pytest.fixture
def page(browser: Browser, site: str) -> Iterator[Page]:
    """A phone. Whatever the policy blocks or a script throws fails the test."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, has_touch=True)
    context.set_default_timeout(PATIENCE_MS)
    context.add_init_script(HASTE)
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on(
        "console",
        lambda said: (
            wrong.append(said.text)
            if "Content Security Policy" in said.text or "Expression Error" in said.text
            else None
        ),
    )
    yield tab
    context.close()
    assert wrong == []
