"""``kaimen-bridge``: what an installer needs at the board, and virtual boards where there is none."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn, TypeVar

import typer
from serial.tools import list_ports

from device_profiles import Catalog, Profile, ProfileError, load_profile
from device_profiles.listing import describe, listing
from firmware_bridge.bridge import FirmwareBridge
from firmware_bridge.contract import BoardConfig, Outcome, OutcomeState

app = typer.Typer(no_args_is_help=True, help=__doc__)
profiles_app = typer.Typer(
    no_args_is_help=True, help="The boards that are known, and their checks."
)
app.add_typer(profiles_app, name="profiles")

_IDENTIFY_S = 5.0
_T = TypeVar("_T")

PortOption = Annotated[str, typer.Option("--port", help="Device path, e.g. /dev/serial/by-id/…")]
ProfileOption = Annotated[str, typer.Option("--profile", help="Profile id; see: profiles list")]
UnitOption = Annotated[int, typer.Option("--unit", help="The board's number on its line")]
BaudOption = Annotated[int | None, typer.Option("--baud", help="If not as from the factory")]
ChannelOption = Annotated[int, typer.Option("--channel", help="As printed on the board")]


class Position(StrEnum):
    """Where a relay can be put."""

    ON = "on"
    OFF = "off"


# -- profiles ---------------------------------------------------------------------------------------


@profiles_app.command("list")
def profiles_list() -> None:
    """List the boards that are known."""
    for profile in Catalog.built_in().profiles.values():
        print(f"{profile.id:36} {profile.vendor} {profile.model}  (verified: {profile.verified})")


@profiles_app.command("show")
def profiles_show(profile_id: str) -> None:
    """Show what a board does and the bytes' addresses, all repeats written out."""
    print(describe(_profile(profile_id)), end="")


@profiles_app.command("check")
def profiles_check(files: list[Path]) -> None:
    """Check profile files; the first error of each is printed with its line."""
    failed = False
    for file in files:
        try:
            profile = load_profile(file)
        except (ProfileError, OSError) as error:
            failed = True
            print(error)
        else:
            print(f"{file.name}: good, {len(profile.points)} points, {len(profile.tests)} tests")
    if failed:
        raise typer.Exit(1)


@profiles_app.command("listing")
def profiles_listing() -> None:
    """Print all points and actions of all profiles, as tests/device_profiles/listing.txt holds them."""
    print(listing(Catalog.built_in().profiles.values()), end="")


# -- real boards ------------------------------------------------------------------------------------


@app.command()
def ports() -> None:
    """List serial ports by the name that stays the same after re-plugging."""
    by_id = Path("/dev/serial/by-id")
    names = {link.resolve(): link for link in by_id.iterdir()} if by_id.is_dir() else {}
    found = sorted(list_ports.comports())
    if not found:
        _fail("No serial port was found. Is the USB adapter plugged in?")
    for port in found:
        print(f"{names.get(Path(port.device), port.device)}  {port.description}")


@app.command()
def probe(
    port: PortOption, profile: ProfileOption, unit: UnitOption = 1, baud: BaudOption = None
) -> None:
    """Identify a board and read all it knows. Sends reads only."""

    async def act(bridge: FirmwareBridge) -> None:
        print(f"{profile} answers as unit {unit} on {port}")
        for name, reading in (await bridge.read_points("board", 5.0)).items():
            quality = "" if reading.quality == "ok" else f"  ({reading.quality})"
            print(f"  {name:16} {_shown(reading.value)}{quality}")

    _with_board(port, profile, unit, baud, act)


@app.command()
def pulse(
    port: PortOption,
    profile: ProfileOption,
    channel: ChannelOption,
    unit: UnitOption = 1,
    ms: Annotated[int, typer.Option(help="Length in milliseconds")] = 1000,
    baud: BaudOption = None,
) -> None:
    """Open a lock once, for so many milliseconds."""

    async def act(bridge: FirmwareBridge) -> None:
        _tell(
            await bridge.pulse("board", channel, ms, 5.0), f"pulse of {ms} ms on channel {channel}"
        )

    _with_board(port, profile, unit, baud, act)


@app.command("set")
def set_(
    position: Position,
    port: PortOption,
    profile: ProfileOption,
    channel: ChannelOption,
    unit: UnitOption = 1,
    baud: BaudOption = None,
) -> None:
    """Switch a relay on or off and read it back. It stays so: never do this to a lock."""

    async def act(bridge: FirmwareBridge) -> None:
        outcome = await bridge.switch("board", channel, position is Position.ON, 5.0)
        _tell(outcome, f"channel {channel} {position}")

    _with_board(port, profile, unit, baud, act)


def _with_board(
    port: str,
    profile: str,
    unit: int,
    baud: int | None,
    act: Callable[[FirmwareBridge], Awaitable[None]],
) -> None:
    params = {"unit_id": unit} | ({} if baud is None else {"baud": baud})

    async def run() -> None:
        bridge = FirmwareBridge({"port": port})
        await bridge.configure([BoardConfig("board", profile, "port", params)])
        asked = asyncio.Event()
        bridge.on_change(lambda _: asked.set())
        await bridge.start()
        try:
            async with asyncio.timeout(_IDENTIFY_S):
                while bridge.board_state("board").state == "starting":
                    await asked.wait()
                    asked.clear()
            state = bridge.board_state("board")
            if state.state == "offline":
                _fail(f"The board does not answer: {state.detail}.")
            if state.state == "refused":
                _fail(f"Nothing was commanded: {state.detail}.")
            await act(bridge)
        finally:
            await bridge.stop()

    try:
        asyncio.run(run())
    except ProfileError as error:
        _fail(str(error))
    except TimeoutError:
        _fail(f"{port} did not say in {_IDENTIFY_S:.0f} s whether a board is there.")


def _shown(value: bool | int | float | str | None) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    return "-" if value is None else str(value)


def _tell(outcome: Outcome, what: str) -> None:
    told = outcome.evidence
    frames = f"  sent {told['tx']}  got {told['rx'] or 'nothing'}" if "tx" in told else ""
    print(f"{what}: {outcome.state} ({outcome.detail}){frames}")
    if outcome.state is not OutcomeState.DONE:
        raise typer.Exit(1)


def _profile(profile_id: str) -> Profile:
    try:
        return Catalog.built_in()[profile_id]
    except ProfileError as error:
        _fail(str(error))


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)


# -- virtual boards ---------------------------------------------------------------------------------


@app.command()
def virtual(
    config: Annotated[
        Path, typer.Option(help="YAML: lines: {name: {boards: [{id, profile, unit_id}]}}")
    ],
    links: Annotated[Path, typer.Option(help="Folder for one link per line, to open as a port")],
    http: Annotated[str, typer.Option(help="HOST:PORT of the control page; port 0 picks one")],
    pages: Annotated[Path | None, typer.Option(help="Folder of static pages to show at /")] = None,
) -> None:
    """Run virtual boards on pseudo terminals until stopped."""
    import uvicorn

    from firmware_bridge.virtual.app import create_app
    from firmware_bridge.virtual.rig import Rig, RigError

    host, _, port = http.rpartition(":")
    if not host or not port.isdecimal():
        _fail(f"--http must be HOST:PORT such as 127.0.0.1:8300, not {http!r}")
    try:
        rig = Rig.from_file(config, links)
        listener = socket.create_server((host, int(port)))
    except (RigError, OSError) as error:
        _fail(str(error))
    boards_app = create_app(rig, pages, closing=lambda: server.should_exit)
    server = uvicorn.Server(
        uvicorn.Config(boards_app, log_level="warning", timeout_graceful_shutdown=2, lifespan="off")
    )

    def leave(number: int, frame: object) -> None:
        # uvicorn ends on these signals and then raises them again: by then only links are left.
        if not server.should_exit:
            raise SystemExit(0)

    signal.signal(signal.SIGINT, leave)
    signal.signal(signal.SIGTERM, leave)
    rig.open()
    try:
        for name, line in rig.lines.items():
            print(f"line {name}: {line.link or line.path} ({', '.join(line.boards)})", flush=True)
        print(f"http://{host}:{listener.getsockname()[1]}/state", flush=True)
        server.run(sockets=[listener])
    finally:
        rig.close()


if __name__ == "__main__":
    app()
