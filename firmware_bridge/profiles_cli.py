"""``kaimen-bridge profiles``: the boards that are known, and what is needed to add one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from device_profiles import Catalog, Profile, ProfileError, catalogue, json_schema, load_profile
from device_profiles.listing import describe, listing
from device_profiles.scaffold import scaffold

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
        _fail(f"There is no kind {kind!r}; there are {', '.join(catalogue.KINDS)}.")
    found = [
        profile
        for profile in Catalog.built_in().profiles.values()
        if kind in ("", profile.kind) and (not serves or profile.channels(serves))
    ]
    if not found:
        _fail(f"No board serves {serves!r}{f' among {kind}' if kind else ''}.")
    for name, title in catalogue.KINDS.items():
        of_kind = [profile for profile in found if profile.kind == name]
        if of_kind:
            typer.echo(f"{title} ({name})")
        for profile in of_kind:
            model = f"{profile.vendor} {profile.model}"
            typer.echo(f"  {profile.id:34} {model}  (verified: {profile.verified})")


@app.command()
def show(profile_id: str) -> None:
    """Show what a board does, all repeats and bases written out, and how it is wired."""
    try:
        profile = Catalog.built_in()[profile_id]
    except ProfileError as error:
        _fail(str(error))
    typer.echo(describe(profile), nl=False)
    typer.echo()
    typer.echo(catalogue.wiring(profile), nl=False)


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
            typer.echo(f"{file.name}: good, {len(profile.points)} points, {_tests(profile)} tests")
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
        _fail(f"There is no kind {kind!r}; there are {', '.join(catalogue.KINDS)}.")
    file = folder / f"{profile_id}.yaml"
    if file.exists():
        _fail(f"{file} is there already; nothing was written.")
    try:
        file.write_text(scaffold(kind, profile_id), encoding="utf-8")
        load_profile(file)
    except (ValueError, OSError) as error:
        file.unlink(missing_ok=True)
        _fail(str(error))
    typer.echo(
        f"{file} is written. Put the maker's numbers in, then: kaimen-bridge profiles check {file}"
    )


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


def _fail(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
