"""The scripts in a real Chromium, under the pages' policy: the timeline, the door, the console's commands."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from playwright.sync_api import Page, Route, expect

from tests.web.server import Handler, serving


class Answers(Handler):
    """As the sample server, but keeps what was posted and answers doors as the test wishes."""

    posted: ClassVar[list[tuple[str, dict[str, Any], str]]] = []
    door: ClassVar[tuple[int, dict[str, Any]]] = (200, {"command_id": "c1", "state": "done"})
    hold: ClassVar[threading.Event] = threading.Event()

    def do_POST(self) -> None:  # noqa: N802 - the name http.server calls
        path = self.path
        if "/unlock" not in path and "/set" not in path:
            return super().do_POST()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])) or b"{}")
        self.posted.append((path, body, self.headers["Idempotency-Key"]))
        self.hold.wait(5)
        status, answer = self.door
        return self.send(json.dumps(answer).encode(), "application/json", status)


@pytest.fixture
def site() -> Iterator[str]:
    Answers.posted.clear()
    Answers.hold.set()
    Answers.door = (200, {"command_id": "c1", "state": "done"})
    with serving(Answers) as address:
        yield address
    Answers.hold.set()


def chosen(page: Page) -> tuple[str, str]:
    return page.locator("select[data-from]").input_value(), page.locator(
        "select[data-to]"
    ).input_value()


def drag_end_by_hours(page: Page, hours: float) -> None:
    box = page.locator(".tl-handle-b").bounding_box()
    assert box
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + hours * 41 / 2, y)
    page.mouse.move(x + hours * 41 - 5, y)
    expect(page.locator(".tl-bubble")).to_be_visible()
    page.mouse.up()


def test_drag_chip_fields_and_keys_choose_the_same(page: Page, site: str) -> None:
    """15:00–17:00 four ways: dragging the handle, the chip, the time field, the arrow keys."""
    want = ("2026-11-22T15:00:00+08:00", "2026-11-22T17:00:00+08:00")
    page.goto(f"{site}/book")
    expect(page.locator("[data-total]")).to_have_text("¥162")
    drag_end_by_hours(page, -2)
    assert chosen(page) == want
    expect(page.locator("[data-total]")).to_have_text("¥76")
    expect(page.locator(".tl-bubble")).to_have_count(0)

    page.goto(f"{site}/book")
    page.get_by_role("button", name="2 小时").click()
    assert chosen(page) == want
    expect(page.locator("[data-total]")).to_have_text("¥76")

    page.goto(f"{site}/book")
    page.locator("select[data-to]").select_option(label="17:00")
    assert chosen(page) == want

    page.goto(f"{site}/book")
    handle = page.locator(".tl-handle-b")
    handle.focus()
    for _ in range(4):
        page.keyboard.press("ArrowLeft")
    assert chosen(page) == want
    expect(handle).to_have_attribute("aria-valuetext", "17:00")
    expect(page.locator("[data-next]")).to_be_enabled()


def test_selection_snaps_and_stays_in_the_free_stretch(page: Page, site: str) -> None:
    """The next booking is at 19:45 with 15 minutes of cleaning before it: 19:30 is the end, however far one drags."""
    page.goto(f"{site}/book")
    drag_end_by_hours(page, 4)
    assert chosen(page)[1] == "2026-11-22T19:30:00+08:00"
    offered = page.locator("select[data-to] option").all_text_contents()
    assert (offered[0], offered[-1]) == ("16:00", "19:30")


def test_a_length_that_does_not_fit_says_why(page: Page, site: str) -> None:
    page.goto(f"{site}/book")
    chip = page.get_by_role("button", name="5 小时")
    expect(chip).to_have_attribute("aria-disabled", "true")
    before = chosen(page)
    chip.click(force=True)
    expect(page.locator("[data-say]")).to_have_text("5 小时 放不下：到 19:30 就有人用")
    assert chosen(page) == before


def test_tap_takes_the_shortest_from_there_in_another_room(page: Page, site: str) -> None:
    page.goto(f"{site}/book")
    track = page.locator('[data-row="r2"] [data-track]')
    box = track.bounding_box()
    assert box
    page.mouse.click(box["x"] + 41 * 2.6, box["y"] + 25)  # 13:30 + 2.6 h = 16:06
    assert chosen(page) == ("2026-11-22T16:00:00+08:00", "2026-11-22T17:00:00+08:00")
    expect(page.locator("[data-room-name]")).to_have_text("听雨")


@pytest.mark.parametrize("width", [390, 320])
def test_a_time_past_midnight_cuts_no_price_off(page: Page, site: str, width: int) -> None:
    """Bug: 23:50 – 次日 01:50 pushed the price and the button out of the phone: ¥73.67 read ¥73.6."""
    page.set_viewport_size({"width": width, "height": 844})

    def until_six(route: Route) -> None:
        answer = route.fetch()
        html = re.sub(
            r'data-end="[^"]+"', 'data-end="2026-11-23T06:00:00+08:00"', answer.text(), count=1
        )
        route.fulfill(response=answer, body=html)

    page.route("**/book", until_six)
    page.goto(f"{site}/book")
    for start in ("23:30", "次日 00:30"):
        page.locator("#t-a").select_option(label=start)
        page.locator("[data-total]").evaluate("e => { e.textContent = '¥273.67'; }")
        for place in (".pick-price", ".pick .btn-main"):
            box = page.locator(place).bounding_box()
            assert box
            assert 0 <= box["x"] < box["x"] + box["width"] <= width - 15, (start, place, box)
        ends = page.locator("#t-b").bounding_box()
        price = page.locator(".pick-price").bounding_box()
        assert ends
        assert price
        assert ends["x"] + ends["width"] <= price["x"], start


def test_door_one_tap_one_command(page: Page, site: str) -> None:
    """A double tap is one command; the answer is shown; the next tap is another command with another key."""
    Answers.hold.clear()
    page.goto(f"{site}/door-ready")
    door = page.locator("[data-door]")
    time.sleep(0.3)
    assert Answers.posted == []  # scanning shows; it never opens by itself
    door.dblclick()
    expect(door).to_have_attribute("data-state", "sending")
    door.click()
    Answers.hold.set()
    expect(door).to_have_attribute("data-state", "open")
    expect(page.locator("[data-door-say]")).to_have_text("开了，请推门")
    assert len(Answers.posted) == 1
    expect(door).to_have_attribute("data-state", "ready")
    door.click()
    expect(door).to_have_attribute("data-state", "open")
    assert len({key for _, _, key in Answers.posted}) == 2


def test_door_refused_says_why_and_may_be_tried_again(page: Page, site: str) -> None:
    Answers.door = (409, {"code": "door.early", "detail": "早到了，14:45 起可以进", "status": 409})
    page.goto(f"{site}/door-ready")
    page.locator("[data-door]").click()
    expect(page.locator("[data-door-say]")).to_have_text("早到了，14:45 起可以进")
    expect(page.locator("[data-door-word]")).to_have_text("再试")
    page.locator("[data-door]").click()
    expect(page.locator("[data-door]")).to_have_attribute("data-state", "failed")
    assert len(Answers.posted) == 2


def test_door_unknown_waits_for_the_command_to_expire(page: Page, site: str) -> None:
    """While the first command could still act, a second tap sends nothing."""
    Answers.door = (200, {"command_id": "c1", "state": "unknown"})
    page.goto(f"{site}/door-ready")
    page.evaluate("document.querySelector('[data-door]').dataset.life = '1.5'")
    door = page.locator("[data-door]")
    door.click()
    expect(door).to_have_attribute("data-state", "unknown")
    door.click(force=True)
    assert len(Answers.posted) == 1
    expect(page.locator("[data-door-word]")).to_have_text("再试")
    door.click()
    expect(door).to_have_attribute("data-state", "unknown")
    assert len(Answers.posted) == 2


def test_console_asks_why_before_a_door(page: Page, site: str) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{site}/console-live")
    page.get_by_role("button", name="开门").click()
    dialog = page.locator("[data-ask-dialog]")
    expect(dialog).to_be_visible()
    dialog.get_by_role("button", name="开门").click()
    assert Answers.posted == []
    dialog.get_by_role("button", name="客人手机没电").click()
    dialog.get_by_role("button", name="开门").click()
    rows = page.locator('[data-door-box="door1"] [data-answer-steps] li.is-ok')
    expect(rows).to_have_count(3)
    path, body, _ = Answers.posted[0]
    assert (path, body) == ("/api/v1/console/doors/door1/unlock", {"why": "客人手机没电"})


def test_console_switch_is_never_optimistic(page: Page, site: str) -> None:
    """While the store is asked, and when it does not answer, the switch shows what was reported before."""
    Answers.hold.clear()
    Answers.door = (200, {"command_id": "c1", "state": "unknown"})
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(f"{site}/console-live")
    page.evaluate(
        "document.querySelector('[data-device=c1] .switch').dataset.setUrl = '/api/v1/console/bindings/c1/set'"
    )
    switch = page.locator('[data-device="c1"] .switch')
    switch.click()
    dialog = page.locator("[data-ask-dialog]")
    dialog.locator('[name="why"]').fill("设备检查")
    dialog.get_by_role("button", name="关掉").click()
    expect(switch).to_have_attribute("aria-busy", "true")
    expect(switch).to_have_attribute("aria-checked", "true")
    Answers.hold.set()
    expect(page.locator('[data-device="c1"] [data-device-word]')).to_have_text("没有回话")
    expect(switch).to_have_attribute("aria-checked", "true")
    assert Answers.posted[0][1] == {"on": False, "for_s": 3600, "why": "设备检查", "force": False}


@pytest.mark.parametrize("name", ["stores", "store", "room", "book", "confirm", "pay", "order"])
@pytest.mark.parametrize("width", [320, 390])
def test_no_sideways_scroll(page: Page, site: str, name: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    page.goto(f"{site}/{name}")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0


def test_a_time_taken_meanwhile_names_another_room(page: Page, site: str) -> None:
    """Somebody else books 15:00–19:00 while one looks: stripes, no way on, and who is free instead."""
    page.goto(f"{site}/book")
    expect(page.locator("[data-next]")).to_be_enabled()
    refusal = {"code": "claims.taken", "detail": "刚被别人订走了", "status": 409}
    page.route("**/api/v1/quotes", lambda route: route.fulfill(status=409, json=refusal))
    page.get_by_role("button", name="3 小时").click()
    expect(page.locator(".tl-sel")).to_have_class(re.compile("is-taken"))
    expect(page.locator("[data-say]")).to_have_text("刚被别人订走了，听雨同一时段空着")
    expect(page.locator("[data-next]")).to_be_disabled()


def test_a_room_that_changed_is_drawn_again(page: Page, site: str) -> None:
    """The feed says that the room changed: its blocks are asked for again, and the choice is checked."""
    page.goto(f"{site}/book")
    expect(page.locator("[data-next]")).to_be_enabled()
    spans = [
        {
            "from": "2026-11-22T16:00:00+08:00",
            "to": "2026-11-22T18:00:00+08:00",
            "state": "booked",
        }
    ]
    page.route("**/availability?*", lambda route: route.fulfill(json={"spans": spans}))
    page.evaluate(
        "document.dispatchEvent(new CustomEvent('km:event', { detail: { topics: ['room:r1'] } }))"
    )
    expect(page.locator(".tl-sel")).to_have_class(re.compile("is-taken"))
    expect(page.locator('[data-row="r1"] .tl-block.is-booked')).to_have_count(1)
    expect(page.locator("[data-next]")).to_be_disabled()
