"""``kaimen-edge``: enrol, run, look after a store's controller."""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from controller import logs
from controller.enroll import EnrolRefused
from controller.enroll import enroll as enroll_store
from controller.identity import NotEnrolled, load
from controller.inspect import doctor as look_over
from controller.inspect import status as read_status
from controller.settings import BadPorts, EdgeSettings, read_ports

SWITCH_S = 0.0005  # threads that own a line or a socket must not wait 5 ms for the loop to pause

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Runs a store: doors, power, journal."
)

StateDir = Annotated[
    Path | None, typer.Option("--state", help="State directory (KAIMEN_EDGE_STATE).")
]
Port = Annotated[
    list[str] | None,
    typer.Option("--port", help="name=/dev/serial/by-id/…; may be given several times."),
]


@app.command()
def enroll(
    cloud: Annotated[str, typer.Option(help="Address of the cloud, https://…")],
    code: Annotated[str, typer.Option(help="One-time code from the console.")],
    state: StateDir = None,
) -> None:
    """Make this machine the controller of a store."""
    state_dir = state or EdgeSettings().state
    try:
        identity = enroll_store(cloud, code, state_dir)
    except EnrolRefused as error:
        typer.echo(f"Not enrolled: {error}.", err=True)
        raise typer.Exit(1) from None
    ports = state_dir / "ports.yaml"
    if identity.ports_hint and not ports.exists():
        lines = [f"{name}: {device}\n" for name, device in identity.ports_hint.items()]
        ports.write_text("".join(lines))
    typer.echo(f"Enrolled as store {identity.store}. Now: kaimen-edge run --state {state_dir}")


@app.command()
def run(state: StateDir = None, port: Port = None) -> None:
    """Run the store until SIGTERM or Ctrl-C."""
    settings = EdgeSettings()
    state_dir = state or settings.state
    try:
        identity = load(state_dir)
        ports = read_ports(state_dir, port or [])
    except (NotEnrolled, BadPorts) as error:
        typer.echo(f"Cannot run: {error}.", err=True)
        raise typer.Exit(1) from None
    logs.set_up(settings.log_level)
    sys.setswitchinterval(SWITCH_S)
    from controller.app import Controller  # what only `run` needs is loaded only here

    async def serve() -> None:
        controller = Controller(identity, state_dir, ports, clock_file=settings.clock_file)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await controller.start()
        # What stands now stands for ever: looking through it again and again stops everything.
        gc.collect()
        gc.freeze()
        try:
            await stop.wait()
        finally:
            await controller.stop()

    asyncio.run(serve())


@app.command()
def status(state: StateDir = None) -> None:
    """Print what the journal says, as JSON."""
    try:
        found = read_status(state or EdgeSettings().state)
    except NotEnrolled as error:
        typer.echo(f"{error}.", err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps(found, indent=1, ensure_ascii=False))


@app.command()
def doctor(state: StateDir = None, port: Port = None) -> None:
    """Look over this store and say in words what is wrong."""
    state_dir = state or EdgeSettings().state
    try:
        ports = read_ports(state_dir, port or [])
    except BadPorts as error:
        typer.echo(f"✗ {error}.")
        raise typer.Exit(1) from None
    findings = list(look_over(state_dir, ports, datetime.now(UTC)))
    for finding in findings:
        typer.echo(f"{'✓' if finding.good else '✗'} {finding.text}.")
    if not all(finding.good for finding in findings):
        raise typer.Exit(1)


if __name__ == "__main__":
    app()
