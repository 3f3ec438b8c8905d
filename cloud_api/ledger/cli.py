"""``kaimen-cloud ledger``: verify. The context's object runs an act on this installation."""

from typing import Annotated

import typer

from cloud_api.kit.cloud import Cloud
from cloud_api.ledger import verify

app = typer.Typer(
    no_args_is_help=True, help="The books: do they balance, and agree with the money."
)


@app.callback()
def books() -> None:
    """The books: do they balance, and agree with the money."""


@app.command("verify")
def verify_(
    context: typer.Context,
    merchant: Annotated[str | None, typer.Option(help="One merchant's id; else all.")] = None,
) -> None:
    """Check every transaction, every closed day, every payment and refund. Exit code 1 if one is off."""

    async def act(cloud: Cloud) -> dict[str, list[str]]:
        async with cloud.db.snapshot() as session:
            wanted = [merchant] if merchant is not None else await verify.merchants(session)
            return {one: await verify.verify(session, one) for one in wanted}

    found: dict[str, list[str]] = context.obj(act)
    for merchant_id, wrong in found.items():
        typer.echo(f"{merchant_id}: {'balanced' if not wrong else f'{len(wrong)} findings'}")
        for line in wrong:
            typer.echo(f"  {line}")
    if any(found.values()):
        raise typer.Exit(1)
