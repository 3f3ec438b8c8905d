"""A simulator as an ASGI app, from its desk, its voice and its own API."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import APIRouter, FastAPI
from fastapi.staticfiles import StaticFiles

from simulators.counter import admin, pages
from simulators.counter.desk import Desk
from simulators.counter.messenger import Messenger, Voice


def build(desk: Desk, voice: Voice, api: APIRouter) -> FastAPI:
    """The app; its messenger runs as long as it does. ``app.state.desk`` gives tests the knobs."""
    messenger = Messenger(desk.book, desk.knobs, voice)

    @asynccontextmanager
    async def life(_app: FastAPI) -> AsyncIterator[None]:
        sender = asyncio.create_task(messenger.run())
        yield
        sender.cancel()
        with suppress(asyncio.CancelledError):
            await sender
        desk.book.close()

    app = FastAPI(title=desk.name, lifespan=life, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = desk
    app.state.messenger = messenger
    app.include_router(api)
    app.include_router(pages.router)
    app.include_router(admin.router)
    app.mount("/static", StaticFiles(directory=pages.STATIC))

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok"}

    return app
