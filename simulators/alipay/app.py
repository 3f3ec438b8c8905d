"""The simulator of Alipay as an ASGI app: ``create_app(state_dir | None, …)``."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI

from simulators.alipay import api, oauth
from simulators.alipay.house import AlipayDesk
from simulators.alipay.voice import voice
from simulators.counter.app import build
from store_link.clock import Clock


def create_app(
    state_dir: Path | None = None,
    *,
    public_url: str,
    admin_token: str | None = None,
    business: Clock | None = None,
    wire: Clock | None = None,
) -> FastAPI:
    """``public_url`` is where payers and merchants reach it."""
    desk = AlipayDesk(
        state_dir, public_url=public_url, admin_token=admin_token, business=business, wire=wire
    )
    app = build(desk, voice(desk), api.router)
    app.include_router(oauth.router)
    return app
