"""What an installer sees: boards found on a line, their health in words, frames explained."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner, Result

from device_profiles import Catalog
from firmware_bridge.cli import app
from firmware_bridge.installer import words
from firmware_bridge.installer.explain import Listener
from firmware_bridge.installer.words import say, told
from firmware_bridge.protocols import modbus_rtu as rtu
from firmware_bridge.virtual import Fault, VirtualBoard, VirtualLine
from firmware_bridge.virtual.gateway import GatewayLine
from tests.firmware_bridge.wires import IO, RELAY, Terminal, frame

CATALOG = Catalog.built_in()


def run(*args: str, answers: str = "") -> Result:
    return CliRunner().invoke(app, list(args), input=answers)


@pytest.fixture
def line() -> Iterator[VirtualLine]:
    """A relay board 2, an IO board 5, and two relay boards that are both 7."""
    boards = [
        VirtualBoard("relay", CATALOG[RELAY], 2),
        VirtualBoard("io", CATALOG[IO], 5),
        VirtualBoard("twin", CATALOG[RELAY], 7),
        VirtualBoard("other", CATALOG[RELAY], 7, fault=Fault(slow_ms=3)),
    ]
    with VirtualLine(boards) as opened:
        yield opened


def test_scan_finds_each_board_and_names_two_devices_with_one_address(line: VirtualLine) -> None:
    found = run("scan", "--port", line.path, "--units", "1-3,5,7", "--baud", "9600")
    assert found.exit_code == 0, found.output
    assert f"9600 8N1 地址 2：Waveshare Modbus RTU Relay (8-ch) [{RELAY}]" in found.output
    assert f"[{IO}]" in found.output
    assert "9600 8N1 地址 7：两台设备地址相同！" in found.output
    assert (
        f"下一步：kaimen-bridge probe --port {line.path} --profile {RELAY} --unit 2" in found.output
    )
    assert "地址 1：" not in found.output
    assert all(frame[1] in rtu.READS for board in line.boards.values() for frame in board.frames)


def test_scan_behind_a_gateway_and_on_an_empty_line() -> None:
    with GatewayLine([VirtualBoard("a", CATALOG[RELAY], 3)], "modbus_tcp") as gateway:
        found = run("--lang", "en", "scan", "--port", gateway.path, "--units", "2-3")
        assert found.exit_code == 0, found.output
        assert f"unit 3: Waveshare Modbus RTU Relay (8-ch) [{RELAY}]" in found.output
    terminal = Terminal()
    try:
        empty = run(
            "scan", "--port", terminal.path, "--units", "1", "--baud", "9600", "--profile", RELAY
        )
        assert empty.exit_code == 1
        assert "没有找到设备（试了 1 种线路设置、1 个地址）" in empty.output
    finally:
        terminal.close()
    gone = run("scan", "--port", "/dev/nothing", "--units", "1")
    assert gone.exit_code == 1
    assert "/dev/nothing 不存在；插上转换器或改正路径" in gone.output
    assert run("scan", "--port", "/dev/nothing", "--units", "0-3").exit_code == 2


def test_probe_says_in_words_what_is_wrong(line: VirtualLine) -> None:
    good = run("probe", "--port", line.path, "--profile", RELAY, "--unit", "2")
    assert good.exit_code == 0, good.output
    assert "以 2 号应答" in good.output
    assert "线路质量：20 次询问，20 次应答正确" in good.output

    silent = run("probe", "--port", line.path, "--profile", RELAY, "--unit", "9")
    assert silent.exit_code == 1
    assert "设备没有应答：没有回应。" in silent.output
    assert "A、B 没有接反" in silent.output

    other = run("probe", "--port", line.path, "--profile", IO, "--unit", "2")
    assert other.exit_code == 1
    assert "没有发出任何动作：读不到" in other.output

    line.boards["relay"].fault = Fault(bad_crc=True)
    garbled = run("probe", "--port", line.path, "--profile", RELAY, "--unit", "2")
    assert garbled.exit_code == 1
    assert "收到的字节不成帧" in garbled.output
    assert "波特率或校验不对" in garbled.output


def test_exercise_walks_the_outputs_with_the_installer(line: VirtualLine, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    # Eight locks: the first is good, the second did not open, the others are skipped; eight switches
    # likewise.
    answers = "y\ny\ny\nn\n" + "n\n" * 6 + "y\ny\n" + "n\n" * 7
    result = run(
        *("exercise", "--port", line.path, "--profile", RELAY, "--unit", "2", "--ms", "500"),
        *("--report", str(report)),
        answers=answers,
    )
    assert result.exit_code == 1, result.output
    assert "结果：2 路对，1 路不对，13 路跳过" in result.output
    seen = json.loads(report.read_text())["seen"]
    assert (seen["lock.pulse 1"], seen["lock.pulse 2"]) == ("good", "bad")
    assert (seen["switch.set 1"], seen["switch.set 2"]) == ("good", "skipped")
    relay = line.boards["relay"]
    assert relay.pulses[:3] == [1, 1, 0]
    assert not any(line.boards["io"].coils)


def test_sniff_explains_a_conversation_and_sends_nothing() -> None:
    terminal = Terminal()
    talk = [
        frame("02 01 00 00 00 08"), frame("02 01 01 05"), b"\xff\x13",
        frame("03 05 00 01 FF 00"), frame("03 85 02"),
        frame("04 10 00 01 00 02 04 00 05 00 06"), frame("04 10 00 01 00 02"),
    ]  # fmt: skip

    def speak() -> None:
        time.sleep(0.5)
        for part in talk:
            os.write(terminal.far, part)
            time.sleep(0.15)

    thread = threading.Thread(target=speak)
    thread.start()
    try:
        result = run("sniff", "--port", terminal.path, "--seconds", "2.5")
    finally:
        thread.join()
        os.set_blocking(terminal.far, False)
        with pytest.raises(BlockingIOError):
            os.read(terminal.far, 1)  # nothing was sent
        terminal.close()
    assert result.exit_code == 0, result.output
    for sentence in (
        "问 2 号：读线圈 0–7",
        "2 号答：10100000",
        "令 3 号：线圈 1 = 0xFF00",
        "3 号拒绝：illegal address",
        "令 4 号：从 1 起写 2 个保持寄存器",
        "4 号答：已收到",
        "共 6 帧，2 字节不成帧",
    ):
        assert sentence in result.output, result.output


@given(st.lists(st.binary(min_size=1, max_size=40), max_size=8))
def test_fuzz_whatever_is_on_a_line_the_listener_goes_on(pieces: list[bytes]) -> None:
    listener = Listener()
    for number, piece in enumerate(pieces):
        listener.feed(piece, number * 0.5)
    listener.rest(99.0)
    good = frame("02 01 00 00 00 08")
    heard = listener.feed(good, 200.0) + listener.rest(201.0)
    assert [each.data for each in heard] == [good]
    total = sum(map(len, pieces)) + len(good)
    assert listener.noise <= total


def test_every_sentence_is_there_in_both_languages_with_the_same_gaps() -> None:
    for key, (zh, en) in words._SENTENCES.items():
        gaps = [sorted(part.split("}")[0] for part in text.split("{")[1:]) for text in (zh, en)]
        assert gaps[0] == gaps[1], key
    words.choose("en")
    assert told("no answer") == "no answer"
    words.choose("zh")
    assert told("no answer") == "没有回应"
    assert say("off") == "断"


def test_ports_says_that_there_are_none_or_lists_them() -> None:
    result = run("ports")
    assert result.exit_code in (0, 1)
    assert result.output
