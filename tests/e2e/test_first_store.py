"""An owner takes a store from nothing to the first paid guest, through the console alone.

What is not the console's: the command that makes the first owner, and the store's computer, which is given
the code that the console shows. Its boards are virtual, everything else is as it runs.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pypdfium2
import pytest
import yaml
import zxingcpp
from playwright.sync_api import Page, expect

from demo.people import until
from demo.processes import answers, local_http
from tests.e2e.hands import Hands
from tests.support.guard import GuardedProcess
from tests.support.ports import free_port

pytestmark = [pytest.mark.xdist_group("stage"), pytest.mark.timeout(300)]
OWNER, GUEST = "13900007777", "+8613912340077"
RELAYS = "waveshare.modbus-rtu-relay-8ch"
WIRES = (
    ("switch.set:1", "麻将机", "table"),
    ("switch.set:2", "灯", "light"),
    ("lock.pulse:3", "门锁", "lock"),
)


class Computer:
    """The new store's computer with one relay board on its line."""

    def __init__(self, hands: Hands, folder: Path) -> None:
        self.hands, self.folder = hands, folder
        self.port = free_port()
        folder.mkdir()
        board = {"id": "relay-1", "profile": RELAYS, "unit_id": 1}
        lines = {"lines": {"rs485-1": {"boards": [board]}}}
        (folder / "boards.yaml").write_text(yaml.safe_dump(lines))

    def tool(self, program: str, *words: str) -> str:
        """Run a command to its end; what it printed."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / program), *words],
            env=self.hands.stage.settings, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def running(self) -> Iterator[None]:
        """Boards and controller until the block ends."""
        mine, links = Path(sys.executable).parent, self.folder / "ports"
        state = str(self.folder / "store")
        boards: list[str | Path] = [
            mine / "kaimen-bridge", "virtual", "--config", self.folder / "boards.yaml",
            "--links", links, "--http", f"127.0.0.1:{self.port}",
        ]  # fmt: skip
        edge: list[str | Path] = [
            "/usr/bin/env", f"KAIMEN_CLOCK_FILE={self.hands.stage.clock_file}",
            mine / "kaimen-edge", "run", "--state", state, "--port", f"rs485-1={links / 'rs485-1'}",
        ]  # fmt: skip
        started: list[GuardedProcess] = []
        try:
            started.append(GuardedProcess(boards, log=self.folder / "boards.log"))
            until(lambda: answers(f"http://127.0.0.1:{self.port}/state"), bool, "the boards", 30)
            log = self.folder / "edge.log"
            started.append(GuardedProcess(edge, log=log, kill_with=signal.SIGTERM))
            yield
        finally:
            for process in reversed(started):
                process.stop(signal.SIGTERM)

    def coil(self, number: int) -> dict[str, Any]:
        """A coil of the board as it is now."""
        told = local_http().get(f"http://127.0.0.1:{self.port}/state", timeout=5).json()
        found: dict[str, Any] = told["lines"][0]["boards"][0]["coils"][number - 1]
        return found


def gaps(desk: Page, hands: Hands) -> list[str]:
    """What the check list says is missing."""
    desk.goto(hands.url("/console/opening"))
    expect(desk.locator(".steps-open > li")).to_have_count(8)
    return desk.locator(".steps-open .miss li").all_inner_texts()


def test_from_nothing_to_the_first_paid_guest(hands: Hands, tmp_path: Path) -> None:
    computer = Computer(hands, tmp_path / "new")
    told = computer.tool("kaimen-cloud", "init", "--merchant", "竹里馆", "--phone", OWNER)
    desk = hands.screen(desk=True)
    desk.goto(next(line.strip() for line in told.splitlines() if "/console/setup#" in line))
    with desk.expect_navigation():
        desk.get_by_role("button", name="进门").click()
    desk.get_by_label("新密码").fill("three lamps by the door")
    with desk.expect_navigation():
        desk.get_by_role("button", name="设密码").click()
    desk.get_by_role("link", name="以后再设").click()

    # Every page of a merchant without a store leads to the first one.
    desk.goto(hands.url("/console/prices"))
    desk.get_by_role("link", name="开第一家店").click()
    desk.get_by_label("店名").fill("竹里馆·南门店")
    desk.get_by_label("地址").fill("南门大街 8 号")
    desk.get_by_label("电话").fill("02155551234")
    desk.get_by_role("button", name="新建门店").click()
    expect(desk.get_by_role("heading", name="南门店还差 6 步")).to_be_visible()

    desk.get_by_role("link", name="加包间").first.click()
    desk.get_by_label("房名").first.fill("松间")
    with desk.expect_navigation(url=re.compile("/console/house/rooms/")):
        desk.locator("form[data-room] [type=submit]").click()
    wait_for = ["还没接上", "还没有板子", "松间还没有价格", "松间没有装锁的门", "还没有收款账户"]
    assert gaps(desk, hands) == wait_for

    with opened(desk, hands, computer):
        wired(desk, hands)
        assert gaps(desk, hands) == ["松间还没有价格", "还没有收款账户"]
        tried(desk, hands, computer)
        priced_and_paid_for(desk, hands)
        expect(desk.get_by_role("heading", name="南门店都好了，客人现在就能订")).to_be_visible()
        assert gaps(desk, hands) == []
        first_guest(hands, sticker(desk, tmp_path), computer)
        desk.goto(hands.url("/console"))
        expect(desk.locator("[data-tile]")).to_contain_text("使用中")
        desk.goto(hands.url("/console/orders"))
        expect(desk.locator("tr.lr")).to_have_count(1)


@contextmanager
def opened(desk: Page, hands: Hands, computer: Computer) -> Iterator[None]:
    """The code of the page enrols the computer, which then runs; the open page says so by itself."""
    desk.get_by_role("button", name="要一个接入码").click()
    expect(desk.locator("[data-code]")).not_to_be_empty()
    code = desk.locator("[data-code]").inner_text()
    assert f"--code {code}" in desk.locator("[data-code-run]").inner_text()
    cloud, state = hands.url("").rstrip("/"), str(computer.folder / "store")
    computer.tool("kaimen-edge", "enroll", "--cloud", cloud, "--code", code, "--state", state)
    with computer.running():
        expect(desk.locator("#open-steps .miss li", has_text="还没接上")).to_have_count(0)
        expect(desk.locator("[data-code]")).to_have_text(code)  # and the code stays in sight
        yield


def wired(desk: Page, hands: Hands) -> None:
    """A board by its profile, what each channel works, and the door."""
    desk.goto(hands.url("/console/wiring"))
    desk.get_by_label("型号").select_option(value=RELAYS)
    desk.get_by_label("叫什么").first.fill("一号板")
    desk.get_by_role("button", name="加板子").click()
    expect(desk.get_by_role("heading", name="一号板")).to_be_visible()
    for use, name, role in WIRES:
        desk.get_by_text("接一路").first.click()
        form = desk.locator("form[data-wire]").first
        form.get_by_label("哪一路，做什么").select_option(value=use)
        form.get_by_label("叫什么").fill(name)
        form.get_by_label("当什么用").select_option(value=role)
        form.get_by_label("松间").check(force=True)
        with desk.expect_navigation():
            form.get_by_role("button", name="接上").click()
    door = desk.locator("form").filter(has=desk.get_by_role("button", name="加一扇门"))
    door.get_by_label("叫什么").fill("松间门")
    door.get_by_label("松间").check(force=True)
    door.get_by_label("哪把锁").select_option(label="门锁")
    with desk.expect_navigation():
        door.get_by_role("button", name="加一扇门").click()


def tried(desk: Page, hands: Hands, computer: Computer) -> None:
    """Each output from the page: the store's true answer, and the coil that moved."""

    def board_answers() -> str:
        desk.goto(hands.url("/console/wiring"))
        return desk.locator("section .state").first.inner_text()

    until(board_answers, lambda said: said == "在线", "the page to say that the board answers", 30)
    desk.get_by_role("link", name="试一下").first.click()
    sheet = desk.get_by_role("dialog")
    for number, (_use, name, role) in enumerate(WIRES, 1):
        if role == "lock":
            desk.locator("[data-door-box]").get_by_role("button", name="开门").click()
        else:
            desk.get_by_role("switch", name=name, exact=True).click()
        sheet.get_by_label("为什么").fill("接好了试一下")
        sheet.locator("[type=submit]").click()
        said = "锁已动作" if role == "lock" else "设备已回话"
        expect(desk.locator("#inspector li.is-ok", has_text=said).first).to_be_visible()
        until(partial(moved, computer, number), bool, f"{name} to move", 30)


def moved(computer: Computer, number: int) -> bool:
    """Whether a coil is on, or gave its pulse."""
    coil = computer.coil(number)
    return bool(coil["on"] or coil["pulses"])


def priced_and_paid_for(desk: Page, hands: Hands) -> None:
    """One price for all hours, the rules looked at, an account at the cashier, tried."""
    desk.goto(hands.url("/console/prices"))
    new = desk.locator("#h-tariffs ~ .pform-new")
    new.locator("summary").click()
    new.get_by_label("叫什么").fill("平日")
    new.get_by_label("一小时多少元").fill("38")
    new.get_by_role("button", name="保存").click()
    expect(desk.locator("#tariffs")).to_contain_text("平日")
    desk.goto(hands.url("/console/booking-rules"))
    expect(desk.get_by_role("heading", name="预订规则")).to_be_visible()
    desk.goto(hands.url("/console/payments/new?kind=cashier"))
    desk.get_by_label("顾客看到的名字").fill("收银台")
    account = json.loads((hands.stage.folder / "cashier" / "account.json").read_text())
    for name, value in account.items():
        desk.locator(f"[name$='{name}']").first.fill(value)
    desk.get_by_role("button", name="保存").click()
    row = desk.locator("tr.lr", has_text="收银台")
    row.get_by_role("button", name="试一下").click()
    expect(row.get_by_text("在用")).to_be_visible()
    desk.goto(hands.url("/console/opening"))


def sticker(desk: Page, folder: Path) -> str:
    """The PDF, as it is printed; what the code on it says."""
    desk.get_by_role("link", name="打印门贴").first.click()
    desk.locator("details.sheet-form summary").click()
    with desk.expect_download() as saved:
        desk.get_by_role("button", name="下载 PDF").click()
    saved.value.save_as(folder / "stickers.pdf")
    picture = pypdfium2.PdfDocument(folder / "stickers.pdf")[0].render(scale=3).to_pil()
    (code,) = zxingcpp.read_barcodes(picture)
    return str(code.text)


def first_guest(hands: Hands, address: str, computer: Computer) -> None:
    """Scans, books what is free, pays, opens: one pulse, and the table has power."""
    guest = hands.screen()
    guest.goto(hands.mapped(address))
    hands.log_in(guest, GUEST)
    guest.get_by_role("link", name=re.compile("^订")).click()
    guest.get_by_role("button", name="下一步，核对订单").click()
    guest.get_by_role("button", name=re.compile("^提交订单")).click()
    guest.get_by_role("button", name=re.compile("^付 ¥")).click()
    guest.get_by_role("button", name=re.compile("^支付 ¥")).click()
    expect(guest.get_by_role("heading", name="订好了")).to_be_visible()
    before = computer.coil(3)["pulses"]
    guest.goto(hands.mapped(address))
    guest.get_by_role("button", name="开门").click()
    expect(guest.get_by_text("开了，请推门").first).to_be_visible()
    assert computer.coil(3)["pulses"] == before + 1
    until(lambda: computer.coil(1)["on"], bool, "the table to have power", 30)
