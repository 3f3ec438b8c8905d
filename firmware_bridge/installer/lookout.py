"""The commands that look around: ``ports``, ``scan``, ``sniff``. None of them moves anything."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from serial.tools import list_ports

from device_profiles import Catalog, ProfileError
from device_profiles.profile import Settings
from firmware_bridge.installer.explain import Listener
from firmware_bridge.installer.scan import Found, Scan, scannable
from firmware_bridge.installer.screen import fail
from firmware_bridge.installer.words import say, told
from firmware_bridge.port import PortGone
from firmware_bridge.reach import port_to

_SILENCE_S = 0.1  # after which what was begun is not continued


def ports() -> None:
    """List serial ports by the name that stays the same after re-plugging."""
    by_id = Path("/dev/serial/by-id")
    names = {link.resolve(): link for link in by_id.iterdir()} if by_id.is_dir() else {}
    found = sorted(list_ports.comports())
    if not found:
        fail(say("no_ports"))
    for port in found:
        print(f"{names.get(Path(port.device), port.device)}  {port.description}")
        if not os.access(port.device, os.R_OK | os.W_OK):
            print(say("port_denied"))


def scan(
    port: Annotated[list[str], typer.Option(help="Device path or address; may be given again")],
    units: Annotated[str, typer.Option(help="Numbers to try, such as 1-32 or 3,7")] = "1-32",
    baud: Annotated[
        list[int] | None, typer.Option(help="Only this speed; may be given again")
    ] = None,
    profile: Annotated[
        list[str] | None, typer.Option(help="Only this model; may be given again")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="All numbers, 1-247")] = False,
) -> None:
    """Find the boards on a line, whatever speed and number they are set to. Asks questions only."""
    try:
        catalog = Catalog.built_in()
        chosen = [catalog[each] for each in profile] if profile else catalog.profiles.values()
    except ProfileError as error:
        fail(str(error))
    numbers = list(range(1, 248)) if everything else _numbers(units)
    any_found = False
    for where in port:
        job = Scan(where, scannable(chosen), numbers, baud or [])
        any_found |= _scan_one(job)
        if not any_found:
            print(say("found_none", settings=len(job.settings()), units=len(numbers)))
    if not any_found:
        raise typer.Exit(1)


def _scan_one(job: Scan) -> bool:
    found = False
    console = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
    try:
        with Progress(
            *columns, console=console, transient=True, redirect_stdout=sys.stdout.isatty()
        ) as progress:
            task = progress.add_task("", total=job.steps())
            for setting, unit, board in job.run():
                told_now = say("scanning", setting=setting, unit=unit)
                progress.update(task, advance=1, description=told_now)
                if board is not None:
                    found = True
                    for line in _described(job.where, board):
                        print(line, flush=True)
    except PortGone as gone:
        fail(told(str(gone)), say("advice_port"))
    except ProfileError as error:
        fail(str(error))
    return found


def _described(where: str, found: Found) -> list[str]:
    place = {"setting": found.setting, "unit": found.unit}
    if found.garbled:
        return [say("found_noise", **place)]
    if found.doubled:
        return [say("found_double", **place)]
    if not found.profiles:
        return [say("found", what=say("found_unknown"), ms=f"{found.took_ms:.0f}", **place)]
    what = " / ".join(f"{p.vendor} {p.model} [{p.id}]" for p in found.profiles)
    first = found.profiles[0]
    command = (
        f"kaimen-bridge probe --port {where} --profile {first.id} --unit {found.unit}"
        f" --baud {found.setting.baud}"
    )
    return [
        say("found", what=what, ms=f"{found.took_ms:.0f}", **place),
        f"  {say('next', command=command)}",
    ]


def _numbers(text: str) -> list[int]:
    numbers: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or (last and not last.isdecimal()):
            raise typer.BadParameter(f"{part!r} is neither a number nor a range such as 1-32")
        numbers.update(range(int(first), int(last or first) + 1))
    if not numbers or min(numbers) < 1 or max(numbers) > 247:
        raise typer.BadParameter("numbers on a line are 1 to 247")
    return sorted(numbers)


def sniff(
    port: Annotated[str, typer.Option(help="Device path, or rtu+tcp://HOST:PORT")],
    baud: Annotated[int, typer.Option(help="Speed of the line")] = 9600,
    parity: Annotated[str, typer.Option(help="N, E or O")] = "N",
    seconds: Annotated[
        float | None, typer.Option(help="Stop after so many; else at Ctrl-C")
    ] = None,
) -> None:
    """Listen to a line that another master asks on, and say what its frames mean. Sends nothing."""
    if parity not in ("N", "E", "O"):
        raise typer.BadParameter("parity is N, E or O")
    settings = Settings(1, baud, parity, 1)  # type: ignore[arg-type]
    listener = Listener()
    begun = time.monotonic()
    wake_read, wake_write = os.pipe()
    try:
        device = port_to(port)
        device.open(settings)
        print(say("listening", port=port), flush=True)
        while seconds is None or time.monotonic() - begun < seconds:
            data = device.read(_SILENCE_S, wake_read)
            now = time.monotonic() - begun
            for heard in listener.feed(data, now) if data else listener.rest(now):
                print(
                    f"{heard.at:9.3f}  {heard.data.hex(' ')}\n           {heard.words}", flush=True
                )
    except KeyboardInterrupt:
        pass
    except (PortGone, ProfileError) as error:
        fail(told(str(error)))
    finally:
        os.close(wake_read)
        os.close(wake_write)
    listener.rest(time.monotonic() - begun)
    if not listener.frames and not listener.noise:
        fail(say("heard_nothing", seconds=f"{time.monotonic() - begun:.0f}"))
    print(say("heard", frames=listener.frames, noise=listener.noise))
