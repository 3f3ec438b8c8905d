"""Runs a simulator as a program: its app, its account's credentials in a file, its port."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from store_link.clock import BusinessClock, WireClock


def serve(
    create_app: Callable[..., FastAPI],
    state: Path,
    port: int,
    host: str,
    public_url: str,
    clock_file: Path | None,
    **how: Any,
) -> None:
    """Until it is told to stop."""
    state.mkdir(parents=True, exist_ok=True)
    wire = WireClock()
    app = create_app(
        state,
        public_url=public_url or f"http://127.0.0.1:{port}",
        business=BusinessClock(clock_file, wire),
        wire=wire,
        **how,
    )
    desk = app.state.desk
    account = desk.account()  # payers' browsers come to the same address as the merchant's server
    for name, text in (
        ("account.json", json.dumps(account, indent=2)),
        ("admin_token", desk.admin_token),
    ):
        file = state / name
        file.touch(mode=0o600)
        file.write_text(text)
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False)
