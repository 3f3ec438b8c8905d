"""``kaimen-bridge``: what an installer needs at the board, and virtual boards where there is none."""

from __future__ import annotations

import signal
import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from firmware_bridge import profiles_cli
from firmware_bridge.installer import boards, lookout, words
from firmware_bridge.installer.screen import fail

app = typer.Typer(no_args_is_help=True, help=__doc__)
app.add_typer(profiles_cli.app, name="profiles")


class Language(StrEnum):
    """What is spoken to installers."""

    ZH = "zh"
    EN = "en"


@app.callback()
def speak(
    lang: Annotated[
        Language | None, typer.Option(help="zh or en; if not given, KAIMEN_LANG or Chinese")
    ] = None,
) -> None:
    """Finds, tries and watches boards, and runs virtual ones."""
    words.choose(lang.value if lang is not None else words.preferred())


# -- real boards ------------------------------------------------------------------------------------

app.command()(lookout.ports)
app.command()(lookout.scan)
app.command()(boards.probe)
app.command()(boards.exercise)
app.command()(boards.pulse)
app.command("set")(boards.set_)
app.command()(lookout.sniff)


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
        fail(f"--http must be HOST:PORT such as 127.0.0.1:8300, not {http!r}")
    try:
        rig = Rig.from_file(config, links)
        listener = socket.create_server((host, int(port)))
    except (RigError, OSError) as error:
        fail(str(error))
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
    try:
        rig.open()
    except RigError as error:
        rig.close()
        fail(str(error))
    try:
        for name, line in rig.lines.items():
            print(f"line {name}: {line.link or line.path} ({', '.join(line.boards)})", flush=True)
        for device in rig.devices.values():
            print(f"device {device.id}: {device.path}", flush=True)
        print(f"http://{host}:{listener.getsockname()[1]}/state", flush=True)
        server.run(sockets=[listener])
    finally:
        rig.close()


if __name__ == "__main__":
    app()
