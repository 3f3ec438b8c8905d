"""How an installer's program ends badly: in words, with an exit code."""

from __future__ import annotations

from typing import NoReturn

import typer


def fail(message: str, *more: str) -> NoReturn:
    """Say what is wrong, and what to look at; end with 1."""
    for line in (message, *more):
        typer.echo(line, err=True)
    raise typer.Exit(1)
