"""The cashier as an ASGI app: ``create_app(state_dir | None, …)``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import cache
from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.routing import BaseRoute

from simulators.cashier import admin, api, pages
from simulators.cashier.desk import Desk

DEFAULT_URL = "http://127.0.0.1:8020"


def create_app(
    state_dir: Path | None = None,
    *,
    public_url: str = DEFAULT_URL,
    admin_token: str | None = None,
    time_factor: float = 1.0,
    now: Callable[[], float] = time.time,
) -> FastAPI:
    """A cashier whose books are in ``state_dir``, or in memory without one.

    ``public_url`` is where payers reach its page. ``time_factor`` shortens the ladder of
    notifications. ``app.state.desk`` gives tests its books, knobs and keys.
    """
    desk = Desk(
        state_dir,
        public_url=public_url,
        admin_token=admin_token,
        time_factor=time_factor,
        now=now,
    )

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        sender = asyncio.create_task(desk.messenger.run())
        yield
        sender.cancel()
        with suppress(asyncio.CancelledError):
            await sender
        desk.book.close()

    app = FastAPI(title="收银台", lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    app.router.routes.extend(_routes())
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "cashier_key": desk.public_key}

    return app


@cache
def _routes() -> tuple[BaseRoute, ...]:
    """Worked out once per process, however many cashiers there are in it."""
    whole = APIRouter()
    for module in (api, pages, admin):
        whole.include_router(module.router)
    return tuple(whole.routes)
