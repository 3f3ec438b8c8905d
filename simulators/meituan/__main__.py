"""``python -m simulators.meituan --port 8032 --state DIR``: run it until it is told to stop.

``DIR/account.json`` are the merchant's credentials as the cloud stores them, ``DIR/admin_token`` is what
``/admin`` wants. ``/`` sells vouchers for demonstrations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from simulators.counter.serving import serve
from simulators.meituan.app import create_app


def main(
    state: Annotated[Path, typer.Option(help="Folder for the credentials.")],
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8032,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    public_url: Annotated[str, typer.Option(help="Where the page is reached.")] = "",
    clock_file: Annotated[Path | None, typer.Option(help="The business clock's offset.")] = None,
) -> None:
    """Run the simulator."""
    serve(create_app, state, port, host, public_url, clock_file)


if __name__ == "__main__":
    typer.run(main)
