"""``kaimen-cloud``: serve, work, migrate, make the first merchant, check.

Each command loads what it needs when it runs: a migration no routes, a broker's files no tables.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import typer
from pydantic import ValidationError
from typer.core import TyperGroup

from cloud_api.settings import Settings

if TYPE_CHECKING:
    from cloud_api.kit.cloud import Cloud
    from cloud_api.kit.database import Database

Result = TypeVar("Result")


@contextlib.contextmanager
def _loading() -> Iterator[None]:
    """Code that stays is loaded here: looking through it for garbage would take a fifth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _platform_admin(late: typer.Typer) -> None:
    from cloud_api.staff.cli import app as commands

    late.add_typer(commands, name="platform-admin", context_settings={"obj": _run})


def _backups(late: typer.Typer) -> None:
    from cloud_api.backups.cli import Above, add_to
    from cloud_api.migrations import guards
    from cloud_api.migrations.tables import metadata
    from cloud_api.store_channel.desired import raise_epochs
    from cloud_api.worker import register_jobs

    add_to(late, _run, Above(_upgrade, raise_epochs, guards.missing, metadata, register_jobs))


def _keys(late: typer.Typer) -> None:
    from cloud_api.backups.keys_cli import make_app
    from cloud_api.migrations.tables import metadata

    late.add_typer(make_app(metadata), name="keys", context_settings={"obj": _run})


def _audit(late: typer.Typer) -> None:
    from cloud_api.audit.cli import app as commands

    late.add_typer(commands, name="audit", context_settings={"obj": _run})


def _ledger(late: typer.Typer) -> None:
    from cloud_api.ledger.cli import app as commands
    from cloud_api.worker import register_jobs

    register_jobs()  # each package that keeps money adds what it knows of the books
    late.add_typer(commands, name="ledger", context_settings={"obj": _run})


def _reports(late: typer.Typer) -> None:
    from cloud_api.reports.cli import app as commands

    late.add_typer(commands, name="reports", context_settings={"obj": _run})


def _events(late: typer.Typer) -> None:
    from cloud_api.store_channel.cli import app as commands

    late.add_typer(commands, name="events", context_settings={"obj": _run})


_LATE: Final[dict[str, Callable[[typer.Typer], None]]] = {
    "platform-admin": _platform_admin,
    **dict.fromkeys(("backup", "backups", "backup-key", "verify", "rehearse", "restore"), _backups),
    "keys": _keys,
    "audit": _audit,
    "ledger": _ledger,
    "reports": _reports,
    "events": _events,
}
"""The commands that packages bring, in the order of the help."""


class _Commands(TyperGroup):
    """Loads a package's commands when one of them, or the help of all, is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Ours, then the packages'."""
        return [*super().list_commands(ctx), *(name for name in _LATE if name not in self.commands)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The one of this name."""
        if cmd_name in _LATE and cmd_name not in self.commands:
            late = typer.Typer()
            late.callback()(lambda: None)
            with _loading():
                _LATE[cmd_name](late)
            found: Any = typer.main.get_group(late)
            return found.commands.get(cmd_name)
        return super().get_command(ctx, cmd_name)


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    help="Kaimen's cloud. Settings: KAIMEN_* variables.",
)


@app.command()
def serve(
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on; 0 = a free one.")] = 8000,
    migrate_first: Annotated[
        bool, typer.Option("--migrate", help="Bring the database up to date before.")
    ] = False,
) -> None:
    """Serve API and pages; with KAIMEN_RUN_WORKER (default) the worker runs inside."""
    settings = _settings()
    with _loading():
        import uvicorn

        from cloud_api.app import create_app
        from cloud_api.kit import logs
    logs.set_up()
    _run(_migrate if migrate_first else _must_fit)
    with _loading():
        served = create_app(settings)
    _keep_what_stays()
    uvicorn.run(
        served,
        host=host,
        port=port,
        access_log=False,  # ours names routes, not addresses
        log_config=None,
        server_header=False,
        proxy_headers=False,  # kit.http counts proxies itself
        timeout_graceful_shutdown=3,  # live event streams end here
    )


@app.command()
def worker(
    health_host: Annotated[
        str, typer.Option(help="The address for /healthz, /readyz and /metrics.")
    ] = "127.0.0.1",
    health_port: Annotated[
        int | None, typer.Option(help="Their port; without it they are not served.")
    ] = None,
) -> None:
    """Run due jobs and the store channel without serving; any number of them may run."""
    with _loading():
        from cloud_api import health
        from cloud_api.kit import logs
        from cloud_api.worker import register_jobs, work

        register_jobs()
    logs.set_up()

    async def act(cloud: Cloud) -> None:
        await _must_fit(cloud)
        _keep_what_stays()
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if health_port is None:
            await work(cloud, stop)
            return
        async with health.serving(cloud, health_host, health_port):
            await work(cloud, stop)

    _run(act)


@app.command()
def migrate() -> None:
    """Bring the database to the present schema and put up the overlap guard; safe to run again."""
    from cloud_api.migrations import runner

    _run(_migrate)
    typer.echo(f"The database is at revision {runner.head()}.")


@app.command()
def init(
    merchant: Annotated[str, typer.Option(help="The merchant's name.")],
    phone: Annotated[str, typer.Option(help="The owner's phone number.")],
    owner: Annotated[str, typer.Option(help="The owner's name.")] = "店主",
) -> None:
    """Make the first merchant and its owner; print a link that logs the owner in once.

    Run again for the same merchant it changes nothing but prints a new link, as long as the owner
    has not set a password.
    """
    from cloud_api.staff.cli import first_owner

    async def act(cloud: Cloud) -> list[str]:
        async with cloud.db.write() as session:
            return await first_owner(session, cloud, merchant=merchant, phone=phone, owner=owner)

    for line in _run(act):
        typer.echo(line)


@app.command("enrol-code")
def enrol_code(
    store: Annotated[str, typer.Option(help="The store's id or its exact name.")],
) -> None:
    """Print a one-time code for ``kaimen-edge enroll``; it lives for 15 minutes."""
    from sqlmodel import col

    from cloud_api.devices.service import make_enrolment_code
    from cloud_api.kit.actor import System, scoped
    from cloud_api.kit.errors import KaimenError
    from cloud_api.stores.models import Store

    async def act(cloud: Cloud) -> str:
        async with cloud.db.write() as session:
            wanted = scoped(System(), Store).where(
                (col(Store.id) == store) | (col(Store.name) == store)
            )
            found = (await session.exec(wanted)).all()
            if len(found) != 1:
                names = ", ".join(
                    f"{one.name} ({one.id})"
                    for one in (await session.exec(scoped(System(), Store))).all()
                )
                raise KaimenError(
                    "store.not_found", f"No single store is called {store!r}. There are: {names}"
                )
            return await make_enrolment_code(
                session, System(), store_id=found[0].id, clocks=cloud.clocks
            )

    typer.echo(_run(act))


@app.command()
def check() -> None:
    """Say what is wrong with settings and database; exit code 1 if anything is."""
    from cloud_api import health

    async def act(cloud: Cloud) -> dict[str, str]:
        found = await health.check(cloud)
        return found | await health.notes(cloud, found)

    found = _run(act)
    settings = _settings()
    if settings.sms_url is None or settings.sms_key is None:
        found["sms"] = "not configured: nobody can log in (KAIMEN_SMS_URL, KAIMEN_SMS_KEY)"
    if settings.public_url.startswith("https") and not settings.cookie_secure:
        found["cookies"] = "KAIMEN_COOKIE_SECURE is off behind https"
    for name, state in found.items():
        typer.echo(f"{name:15} {state}")
    if not all(health.fine(state) for state in found.values()):
        raise typer.Exit(1)


@app.command("broker-files")
def broker_files(
    kind: Annotated[str, typer.Argument(help="mosquitto or nats.")],
    out: Annotated[Path, typer.Option(help="The broker's folder, as the broker sees it.")],
    name: Annotated[
        list[str] | None, typer.Option(help="Another host that the broker is reached by.")
    ] = None,
    node: Annotated[
        list[str] | None, typer.Option(help="NATS cluster: the host of each node, three or more.")
    ] = None,
    in_memory: Annotated[
        Path | None,
        typer.Option(help="NATS: a folder in memory, 256 MB or more, for all that it keeps."),
    ] = None,
) -> None:
    """Write certificate, configuration and rules of the broker; safe to run again."""
    if kind not in {"mosquitto", "nats"}:
        raise typer.BadParameter("mosquitto or nats", param_hint="KIND")
    from cloud_api.store_channel.broker_files import write_broker_files

    try:
        written = write_broker_files(
            _settings(),
            "nats" if kind == "nats" else "mosquitto",
            out,
            name or [],
            node or [],
            in_memory,
        )
    except ValueError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from error
    for path in written:
        typer.echo(f"Wrote {path}")


@app.command("add-store")
def add_store(
    file: Annotated[Path, typer.Argument(help="The store's YAML; deploy/store.example.yaml.")],
    merchant: Annotated[str, typer.Option(help="The merchant's exact name.")],
) -> None:
    """Make a store with rooms, doors, devices and prices, once; prints the addresses of its doors."""
    from cloud_api.store_plan import make_planned_store, read_plan

    async def act(cloud: Cloud) -> list[str]:
        plan = read_plan(file)
        async with cloud.db.write() as session:
            return await make_planned_store(
                session, plan, merchant, cloud.clocks.now, cloud.settings.public_url
            )

    for line in _run(act):
        typer.echo(line)


@app.command("settings-doc")
def settings_doc(
    out: Annotated[Path | None, typer.Option(help="Where to write; else to stdout.")] = None,
) -> None:
    """Write docs/settings.md from the settings themselves."""
    from cloud_api.settings_doc import render

    if out is None:
        typer.echo(render(), nl=False)
    else:
        out.write_text(render())


async def _migrate(cloud: Cloud) -> None:
    from sqlalchemy.exc import SQLAlchemyError

    from cloud_api.kit.errors import KaimenError
    from cloud_api.migrations import runner

    try:
        await runner.upgrade(cloud.db)
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise KaimenError(
            "schema.not_migrated",
            f"schema.not_migrated: the database refused: {cause}\nNothing was changed, the release "
            "before runs on. Put right what it names, then run kaimen-cloud migrate again.",
            status=409,
        ) from error


async def _must_fit(cloud: Cloud) -> None:
    from cloud_api.migrations import runner

    await runner.must_fit(cloud.db)


def _keep_what_stays() -> None:
    """Never look for garbage among code, routes and models again.

    Python does so now and then, for a fifth of a second, while somebody stands at a door.
    """
    gc.collect()
    gc.freeze()


def _settings() -> Settings:
    try:
        return Settings()
    except ValidationError as error:
        for one in error.errors():
            name = "KAIMEN_" + "_".join(str(part) for part in one["loc"]).upper()
            typer.echo(f"{name}: {one['msg']}", err=True)
        typer.echo("Each setting is explained in docs/settings.md.", err=True)
        raise typer.Exit(2) from error


def _run(act: Callable[[Cloud], Awaitable[Result]]) -> Result:
    """Run ``act`` on this installation's Cloud; a refusal is one sentence and exit code 1."""
    with _loading():
        from sqlalchemy.exc import SQLAlchemyError

        from cloud_api.kit.errors import KaimenError
        from cloud_api.kit.process import make_cloud
        from cloud_api.migrations.tables import metadata

        metadata()  # rows point at tables of other packages: all of them must be known

    async def whole() -> Result:
        cloud = make_cloud(_settings())
        try:
            return await act(cloud)
        finally:
            await cloud.http.aclose()
            await cloud.db.close()

    try:
        return asyncio.run(whole())
    except KaimenError as error:
        typer.echo(error.message, err=True)
        raise typer.Exit(1) from error
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        typer.echo(f"The database refused: {cause}", err=True)
        typer.echo("Is KAIMEN_DATABASE_URL right, and was kaimen-cloud migrate run?", err=True)
        raise typer.Exit(1) from error


async def _upgrade(db: Database) -> None:
    """Bring a restored database up to date."""
    from cloud_api.kit.errors import KaimenError
    from cloud_api.migrations import runner

    try:
        await runner.upgrade(db)
    except runner.SchemaNewer as error:
        raise KaimenError(
            "restore.too_new", f"这份备份来自更新的版本，先升级程序：{error}", status=409
        ) from error


if __name__ == "__main__":
    sys.exit(app())
