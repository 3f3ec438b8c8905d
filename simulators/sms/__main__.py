"""``python -m simulators.sms``: run the gateway."""

from __future__ import annotations

from typing import Annotated

import typer
import uvicorn

from simulators.sms.app import Gateway, create_app


def main(
    key: Annotated[str, typer.Option(envvar="KAIMEN_SMS_KEY", help="The shared key.")],
    host: Annotated[str, typer.Option()] = "127.0.0.1",
    port: Annotated[int, typer.Option()] = 8030,
) -> None:
    """Serve until interrupted."""
    uvicorn.run(create_app(Gateway(key)), host=host, port=port, log_level="warning")


if __name__ == "__main__":
    typer.run(main)
