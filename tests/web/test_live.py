"""The feed refreshes what changed and leaves the rest alone: focus, scroll, open things."""

from __future__ import annotations

import json
import queue
from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

import pytest
from playwright.sync_api import Page, expect

from cloud_api.web import view_models as vm
from cloud_api.web.rendering import render
from tests.web import samples
from tests.web.server import Handler, serving

SHELL = replace(samples.SHELL, events_href="/events")


class Feed(Handler):
    """A store page with a feed; ``told`` are the events still to be said."""

    told: ClassVar[queue.Queue[dict[str, object] | None]] = queue.Queue()
    taken: ClassVar[bool] = False

    def do_GET(self) -> None:  # noqa: N802 - the name http.server calls
        if self.path == "/events":
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            while (event := self.told.get()) is not None:
                self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
                self.wfile.flush()
            return None
        if self.path.startswith("/live-order"):
            word = vm.OrderWord.IN_USE if self.taken else vm.OrderWord.PAID
            order = replace(samples.ORDER, word=word)
            html = render("customer/order.html", {"shell": SHELL, "page": order})
            return self.send(html.encode(), "text/html; charset=utf-8")
        if self.path.startswith("/live-"):
            state = vm.RoomState.IN_USE if self.taken else vm.RoomState.FREE
            rooms = (replace(samples.BAMBOO, state=state), samples.RAIN)
            shown = replace(samples.STORE_PAGE, rooms=rooms, rooms_href="/live-rooms")
            name = "_rooms" if self.path == "/live-rooms" else "store"
            html = render(f"customer/{name}.html", {"shell": SHELL, "page": shown})
            return self.send(html.encode(), "text/html; charset=utf-8")
        return super().do_GET()


@pytest.fixture
def site() -> Iterator[str]:
    Feed.taken = False
    Feed.told = queue.Queue()
    with serving(Feed) as address:
        yield address
        Feed.told.put(None)


def test_a_change_is_shown_and_the_focus_stays(page: Page, site: str) -> None:
    page.goto(f"{site}/live-store")
    card = page.locator('[data-live-key="room:r1"]')
    expect(card.locator(".state")).to_have_text("现在能进")
    button = card.get_by_role("link", name="订这间")
    button.focus()
    page.evaluate("scrollTo(0, 120)")
    Feed.taken = True
    Feed.told.put({"topics": ["store:s1", "room:r1"]})
    expect(card.locator(".state")).to_have_text("使用中")
    expect(button).to_be_focused()
    assert page.evaluate("scrollY") == 120


def test_other_topics_refresh_nothing(page: Page, site: str) -> None:
    with page.expect_response("**/live-rooms"):  # once, when the feed opens
        page.goto(f"{site}/live-store")
    Feed.taken = True
    Feed.told.put({"topics": ["store:another"]})
    page.wait_for_timeout(900)
    expect(page.locator('[data-live-key="room:r1"] .state')).to_have_text("现在能进")


def test_an_order_takes_itself_from_its_own_page(page: Page, site: str) -> None:
    page.goto(f"{site}/live-order")
    expect(page.locator(".order-head .state")).to_have_text("已支付")
    Feed.taken = True
    Feed.told.put({"kind": "order.changed", "order_id": "o1"})
    expect(page.locator(".order-head .state")).to_have_text("使用中")
    expect(page.locator("#order")).to_have_count(1)


def test_the_server_may_advance_the_clock(page: Page, site: str) -> None:
    """Demo and tests advance the business clock: a page that is open follows without a reload."""
    page.goto(f"{site}/live-store")
    Feed.told.put({"now": "2026-11-22T18:00:00+08:00", "topics": []})
    page.wait_for_function(
        "import(document.querySelector('script[src*=\"customer.js\"]').src.replace(/customer.js.*/, 'clock.js'))"
        ".then((m) => new Date(m.now()).toISOString().startsWith('2026-11-22T10:00'))"
    )
