"""``kaimen-cloud audit``: verify, export, checkpoint, prune. The context's object runs an act on this installation."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from cloud_api.audit import checkpoints, export, service, verify
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud

app = typer.Typer(no_args_is_help=True, help="The log of acts: is it whole, and take it out.")


@app.command("verify")
def verify_(
    context: typer.Context,
    merchant: Annotated[
        str | None, typer.Option(help="One merchant's id; else every chain.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="Checkpoints kept elsewhere (audit-checkpoints.jsonl, or log lines)."),
    ] = None,
) -> None:
    """Read every entry; name the first that is missing or was changed. Exit code 1 if any is."""
    kept = checkpoints.read_lines(_inner(against)) if against is not None else []

    async def act(cloud: Cloud) -> list[verify.Verdict]:
        chains = [merchant] if merchant is not None else await verify.chains(cloud.db)
        return [
            await verify.verify(
                cloud.db,
                one,
                cloud.settings.data_dir,
                against=kept,
                progress=lambda done, total, one=one: typer.echo(  # type: ignore[misc]
                    f"{one}: {done} of {total}", err=True
                ),
            )
            for one in chains
        ]

    verdicts: list[verify.Verdict] = context.obj(act)
    for verdict in verdicts:
        state = f"BROKEN: {verdict.broken}" if verdict.broken else "whole"
        since = f" after {verdict.pruned_to} pruned" if verdict.pruned_to else ""
        typer.echo(f"{verdict.merchant_id}: {verdict.entries} entries{since}, {state}")
        for note in verdict.notes:
            typer.echo(f"  note: {note}")
    if not verdicts:
        typer.echo("There is no entry yet.")
    if any(verdict.broken for verdict in verdicts):
        raise typer.Exit(1)


@app.command("export")
def export_(
    context: typer.Context,
    merchant: Annotated[str, typer.Option(help="The merchant's id.")],
    out: Annotated[Path, typer.Option(help="The file to write (JSON lines).")],
) -> None:
    """Write a chain with its checkpoints and the public keys that check them."""

    async def act(cloud: Cloud) -> int:
        count = 0
        partial = out.with_name(f".{out.name}.part")
        with partial.open("w") as file:
            async for line in export.lines(cloud.db, merchant, cloud.settings.data_dir):
                file.write(line + "\n")
                count += 1
        partial.replace(out)
        async with cloud.db.write() as session:
            await service.record(
                session,
                System(),
                "audit.export",
                merchant_id=merchant,
                subject=f"merchant:{merchant}",
                after={"lines": count, "by": "command line"},
                clocks=cloud.clocks,
            )
        return count

    typer.echo(f"Wrote {context.obj(act)} lines to {out}.")


@app.command("checkpoint")
def checkpoint_(context: typer.Context) -> None:
    """Sign the ends of all chains now, as happens every night."""

    async def act(cloud: Cloud) -> int:
        return await checkpoints.sign_all(cloud)

    typer.echo(f"Signed {context.obj(act)} checkpoints.")


@app.command("prune")
def prune_(
    context: typer.Context,
    merchant: Annotated[str, typer.Option(help="The merchant's id.")],
    before: Annotated[datetime, typer.Option(help="Entries before this day go (UTC).")],
    why: Annotated[str, typer.Option(help="Why; it is written down.")],
) -> None:
    """Delete old entries, under a signed checkpoint; at least a year stays."""

    async def act(cloud: Cloud) -> int:
        async with cloud.db.write() as session:
            gone = await checkpoints.prune(
                session,
                merchant,
                before.replace(tzinfo=UTC),
                cloud.clocks,
                cloud.settings.data_dir,
            )
            await service.record(
                session,
                System(),
                "audit.prune",
                merchant_id=merchant,
                subject=f"merchant:{merchant}",
                after={"entries": gone, "before": before.date()},
                why=why,
                clocks=cloud.clocks,
            )
        return gone

    typer.echo(f"Deleted {context.obj(act)} entries.")


def _inner(path: Path) -> list[str]:
    """Lines of a file; where a line is one of our logs, the checkpoint inside it."""
    found = []
    for line in path.read_text().splitlines():
        try:
            read = json.loads(line)
        except ValueError:
            continue
        found.append(json.dumps(read.get("checkpoint", read)))
    return found
