"""This Stripe as an ASGI app: ``create_app(state_dir | None, …)``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from simulators.stripe import admin, api, pages
from simulators.stripe.desk import Desk
from simulators.stripe.messenger import Messenger

DEFAULT_URL = "http://127.0.0.1:8024"


def create_app(
    state_dir: Path | None = None,
    *,
    public_url: str = DEFAULT_URL,
    admin_token: str | None = None,
    time_factor: float = 1.0,
    now: Callable[[], float] = time.time,
) -> FastAPI:
    """A Stripe whose books are in ``state_dir``, or in memory without one."""
    desk = Desk(
        state_dir,
        public_url=public_url,
        admin_token=admin_token,
        time_factor=time_factor,
        now=now,
    )

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        sender = asyncio.create_task(Messenger(desk).run())
        yield
        sender.cancel()
        with suppress(asyncio.CancelledError):
            await sender
        desk.book.close()

    app = FastAPI(title="Stripe", lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    for router in (api.router, pages.router, admin.router):
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app
