"""Pages that lead on by themselves."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect


def arrive(page: Page, url: str | re.Pattern[str]) -> None:
    """Wait until the page is at ``url`` and has loaded.

    Playwright's ``wait_for_url`` fails where one way there overtakes another: a page that waits for money is led
    on by the news of it, and a moment later by its own look.
    """
    expect(page).to_have_url(url)
    page.wait_for_load_state("load")
