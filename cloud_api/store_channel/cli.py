"""``kaimen-cloud events``: what stores told and the cloud could not act on. The context's object runs an act."""

from __future__ import annotations

from typing import Annotated

import structlog
import typer
from sqlmodel import col

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.cloud import Cloud
from cloud_api.store_channel import ingest
from cloud_api.store_channel.models import EventFailure

app = typer.Typer(
    no_args_is_help=True,
    help="Events of stores that the cloud could not act on: see them, try again.",
)
MOST = 200
log = structlog.get_logger(__name__)


async def dead(cloud: Cloud) -> list[EventFailure]:
    """Those that nobody settled, the oldest first, at most ``MOST``."""
    query = scoped(System(), EventFailure).where(
        col(EventFailure.dead_at).is_not(None), col(EventFailure.settled_at).is_(None)
    )
    async with cloud.db.read() as session:
        found = await session.exec(query.order_by(col(EventFailure.first_at)).limit(MOST))
        return list(found.all())


@app.command("failed")
def failed(context: typer.Context) -> None:
    """List them with what went wrong; a gap is events that neither side has any more."""
    found: list[EventFailure] = context.obj(dead)
    for one in found:
        typer.echo(f"{one.event_id}  {one.kind}  store {one.store_id}  {one.first_at:%F %H:%M}Z")
        typer.echo(f"    {one.last_error}")
    typer.echo(f"{len(found)} events" + (", and maybe more" if len(found) == MOST else ""))


@app.command("retry")
def retry(
    context: typer.Context,
    events: Annotated[
        list[str] | None, typer.Argument(help="Their ids; without any, all that are listed.")
    ] = None,
) -> None:
    """Act on them once more, and end their alarms; a gap is only marked as seen.

    One that fails again stays as it is, and the exit code is 1. Safe to run again.
    """

    async def act(cloud: Cloud) -> dict[str, str]:
        said = {}
        for event_id in events or [one.event_id for one in await dead(cloud)]:
            try:
                done = await ingest.settle_failure(cloud, event_id)
            except Exception:  # whatever its effect raises; the others are to be tried
                log.exception("event_failed_again", event_id=event_id)
                said[event_id] = "failed again, see the error above"
            else:
                said[event_id] = "settled" if done else "no such failed event"
        return said

    said: dict[str, str] = context.obj(act)
    for event_id, words in said.items():
        typer.echo(f"{event_id}  {words}")
    if any(words != "settled" for words in said.values()):
        raise typer.Exit(1)
