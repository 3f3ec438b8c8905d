"""``kaimen-cloud keys``: status, rotate, reindex. The context's object runs an act."""

from collections.abc import Callable
from typing import Any

import typer
from sqlalchemy import MetaData

from cloud_api.audit.service import INSTALLATION, record
from cloud_api.auth import reindex as indexes
from cloud_api.kit import key_rotation
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.crypto import vault


def make_app(metadata: Callable[[], MetaData]) -> typer.Typer:
    """The commands; ``metadata`` knows all tables."""
    app = typer.Typer(no_args_is_help=True, help="The secrets that encrypt what stands in tables.")

    @app.command()
    def status(context: typer.Context) -> None:
        """Say which secret is needed by how many values, and which can be taken out."""

        async def act(cloud: Cloud) -> tuple[key_rotation.Status, bool]:
            async with cloud.db.read() as session:
                right = await indexes.is_right(session)
            return await key_rotation.status(cloud.db, metadata()), right

        found: tuple[key_rotation.Status, bool] = context.obj(act)
        typer.echo("\n".join(_told(*found)))
        if found[0].kids - set(vault().kids) or not found[1]:
            raise typer.Exit(1)

    @app.command()
    def rotate(context: typer.Context) -> None:
        """Seal everything under the first of KAIMEN_SECRETS; safe beside a running cloud, and again."""

        async def act(cloud: Cloud) -> int:
            changed = await key_rotation.rotate(
                cloud.db,
                metadata(),
                vault(),
                lambda column, done, total: typer.echo(f"{column}: {done} of {total}", err=True),
            )
            await _note(cloud, "keys.rotate", {"values": changed, "kid": vault().kids[0]})
            return changed

        typer.echo(f"Sealed {context.obj(act)} values anew under {vault().kids[0]}.")

    @app.command()
    def reindex(context: typer.Context) -> None:
        """After changing KAIMEN_INDEX_SECRET: index phones anew. Stop serve and worker before."""

        async def act(cloud: Cloud) -> int:
            async with cloud.db.write() as session:
                changed = await indexes.reindex(session, cloud.clocks)
            await _note(cloud, "keys.reindex", {"accounts": changed})
            return changed

        typer.echo(f"Indexed {context.obj(act)} accounts anew; everybody logs in again.")

    return app


def _told(found: key_rotation.Status, index_is_right: bool) -> list[str]:
    lines = []
    for place, kid in enumerate(vault().kids):
        need = found.of(kid)
        uses = [f"{need} values"] + (["encrypts"] if place == 0 else [])
        if kid == vault().index_kid:
            uses.append("makes indexes")
        free = place > 0 and not need and kid != vault().index_kid
        lines.append(f"{kid}  {', '.join(uses)}{'; can be taken out' if free else ''}")
    for kid in sorted(found.kids - set(vault().kids)):
        lines.append(f"{kid}  MISSING: {found.of(kid)} values cannot be opened without it")
    for column, counts in sorted(found.by_column.items()):
        lines.append(f"  {column}: " + (", ".join(f"{k} {n}" for k, n in counts.items()) or "none"))
    if not index_is_right:
        lines.append("The indexes were made with another secret: see docs/backup.md, keys.")
    return lines


async def _note(cloud: Cloud, action: str, after: dict[str, Any]) -> None:
    async with cloud.db.write() as session:
        await record(
            session,
            System(),
            action,
            merchant_id=INSTALLATION,
            subject="keys:secrets",
            after=after,
            clocks=cloud.clocks,
        )
