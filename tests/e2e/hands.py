"""What a test's hands can do: hold phones, read pictures, press the panel, and look at coils."""

from __future__ import annotations

import io
import itertools
import os
import re
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, expect

from demo.people import Person, Refused, until
from demo.processes import answers
from demo.seed import OWNER_PHONE, ROOMS
from demo.sight import quarter
from tests.support.stage import RunningStage

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1440, "height": 900}
PATIENCE_MS = 60_000
expect.set_options(timeout=PATIENCE_MS)
_phones = itertools.count(1)
Coils = dict[str, list[tuple[bool, int]]]


class Hands:
    """Everything one test needs to act and to look; ``wrong`` collects what pages complain of."""

    def __init__(self, running: RunningStage, browser: Browser) -> None:
        self.running = running
        self.stage = running.stage
        self.eyes = running.eyes()
        self.owner = self.eyes.owner
        self.wrong: list[str] = []
        self._browser = browser
        self._contexts: list[BrowserContext] = []
        self._visits: list[tuple[Person, dict[str, Any]]] = []
        self._people: list[Person] = []

    def close(self) -> None:
        """Put all phones away."""
        for context in self._contexts:
            context.close()

    # ---------------------------------------------------------------------------------- people, pages

    def person(self) -> Person:
        """Somebody new, logged in."""
        made = Person(self.stage, f"+861370{os.getpid() % 1000:03d}{next(_phones):04d}")
        made.log_in()
        self._people.append(made)
        return made

    def screen(self, person: Person | None = None, *, desk: bool = False) -> Page:
        """A phone (or a desk) of a person who is logged in, or of somebody who is not."""
        context = self._browser.new_context(
            viewport=DESK if desk else PHONE,  # type: ignore[arg-type]
            has_touch=not desk,
            color_scheme="light",
            device_scale_factor=2,
            locale="zh-CN",
        )
        context.set_default_timeout(PATIENCE_MS)
        self._contexts.append(context)
        if person is not None:
            context.add_cookies(
                [{"name": "kaimen_login", "value": person.token, "url": self.url("/")}]
            )
        page = context.new_page()
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on(
            "console",
            lambda said: (
                self.wrong.append(said.text) if "Content Security Policy" in said.text else None
            ),
        )
        return page

    def url(self, path: str) -> str:
        return f"{self.stage.url('web')}{path}"

    def door(self, name: str) -> str:
        """What the sticker of a door says."""
        return self.stage.door_url(self.stage.doors[name])

    def code_from_sms(self, page: Page, phone: str) -> str:
        """Read the newest code on the page of the SMS gateway, with one's eyes."""
        inbox = page.context.new_page()
        inbox.goto(self.stage.url("sms"))
        newest = inbox.get_by_role("listitem").filter(has_text=phone).first
        expect(newest).to_be_visible()
        found = re.search(r"验证码 (\d{6})", newest.inner_text())
        assert found is not None, newest.inner_text()
        inbox.close()
        return found.group(1)

    def log_in(self, page: Page, phone: str) -> None:
        """On a login page, as a person does."""
        page.get_by_role("textbox", name="手机号").first.fill(phone.removeprefix("+86"))
        page.get_by_role("button", name="发验证码").click()
        field = page.get_by_label("短信里的 6 位数字")
        expect(field).to_be_visible()
        field.fill(self.code_from_sms(page, phone))

    # ----------------------------------------------------------------------------------- rooms, orders

    def room(self, name: str) -> str:
        """The id of a room."""
        listed: Any = self.owner.get(f"/stores/{self.stage.store_id}/rooms")
        items = listed["items"] if isinstance(listed, dict) else listed
        return next(str(room["id"]) for room in items if room["name"] == name)

    def booked(self, person: Person, room: str, *, paid: bool = True) -> dict[str, Any]:
        """An order for the next hour that is free, paid or not."""
        room_id, starts = self.room(room), quarter(self.eyes.clock.now() + timedelta(minutes=31))
        for later in range(12):
            try:
                order = person.book(room_id, starts + later * timedelta(minutes=30), 1)
                break
            except Refused as refused:
                if refused.status != 409:
                    raise
        else:
            raise AssertionError(f"{room} is not free in the next hours")
        self._visits.append((person, order))
        return person.pay(order) if paid else order

    def in_window(self, person: Person, room: str) -> dict[str, Any]:
        """A paid order whose time has just begun, with a store that knows of it."""
        order = self.booked(person, room)
        self.eyes.advance_to(datetime.fromisoformat(order["starts_at"]) + timedelta(seconds=20))
        self.until_case(person, f"{room}门", "ready", 30)
        return order

    def until_case(self, person: Person, door: str, case: str, seconds: float = 30) -> None:
        token = self.stage.doors[door]
        until(
            lambda: person.get(f"/doors/{token}")["case"],
            lambda seen: seen == case,
            f"{door} to say {case}",
            seconds,
        )

    def tidy(self) -> None:
        """End what this test began, so that the next finds free rooms and dark lamps."""
        for person, order in self._visits:
            state = person.get(f"/orders/{order['id']}")["state"]
            act = {"in_use": "finish", "ready": "cancel", "pending_payment": "cancel"}.get(state)
            if act:
                try:
                    person.post(f"/orders/{order['id']}/{act}")
                except Refused:
                    self.eyes.advance_to(
                        datetime.fromisoformat(order["ends_at"]) + timedelta(minutes=20)
                    )
        for person in self._people:
            person.close()
        for _ in range(4):  # who left early has the time of grace to gather things
            try:
                until(self.dark, bool, "all power to be off", 3)
                return
            except AssertionError:
                self.eyes.clock.advance(11 * 60)
        raise AssertionError(f"something is still on: {self.coils()}")

    def dark(self) -> bool:
        """Whether no coil of any board is on."""
        return not any(on for coils in self.coils().values() for on, _ in coils)

    # ------------------------------------------------------------------------------------------ boards

    def coils(self) -> Coils:
        """Every coil of every room: on or off, and how often it was pulsed."""
        return {
            plan.name: [
                (coil["on"], coil["pulses"]) for coil in self.eyes.board(plan.name)["coils"]
            ]
            for plan in ROOMS
        }

    def unchanged(self, before: Coils, seconds: float = 1.0) -> None:
        """Nothing at the boards changes for a while."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.coils() == before
            time.sleep(0.1)

    def cloud_is_up(self) -> bool:
        return answers(f"{self.stage.url('web', local=True)}/readyz")

    # ---------------------------------------------------------------------------------------- pictures

    def codes_in(self, page: Page) -> list[tuple[str, float, float]]:
        """Every QR code that an independent reader finds in the page's picture: text, x, y (CSS px)."""
        picture = Image.open(io.BytesIO(page.screenshot(full_page=True)))
        scale = picture.width / page.evaluate("document.documentElement.clientWidth")
        found = []
        for code in zxingcpp.read_barcodes(picture):
            at = code.position
            found.append(
                (
                    code.text,
                    (at.top_left.x + at.bottom_right.x) / 2 / scale,
                    (at.top_left.y + at.bottom_right.y) / 2 / scale,
                )
            )
        return found

    def mapped(self, said: str) -> str:
        """The address a code says, at this stage's own host."""
        return self.url(urlsplit(said).path)

    @staticmethod
    def keep(page: Page, name: str) -> None:
        """Save what is seen for the README, if asked to by the environment: KAIMEN_PICTURES=folder."""
        folder = os.environ.get("KAIMEN_PICTURES")
        if not folder:
            return
        page.wait_for_timeout(400)  # fonts, and a door that swings
        picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
        picture.thumbnail((1440, 1170))  # a phone at 1.4×, a desk at 1×: sharp enough to read
        Path(folder).mkdir(parents=True, exist_ok=True)
        palette = picture.quantize(256, method=Image.Quantize.MEDIANCUT)
        for made in (
            picture,
            picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG),
        ):
            made.save(Path(folder) / f"{name}.png", optimize=True)
            if (Path(folder) / f"{name}.png").stat().st_size < 200_000:
                return
        raise AssertionError(f"{name}.png is too large")


def advance_on_panel(panel: Page, minutes: int) -> None:
    """Press the clock's buttons as a person does, until that many minutes are gone."""
    for step, label in ((60, "+1 小时"), (10, "+10 分"), (1, "+1 分")):
        while minutes >= step:
            with panel.expect_response("**/clock") as answer:
                panel.get_by_role("button", name=label).click()
            assert answer.value.ok
            minutes -= step


__all__ = ["DESK", "OWNER_PHONE", "PHONE", "Hands", "advance_on_panel"]
