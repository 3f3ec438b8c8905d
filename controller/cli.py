"""``kaimen-edge``: enrol, run, look after a store's controller.

Each command imports what it needs: a controller runs for months on a small computer, without what only
enrolment uses.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import json
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from controller.settings import EdgeSettings

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
    from controller.enroll import EnrolRefused
    from controller.enroll import enroll as enroll_store

    state_dir = state or _settings().state
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
    leave_out()
    from controller import logs
    from controller.app import Controller
    from controller.identity import NotEnrolled, finish_renewal, load
    from controller.settings import BadPorts, read_ports

    settings = _settings()
    state_dir = state or settings.state
    finish_renewal(state_dir)
    try:
        identity = load(state_dir)
        ports = read_ports(state_dir, port or [])
    except (NotEnrolled, BadPorts) as error:
        typer.echo(f"Cannot run: {error}.", err=True)
        raise typer.Exit(1) from None
    logs.set_up(settings.log_level)
    sys.setswitchinterval(SWITCH_S)

    async def serve() -> None:
        controller = Controller(
            identity,
            state_dir,
            ports,
            clock_file=settings.clock_file,
            local=settings.local,
            diagnostics=settings.diagnostics,
            memory=settings.memory,
        )
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await controller.start()
        _settle_down()
        try:
            await stop.wait()
        finally:
            await controller.stop()

    asyncio.run(serve())


def _settings() -> EdgeSettings:
    from controller.settings import BadSettings, EdgeSettings

    try:
        return EdgeSettings.read()
    except BadSettings as error:
        typer.echo(f"{error}: look into /etc/kaimen-edge.env.", err=True)
        raise typer.Exit(1) from None


def leave_out() -> None:
    """Keep code out that only its being installed would bring in: structlog looks for both and does
    without. Coloured tracebacks are 5 MB for a log of JSON lines, and nothing here runs in greenlets.
    """
    for name in ("rich", "greenlet"):
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]


def _settle_down() -> None:
    """What stands after the start stands for ever: do not look through it again and again, which stops
    everything, and give back to the system what only the start needed (glibc keeps it otherwise).
    """
    gc.collect()
    gc.freeze()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


@app.command()
def renew(state: StateDir = None) -> None:
    """Renew this store's certificate where it ends within 60 days; a store that runs does so by itself."""
    from controller.identity import NotEnrolled
    from controller.renew import NotRenewed
    from controller.renew import renew as renew_certificate

    try:
        until = renew_certificate(state or _settings().state, datetime.now(UTC))
    except (NotEnrolled, NotRenewed) as error:
        typer.echo(f"{error}.", err=True)
        raise typer.Exit(1) from None
    if until is not None:
        typer.echo(f"The certificate was renewed: it is valid until {until:%Y-%m-%d}.")


@app.command()
def pin(state: StateDir = None) -> None:
    """Make a new PIN for the installers' page (KAIMEN_EDGE_LOCAL) and print it, once."""
    from controller.local.pin import new_pin

    state_dir = state or _settings().state
    if not state_dir.is_dir():
        typer.echo(f"{state_dir} is not there: enroll this store first.", err=True)
        raise typer.Exit(1)
    typer.echo(f"The PIN of the installers' page: {new_pin(state_dir)}")


@app.command()
def status(state: StateDir = None) -> None:
    """Print what the journal says, as JSON."""
    from controller.identity import NotEnrolled
    from controller.inspect import status as read_status

    try:
        found = read_status(state or _settings().state)
    except NotEnrolled as error:
        typer.echo(f"{error}.", err=True)
        raise typer.Exit(1) from None
    typer.echo(json.dumps(found, indent=1, ensure_ascii=False))


@app.command()
def doctor(state: StateDir = None, port: Port = None) -> None:
    """Look over this store and say in words what is wrong."""
    from controller.inspect import doctor as look_over
    from controller.settings import BadPorts, read_ports

    state_dir = state or _settings().state
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
