"""``python -m simulators.unionpay --port 8023 --state DIR``: run the gateway until it is told to stop.

At the first start it opens an account and writes its credentials to ``DIR/account.json``, in the form
in which the cloud stores them, and the admin token to ``DIR/admin_token``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
import uvicorn

from simulators.unionpay.app import create_app
from simulators.unionpay.desk import Desk


def main(
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8023,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    state: Annotated[Path | None, typer.Option(help="Folder for the books; none: memory.")] = None,
    public_url: Annotated[str, typer.Option(help="Where payers reach the page.")] = "",
    merchant: Annotated[str, typer.Option(help="Number of the account.")] = "777290058110097",
    time_factor: Annotated[float, typer.Option(help="Shortens the ladder of callbacks.")] = 10.0,
) -> None:
    """Run the gateway."""
    url = public_url or f"http://127.0.0.1:{port}"
    app = create_app(state, public_url=url, time_factor=time_factor)
    if state is not None:
        _write_account(app.state.desk, state, merchant, url)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)


def _write_account(desk: Desk, state: Path, merchant: str, base_url: str) -> None:
    """The account's credentials; the address follows this start, the keys stay."""
    file = state / "account.json"
    if file.exists():
        account = {**json.loads(file.read_text()), "base_url": base_url, "file_url": base_url}
    else:
        account = desk.new_account(merchant, "雀友会", base_url)
    for path, text in (
        (file, json.dumps(account, indent=2)),
        (state / "admin_token", desk.admin_token),
    ):
        path.touch(mode=0o600)
        path.write_text(text)


if __name__ == "__main__":
    typer.run(main)
