"""``kaimen-cloud backup|backups|backup-key|verify|rehearse|restore``. The context's object runs an act."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from sqlalchemy import MetaData

from cloud_api.backups import key as keys
from cloud_api.backups import make, service
from cloud_api.backups import rehearse as rehearsing
from cloud_api.backups import restore as restoring
from cloud_api.backups.models import BackupRun
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError

KeyFile = Annotated[
    Path | None, typer.Option(help="The key of that time, where it is not the one of the settings.")
]


@dataclass(frozen=True, slots=True)
class Above:
    """What stands above this package and is given to it."""

    upgrade: restoring.Upgrade
    raise_epochs: restoring.RaiseEpochs
    guards: rehearsing.Guards
    metadata: Callable[[], MetaData]  # knows all tables
    register: Callable[[], None]  # has each package say what it knows of the books


def add_to(app: typer.Typer, run: Callable[..., Any], above: Above) -> None:
    """Add the commands to the program."""
    _add_making(app, run)
    _add_verify(app, run)
    _add_rehearse(app, run, above)
    _add_restore(app, run, above)


def _add_making(app: typer.Typer, run: Callable[..., Any]) -> None:
    @app.command()
    def backup() -> None:
        """Make a backup now: database, media and keys, encrypted, to KAIMEN_BACKUP_TO."""

        async def act(cloud: Cloud) -> BackupRun:
            now = cloud.clocks.real
            async with cloud.db.write() as session:
                if await service.running(session, now) is not None:
                    raise KaimenError("backup.running", "正在备份，等这一次做完", status=409)
                made = BackupRun(slot="command line", by="system", created_at=now)
                session.add(made)
            return await service.perform(cloud, made, _say)

        done: BackupRun = run(act)
        if done.state != "good":
            typer.echo(f"The backup failed. {done.error}", err=True)
            raise typer.Exit(1)
        typer.echo(f"Made {done.name} ({_size(done.size_bytes)}) in {done.place}.")

    @app.command()
    def backups() -> None:
        """List the good backups in the storage, newest first."""
        for one in run(service.stored):
            typer.echo(
                f"{one.made_at:%Y-%m-%d %H:%M}Z  {_size(one.size):>9}  {one.key_id}  {one.name}"
            )

    @app.command("backup-key")
    def backup_key(
        file: Annotated[Path, typer.Argument(help="The file to write; never over another.")],
    ) -> None:
        """Make a key for backups. Keep a copy away from this machine."""
        try:
            made = keys.make_file(file)
        except FileExistsError as error:
            typer.echo(f"{file} is there already; nothing was changed.", err=True)
            raise typer.Exit(1) from error
        typer.echo(f"Wrote key {made.id} to {file}. Copy it to a safe place now.")


def _add_verify(app: typer.Typer, run: Callable[..., Any]) -> None:
    @app.command()
    def verify(
        name: Annotated[str | None, typer.Argument(help="Which; else the newest.")] = None,
        key_file: KeyFile = None,
    ) -> None:
        """Fetch a backup, open all of it, compare every hash and look into its database."""

        async def act(cloud: Cloud) -> dict[str, Any]:
            return await service.verify(
                cloud,
                System(),
                name,
                lambda header: keys.for_header(cloud.settings, header, key_file),
                make.Progress(),
            )

        inner = run(act)
        typer.echo(
            f"{inner['name']} of {inner['made_at']} is good: {len(inner['members'])} files, "
            f"{_size(sum(one['size'] for one in inner['members']))}, {inner['engine']}, "
            f"revision {inner['revision']}."
        )


def _add_rehearse(app: typer.Typer, run: Callable[..., Any], above: Above) -> None:
    @app.command()
    def rehearse(
        name: Annotated[str | None, typer.Argument(help="Which; else the newest.")] = None,
        file: Annotated[
            Path | None, typer.Option(help="A backup's file, in place of the storage.")
        ] = None,
        key_file: KeyFile = None,
    ) -> None:
        """Restore a backup into a scratch database, look at all of it, and drop that. Beside a living cloud.

        Exit code 1 if anything in it is not as it should be.
        """

        async def act(cloud: Cloud) -> rehearsing.Rehearsed:
            above.register()
            return await rehearsing.rehearse(
                cloud,
                source=file,
                name=name,
                key=lambda header: keys.for_header(cloud.settings, header, key_file),
                upgrade=above.upgrade,
                guards=above.guards,
                metadata=above.metadata(),
                progress=make.Progress(told=_stage),
            )

        done: rehearsing.Rehearsed = run(act)
        typer.echo(f"Rehearsed {done.name}, made {done.made_at}, in {done.seconds:.1f} s.")
        counted = "as many as were backed up" if done.counted else "not counted when it was made"
        typer.echo(f"rows   {sum(done.rows.values())} in {len(done.rows)} tables, {counted}")
        typer.echo(f"books  of {done.merchants} merchants")
        typer.echo(f"keys   {done.opened} sealed values open; {', '.join(done.keys) or 'no files'}")
        typer.echo(f"log    {done.entries} entries")
        for wrong in done.wrong:
            typer.echo(f"WRONG  {wrong}", err=True)
        if done.wrong:
            raise typer.Exit(1)
        typer.echo("All is as it should be; the scratch database is gone.")


def _add_restore(app: typer.Typer, run: Callable[..., Any], above: Above) -> None:
    @app.command()
    def restore(
        name: Annotated[str | None, typer.Argument(help="Which; else the newest.")] = None,
        file: Annotated[
            Path | None, typer.Option(help="A backup's file, in place of the storage.")
        ] = None,
        key_file: KeyFile = None,
        force: Annotated[
            bool, typer.Option(help="Also over a database with data; that one is put aside.")
        ] = False,
    ) -> None:
        """Put a backup back. Stop serve and worker before; start them after."""

        async def act(cloud: Cloud) -> restoring.Restored:
            return await restoring.restore(
                cloud,
                source=file,
                name=name,
                key=lambda header: keys.for_header(cloud.settings, header, key_file),
                force=force,
                upgrade=above.upgrade,
                raise_epochs=above.raise_epochs,
                progress=make.Progress(told=_stage),
            )

        done: restoring.Restored = run(act)
        typer.echo(f"Restored {done.name}, made {done.made_at}.")
        if done.old:
            typer.echo(f"The database of before stands as {done.old}; delete it when all is well.")
        for label in done.files:
            typer.echo(f"Put back {label}")
        for label in done.kept:
            typer.echo(f"Left as it is, though another: {label}")
        entries = sum(one.entries for one in done.chains)
        typer.echo(f"{done.stores} stores get a later epoch; the log is whole ({entries} entries).")
        typer.echo("Now start serve and worker, and look at /readyz.")


def _say(progress: make.Progress) -> None:
    total = f" of {_size(progress.total_bytes)}" if progress.total_bytes else ""
    typer.echo(f"{progress.stage}: {_size(progress.done_bytes)}{total}", err=True)


def _stage(stage: str) -> None:
    typer.echo(f"{stage} …", err=True)


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError
