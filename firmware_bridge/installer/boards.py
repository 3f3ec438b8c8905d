"""The commands that stand before one known board: ``probe``, ``pulse``, ``set``, ``exercise``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from device_profiles import Catalog, Profile, ProfileError
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig, BoardState, Capability, Outcome, OutcomeState
from firmware_bridge.installer import lines
from firmware_bridge.installer.screen import fail
from firmware_bridge.installer.words import say, told

_IDENTIFY_S = 8.0
_DEADLINE_S = 5.0
_QUESTIONS = 20  # by which a line's quality is judged
_INPUT_S = 15.0

PortOption = Annotated[
    str, typer.Option("--port", help="/dev/serial/by-id/…, tcp://HOST:502 or rtu+tcp://HOST:PORT")
]
ProfileOption = Annotated[str, typer.Option("--profile", help="Profile id; see: profiles list")]
UnitOption = Annotated[int, typer.Option("--unit", help="The board's number on its line")]
BaudOption = Annotated[int | None, typer.Option("--baud", help="If not as from the factory")]
ChannelOption = Annotated[int, typer.Option("--channel", help="As printed on the board")]
ParamOption = Annotated[
    list[str] | None, typer.Option("--param", help="NAME=VALUE that the profile asks for")
]


class Position(StrEnum):
    """Where a relay can be put."""

    ON = "on"
    OFF = "off"


def probe(
    port: PortOption,
    profile: ProfileOption,
    unit: UnitOption = 1,
    baud: BaudOption = None,
    param: ParamOption = None,
) -> None:
    """Identify a board, read all it knows, judge the line. Sends questions only."""

    async def act(bridge: FirmwareBridge) -> None:
        print(say("answers", profile=profile, port=port, unit=unit))
        for name, reading in (await bridge.read_points("board", _DEADLINE_S)).items():
            quality = "" if reading.quality == "ok" else f"  ({reading.quality})"
            print(f"  {name:16} {_shown(reading.value)}{quality}")

    config = _config(profile, unit, baud, param)
    _with_board(port, config, act)
    _judge_line(port, config)


def pulse(
    port: PortOption,
    profile: ProfileOption,
    channel: ChannelOption,
    unit: UnitOption = 1,
    ms: Annotated[int, typer.Option(help="Length in milliseconds")] = 1000,
    baud: BaudOption = None,
    param: ParamOption = None,
) -> None:
    """Open a lock once, for so many milliseconds."""

    async def act(bridge: FirmwareBridge) -> None:
        outcome = await bridge.pulse("board", channel, ms, _DEADLINE_S)
        _tell(outcome, say("pulse", channel=channel, ms=ms))

    _with_board(port, _config(profile, unit, baud, param), act)


def set_(
    position: Position,
    port: PortOption,
    profile: ProfileOption,
    channel: ChannelOption,
    unit: UnitOption = 1,
    baud: BaudOption = None,
    param: ParamOption = None,
) -> None:
    """Switch a relay on or off and read it back. It stays so: never do this to a lock."""

    async def act(bridge: FirmwareBridge) -> None:
        on = position is Position.ON
        outcome = await bridge.switch("board", channel, on, _DEADLINE_S)
        _tell(outcome, say("switched", channel=channel, position=say(position.value)))

    _with_board(port, _config(profile, unit, baud, param), act)


def exercise(
    port: PortOption,
    profile: ProfileOption,
    unit: UnitOption = 1,
    baud: BaudOption = None,
    param: ParamOption = None,
    ms: Annotated[int, typer.Option(help="Length of a lock's pulse")] = 1000,
    input_s: Annotated[float, typer.Option(help="How long an input is waited for")] = _INPUT_S,
    report: Annotated[Path | None, typer.Option(help="Write what was seen to this file")] = None,
) -> None:
    """Walk through all outputs and inputs; you say of each whether it did the right thing."""
    config = _config(profile, unit, baud, param)
    seen: dict[str, str] = {}

    async def act(bridge: FirmwareBridge) -> None:
        print(say("exercise_begin"))
        for capability in (Capability.LOCK_PULSE, Capability.SWITCH_SET):
            for channel in _channels(config, capability):
                seen[f"{capability.value} {channel}"] = await _walk(bridge, capability, channel, ms)
        for capability in (Capability.DOOR_CONTACT, Capability.PRESENCE, Capability.HAZARD):
            for channel in _channels(config, capability):
                seen[f"{capability.value} {channel}"] = await _await(
                    bridge, capability, channel, input_s
                )

    _with_board(port, config, act)
    count = {
        word: sum(each == word for each in seen.values()) for word in ("good", "bad", "skipped")
    }
    print(say("summary", **count))
    if report is not None:
        report.write_text(
            json.dumps(
                {"profile": profile, "unit": unit, "seen": seen}, ensure_ascii=False, indent=1
            )
            + "\n",
            encoding="utf-8",
        )
        print(say("report_written", file=report))
    if count["bad"]:
        raise typer.Exit(1)


async def _walk(
    bridge: FirmwareBridge, capability: Capability, channel: int | None, ms: int
) -> str:
    shown = channel or 1
    if not await _asked(say("exercise_do", channel=shown, kind=say(capability.value))):
        return "skipped"
    if capability is Capability.LOCK_PULSE:
        outcome = await bridge.pulse("board", channel, ms, _DEADLINE_S)
    else:
        before = (await bridge.read("board", capability, channel, _DEADLINE_S)).value is True
        outcome = await bridge.switch("board", channel, not before, _DEADLINE_S)
        await asyncio.sleep(min(1.0, ms / 1000))
        await bridge.switch("board", channel, before, _DEADLINE_S)
    print(f"  {say(outcome.state.value)} ({told(outcome.detail)})")
    good = await _asked(say("exercise_seen", channel=shown))
    return "good" if good and outcome.state is OutcomeState.DONE else "bad"


async def _await(
    bridge: FirmwareBridge, capability: Capability, channel: int | None, input_s: float
) -> str:
    shown = channel or 1
    print(say("exercise_input", channel=shown, seconds=f"{input_s:g}"))
    before = (await bridge.read("board", capability, channel, _DEADLINE_S)).value
    loop = asyncio.get_running_loop()
    end = loop.time() + input_s
    while loop.time() < end:
        now = (await bridge.read("board", capability, channel, _DEADLINE_S)).value
        if now is not None and now != before:
            print(f"  {say('exercise_changed', channel=shown)}")
            return "good"
        await asyncio.sleep(0.1)
    print(f"  {say('exercise_same', channel=shown)}")
    return "bad"


async def _asked(question: str) -> bool:
    return await asyncio.to_thread(typer.confirm, question, True)


def _channels(config: BoardConfig, capability: Capability) -> tuple[int | None, ...]:
    return Catalog.built_in()[config.profile].channels(capability.value)


# -- the board ----------------------------------------------------------------------------------------


def _config(profile_id: str, unit: int, baud: int | None, given: list[str] | None) -> BoardConfig:
    try:
        profile = Catalog.built_in()[profile_id]
        params: dict[str, int | float | str | bool] = {}
        if profile.transport.type in ("modbus_rtu", "modbus_tcp"):
            params["unit_id"] = unit
        if baud is not None:
            params["baud"] = baud
        for pair in given or []:
            name, _, value = pair.partition("=")
            params[name] = int(value) if value.isdecimal() else value
        profile.settings(params)
    except ProfileError as error:
        fail(str(error))
    return BoardConfig("board", profile_id, "port", params)


def _with_board(
    port: str, config: BoardConfig, act: Callable[[FirmwareBridge], Awaitable[None]]
) -> None:
    async def run() -> None:
        bridge = FirmwareBridge({"port": port})
        await bridge.configure([config])
        asked = asyncio.Event()
        bridge.on_change(lambda _: asked.set())
        await bridge.start()
        try:
            async with asyncio.timeout(_IDENTIFY_S):
                while bridge.board_state("board").state == "starting":
                    await asked.wait()
                    asked.clear()
            _check_there(bridge.board_state("board"))
            await act(bridge)
        finally:
            await bridge.stop()

    try:
        asyncio.run(run())
    except ProfileError as error:
        fail(str(error))
    except TimeoutError:
        fail(say("undecided", port=port, seconds=f"{_IDENTIFY_S:.0f}"))


def _check_there(state: BoardState) -> None:
    if state.state == "offline":
        fail(say("no_answer", detail=told(state.detail)), advice(state.detail))
    if state.state == "refused":
        fail(say("refused", detail=told(state.detail)))


def advice(detail: str) -> str:
    """What an installer should look at, from what is wrong."""
    if "bytes came" in detail or "two boards" in detail:
        return say("advice_garbled")
    if "other frames" in detail:
        return say("advice_other")
    if any(word in detail for word in ("is not there", "another program", "may not be opened")):
        return say("advice_port")
    return say("advice_silent")


def _judge_line(port: str, config: BoardConfig) -> None:
    """Ask the same question many times: a line that fails one time in twenty fails at the door."""
    profile: Profile = Catalog.built_in()[config.profile]
    if profile.transport.type != "modbus_rtu":
        return
    settings = profile.settings(config.params)
    board = lines.board(profile, config)
    with lines.line(port, settings) as asked:
        timeout_s = profile.modbus.response_timeout_ms / 1000
        heard = [asked.ask(board.identify()[0][1], timeout_s) for _ in range(_QUESTIONS)]
        good = [each.took_ms for each in heard if each.result == "answered"]
        bad = sum(each.result == "bad_frame" for each in heard)
        silent = sum(each.result == "no_answer" for each in heard)
        ms = f"{median(good):.0f}" if good else "-"
        print(say("quality", sent=len(heard), good=len(good), bad=bad, silent=silent, ms=ms))
        if len(good) < len(heard):
            fail(say("line_bad"))
        for what, found, wanted in lines.drift(asked, profile, settings.unit_id, timeout_s):
            print(say("drift", what=what, found=found, wanted=wanted))


def _shown(value: bool | int | float | str | None) -> str:
    if isinstance(value, bool):
        return say("on" if value else "off")
    return "-" if value is None else str(value)


def _tell(outcome: Outcome, what: str) -> None:
    seen = outcome.evidence
    frames = ""
    if "tx" in seen:
        frames = say("frames", tx=seen["tx"], rx=seen["rx"] or say("nothing"))
    print(f"{what}: {say(outcome.state.value)} ({told(outcome.detail)}){frames}")
    if outcome.state is not OutcomeState.DONE:
        raise typer.Exit(1)
