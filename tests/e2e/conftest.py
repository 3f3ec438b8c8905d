"""One browser over one running stage; a phone or a desk per person; what each test breaks it mends."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from demo.people import until
from tests.e2e.hands import Hands
from tests.support.stage import RunningStage

ARGS = [
    "--accept-lang=zh-CN",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="package")
def browser(chromium_path: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium_path, args=ARGS)
        yield running
        running.close()


@pytest.fixture
def hands(running_stage: RunningStage, browser: Browser) -> Iterator[Hands]:
    """A whole stage in good order, and a browser over it; a page's own errors fail the test."""
    made = Hands(running_stage, browser)
    made.owner.log_in()
    running_stage.eyes().online(60)
    yield made
    made.close()
    state = running_stage.state()
    for program in state["programs"]:
        if not program["running"]:
            running_stage.press(f"/programs/{program['name']}/start")
    for board in state["boards"]:
        running_stage.press(f"/boards/{board['id']}/fault", {"dead": False, "slow_ms": 0})
    until(made.cloud_is_up, bool, "the cloud to be up", 60)
    made.tidy()
    assert made.wrong == []
