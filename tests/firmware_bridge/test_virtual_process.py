"""Virtual boards as a process of their own, and the installers' commands against them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from device_profiles import Catalog
from firmware_bridge.cli import app
from firmware_bridge.virtual.app import create_app
from firmware_bridge.virtual.rig import Rig, RigError
from tests.firmware_bridge.wires import IO, RELAY

BOARDS = f"""
lines:
  rs485-1:
    boards:
      - {{id: relay-1, profile: {RELAY}, unit_id: 1, labels: {{1: 101 door}}}}
      - {{id: io-1, profile: {IO}, unit_id: 2}}
"""


@dataclass
class Boards:
    process: subprocess.Popen[str]
    http: httpx.Client
    port: Path

    def coils(self, board: int = 0) -> list[dict[str, Any]]:
        state = self.http.get("/state").json()
        coils: list[dict[str, Any]] = state["lines"][0]["boards"][board]["coils"]
        return coils


@pytest.fixture
def boards(tmp_path: Path) -> Iterator[Boards]:
    config, links = tmp_path / "boards.yaml", tmp_path / "links"
    config.write_text(BOARDS)
    command = [sys.executable, "-m", "firmware_bridge.cli", "virtual", "--config", str(config)]
    process = subprocess.Popen(
        [*command, "--links", str(links), "--http", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line == f"line rs485-1: {links / 'rs485-1'} (relay-1, io-1)\n"
    url = process.stdout.readline().strip().removesuffix("/state")
    with httpx.Client(base_url=url, trust_env=False) as http:
        end = time.monotonic() + 30
        while True:
            try:
                http.get("/state").raise_for_status()
                break
            except httpx.TransportError:
                assert time.monotonic() < end
                time.sleep(0.05)
        yield Boards(process, http, links / "rs485-1")
    process.terminate()
    process.wait(10)
    process.stdout.close()


def command(port: Path, *words: str, profile: str = RELAY, unit: int = 1) -> tuple[int, str]:
    options = ["--port", str(port), "--profile", profile, "--unit", str(unit)]
    result = CliRunner().invoke(app, ["--lang", "en", *words, *options])
    return result.exit_code, result.output


def test_an_installer_finds_pulses_and_switches(boards: Boards) -> None:
    code, text = command(boards.port, "probe")
    assert code == 0
    assert f"{RELAY} answers as unit 1" in text
    assert "relay.8          off" in text

    code, text = command(boards.port, "pulse", "--channel", "1", "--ms", "700")
    assert (code, text.split("  ")[0]) == (
        0,
        "pulse of 700 ms on channel 1: done (answered by the board)",
    )
    code, text = command(boards.port, "set", "on", "--channel", "2")
    assert (code, text.split("  ")[0]) == (0, "channel 2 on: done (read back)")
    # Each command was a program that ended; the board's state did not end with it.
    coils = boards.coils()
    assert [coil["on"] for coil in coils][1:3] == [True, False]
    assert (coils[0]["label"], coils[0]["pulses"]) == ("101 door", 1)
    events = boards.http.get("/history", params={"since": 0}).json()
    assert [(e["coil"], e["cause"]) for e in events][:1] == [(1, "flash")]
    assert events[0]["for_ms"] == 700

    code, text = command(boards.port, "probe", profile=IO)
    assert code == 1
    assert "Nothing was commanded: the control mode of the outputs cannot be read" in text
    code, text = command(boards.port, "pulse", "--channel", "1", unit=9)
    assert code == 1
    assert text.startswith("The board does not answer: no answer.\nCheck in turn: ")
    code, text = command(boards.port, "pulse", "--channel", "12")
    assert code == 1
    assert "has no lock.pulse on channel 12" in text
    code, text = command(boards.port, "probe", profile="acme.x")
    assert code == 1
    assert "there is no profile 'acme.x'" in text
    code, text = command(boards.port.with_name("nothing"), "probe")
    assert code == 1
    assert "is not there; plug the adapter in or correct the path" in text


def test_boards_are_broken_pressed_and_cycled_over_http(boards: Boards) -> None:
    command(boards.port, "set", "on", "--channel", "5")
    with boards.http.stream("GET", "/events", headers={"last-event-id": "0"}, timeout=10) as stream:
        lines = stream.iter_lines()
        told: list[tuple[str, dict[str, Any]]] = []

        def next_event() -> tuple[str, dict[str, Any]]:
            kind = ""
            for line in lines:
                if line.startswith("event: "):
                    kind = line.removeprefix("event: ")
                if line.startswith("data: "):
                    return kind, json.loads(line.removeprefix("data: "))
            raise AssertionError("the stream ended")

        told.append(next_event())
        assert told[0][0] == "coil"
        assert (told[0][1]["coil"], told[0][1]["on"]) == (5, True)

        pressed = boards.http.post("/boards/io-1/inputs/3", json={"on": True}).json()
        assert pressed["inputs"][2] == {"n": 3, "on": True}
        assert next_event()[1]["inputs"][2]["on"] is True
        boards.http.post("/boards/relay-1/power-cycle").raise_for_status()
        kinds = {next_event()[0], next_event()[0]}
        assert kinds == {"coil", "board"}
    assert not boards.coils()[4]["on"]

    broken = boards.http.post("/boards/relay-1/fault", json={"dead": True}).json()
    assert broken["fault"] == {"dead": True, "bad_crc": False, "slow_ms": 0, "wrong_unit": False}
    code, text = command(boards.port, "probe")
    assert code == 1
    assert text.startswith("The board does not answer: no answer.\nCheck in turn: ")
    code, text = command(boards.port, "probe", profile=IO, unit=2)
    assert code == 0
    assert "input.3          on" in text


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/boards/x/fault", {}, "there is no board 'x'; there are relay-1, io-1"),
        ("/boards/io-1/fault", {"on_fire": True}, "there is no fault 'on_fire'; there are dead, bad_crc, slow_ms, wrong_unit"),
        ("/boards/io-1/fault", {"dead": 1}, "dead must be true or false"),
        ("/boards/io-1/fault", {"slow_ms": -1}, "slow_ms must be a whole number from 0 to 60000"),
        ("/boards/io-1/inputs/9", {"on": True}, "io-1 has inputs 1 to 8, not 9"),
        ("/boards/io-1/inputs/1", {"off": True}, 'the body must be {"on": true} or {"on": false}'),
        ("/boards/io-1/inputs/1", [], "the body must be a JSON object"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_said(
    tmp_path: Path, path: str, body: object, detail: str
) -> None:
    transport = httpx.ASGITransport(create_app(rig_of(tmp_path, BOARDS)))
    async with httpx.AsyncClient(transport=transport, base_url="http://boards") as http:
        answer = await http.post(path, json=body)
    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.json()["code"], answer.json()["detail"]) == ("bad_request", detail)


def rig_of(folder: Path, text: str) -> Rig:
    file = folder / "boards.yaml"
    file.write_text(text)
    return Rig.from_file(file)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (IO, "acme.x", f"board io-1: there is no profile 'acme.x'; there are {', '.join(Catalog.built_in().profiles)}"),
        ("unit_id: 2", "unit_id: 1", "line rs485-1: two boards have the same unit_id"),
        ("unit_id: 2", "unit_id: 0", f"board io-1: {IO}: unit_id must be a whole number from 1 to 247, not 0"),
        ("id: io-1", "id: relay-1", "board id 'relay-1' is given twice"),
        ("unit_id: 2", "unit: 2", "boards.yaml: lines.rs485-1.boards.1.unit: Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_a_bad_file_of_boards_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(RigError) as caught:
        rig_of(tmp_path, BOARDS.replace(old, new))
    assert str(caught.value) == message


def test_the_process_ends_cleanly_and_takes_its_links_along(boards: Boards) -> None:
    assert boards.port.is_symlink()
    with boards.http.stream("GET", "/events", timeout=10) as stream:
        assert next(stream.iter_lines()) == ": open"
        boards.process.terminate()
        assert boards.process.wait(5) == 0
    assert not boards.port.is_symlink()


def test_profiles_are_listed_shown_and_checked(tmp_path: Path) -> None:
    run = CliRunner().invoke
    listed = run(app, ["profiles", "list"]).output
    assert RELAY in listed
    assert "Waveshare Modbus RTU Relay (8-ch)  (验证：照文档)" in listed
    shown = run(app, ["profiles", "show", RELAY]).output
    assert "offers    lock.pulse 1 = pulse.1" in shown
    bad = tmp_path / "example.x.yaml"
    bad.write_text("schema: 1\n")
    result = run(app, ["profiles", "check", str(bad)])
    assert result.exit_code == 1
    assert result.output == f"{tmp_path.name}/example.x.yaml:1: id: is missing\n"
    listing = Path(__file__).parents[1] / "device_profiles" / "listing.txt"
    assert run(app, ["profiles", "listing"]).output == listing.read_text()
