"""``kaimen-cloud reports``: make the statistics again. The context's object runs an act on this installation."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated

import typer

from cloud_api.kit.cloud import Cloud
from cloud_api.reports import rollup

app = typer.Typer(
    no_args_is_help=True, help="The statistics: make them again from orders and books."
)


@app.callback()
def statistics() -> None:
    """The statistics: make them again from orders and books."""


@app.command("rebuild")
def rebuild(
    context: typer.Context,
    first: Annotated[str | None, typer.Option(help="The first day; else a year ago.")] = None,
    last: Annotated[str | None, typer.Option(help="The last day; else two weeks ahead.")] = None,
    merchant: Annotated[str | None, typer.Option(help="One merchant's id; else all.")] = None,
) -> None:
    """Make days again. Safe at any time, also beside a running worker."""

    async def act(cloud: Cloud) -> int:
        today = cloud.clocks.now.date()
        since = date.fromisoformat(first) if first else today - timedelta(days=366)
        until = date.fromisoformat(last) if last else today + timedelta(days=14)
        async with cloud.db.write() as session:
            await rollup.touch(session, since, until, merchant_id=merchant)
        return await rollup.catch_up(cloud)

    made: int = context.obj(act)
    typer.echo(f"{made} days of stores were made again")
