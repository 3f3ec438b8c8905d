"""``kaimen-bridge profiles``: the boards that are known, and what is needed to add one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from device_profiles import Catalog, Profile, ProfileError, catalogue, json_schema, load_profile
from device_profiles.listing import describe, listing
from device_profiles.scaffold import scaffold
from firmware_bridge.installer.screen import fail
from firmware_bridge.installer.wiring import wiring
from firmware_bridge.installer.words import say

app = typer.Typer(no_args_is_help=True, help="The boards that are known, and their checks.")


@app.command("list")
def list_(
    kind: Annotated[str, typer.Option(help="Only of this kind, such as meter")] = "",
    serves: Annotated[
        str, typer.Option(help="Only those that serve this, such as lock.pulse")
    ] = "",
) -> None:
    """List the boards that are known, by kind."""
    if kind and kind not in catalogue.KINDS:
        fail(say("no_kind", kind=kind, kinds=", ".join(catalogue.KINDS)))
    found = [
        profile
        for profile in Catalog.built_in().profiles.values()
        if kind in ("", profile.kind) and (not serves or profile.channels(serves))
    ]
    if not found:
        among = say("among", kind=kind) if kind else ""
        fail(say("none_serves", serves=serves, among=among))
    for name in catalogue.KINDS:
        of_kind = [profile for profile in found if profile.kind == name]
        if of_kind:
            typer.echo(f"{say(name)} ({name})")
        for profile in of_kind:
            model = f"{profile.vendor} {profile.model}"
            tried = say("tried", verified=say(profile.verified))
            typer.echo(f"  {profile.id:34} {model}  ({tried})")


@app.command()
def show(profile_id: str) -> None:
    """Show what a board does, all repeats and bases written out, and how it is wired."""
    try:
        profile = Catalog.built_in()[profile_id]
    except ProfileError as error:
        fail(str(error))
    typer.echo(describe(profile), nl=False)
    typer.echo()
    typer.echo(wiring(profile), nl=False)


@app.command()
def check(files: list[Path]) -> None:
    """Check profile files; the first error of each is printed with its line."""
    failed = False
    for file in files:
        try:
            profile = load_profile(file)
        except (ProfileError, OSError) as error:
            failed = True
            typer.echo(error)
        else:
            counted = {"points": len(profile.points), "tests": _tests(profile)}
            typer.echo(say("profile_good", file=file.name, **counted))
    if failed:
        raise typer.Exit(1)


def _tests(profile: Profile) -> int:
    spoken = profile.stream or profile.messages
    return len(spoken.tests if spoken else profile.tests)


@app.command()
def new(
    kind: Annotated[str, typer.Argument(help="; ".join(catalogue.KINDS))],
    profile_id: Annotated[str, typer.Argument(help="vendor.model, such as acme.relay-8")],
    folder: Annotated[Path, typer.Option(help="Where the file is put")] = Path(),
) -> None:
    """Begin a profile: a small whole file of this kind that passes the check."""
    if kind not in catalogue.KINDS:
        fail(say("no_kind", kind=kind, kinds=", ".join(catalogue.KINDS)))
    file = folder / f"{profile_id}.yaml"
    if file.exists():
        fail(say("profile_there", file=file))
    try:
        file.write_text(scaffold(kind, profile_id), encoding="utf-8")
        load_profile(file)
    except (ValueError, OSError) as error:
        file.unlink(missing_ok=True)
        fail(str(error))
    typer.echo(say("profile_written", file=file))


@app.command("listing")
def listing_() -> None:
    """Print all points and actions of all profiles, as tests/device_profiles/listing.txt holds them."""
    typer.echo(listing(Catalog.built_in().profiles.values()), nl=False)


@app.command()
def docs() -> None:
    """Print the page of all boards, as docs/catalogue.md holds it."""
    typer.echo(catalogue.page(Catalog.built_in().profiles.values()), nl=False)


@app.command()
def schema() -> None:
    """Print the JSON Schema for editors, as device_profiles/profile.schema.json holds it."""
    typer.echo(json_schema.as_text(), nl=False)
