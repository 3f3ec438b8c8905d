"""Apps of tests on a port: up in milliseconds, gone in milliseconds.

uvicorn looks for its end ten times a second and waits a tenth of a second more for its connections,
which is nothing for a server and half the time of a test that needs two of them.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import uvicorn

SOON = 0.005  # seconds between two looks
PATIENCE = 30.0


class QuickServer(uvicorn.Server):
    """uvicorn that hears of its end at once."""

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._asked = asyncio.Event()
        ticks = 0
        while not await self.on_tick(ticks):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._asked.wait(), 1)
            ticks += 10

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for listener in self.servers:
            listener.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        patience = time.monotonic() + (self.config.timeout_graceful_shutdown or 10)
        while self._busy and not self.force_exit and time.monotonic() < patience:
            await asyncio.sleep(SOON)
        for task in self.server_state.tasks:
            task.cancel()
        if not self.force_exit:
            await self.lifespan.shutdown()

    @property
    def _busy(self) -> bool:
        return bool(self.server_state.connections or self.server_state.tasks)

    def stop(self, *, force: bool = False) -> None:
        """Let it end, from any thread; ``force``: without waiting for those it speaks with."""
        self.should_exit = True
        self.force_exit = force
        with suppress(RuntimeError):  # it has ended by itself
            self._loop.call_soon_threadsafe(self._asked.set)


def server_of(app: Any, port: int, **config: Any) -> QuickServer:
    """A server of ``app`` at ``port`` that is not running yet."""
    config = {"log_level": "error", "timeout_graceful_shutdown": 1, **config}
    return QuickServer(uvicorn.Config(app, host="127.0.0.1", port=port, **config))


@contextmanager
def served_aside(app: Any, port: int, **config: Any) -> Iterator[None]:
    """``app`` at ``port`` in a thread of its own until the block ends."""
    server = server_of(app, port, **config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    patience = time.monotonic() + PATIENCE
    while not server.started:
        if time.monotonic() > patience or not thread.is_alive():
            raise RuntimeError(f"the app at port {port} did not start")
        time.sleep(SOON)
    try:
        yield
    finally:
        server.stop()
        thread.join(10)


@asynccontextmanager
async def served_here(
    app: Any, port: int, *, force: bool = False, **config: Any
) -> AsyncIterator[None]:
    """``app`` at ``port`` in the running loop until the block ends."""
    server = server_of(app, port, **config)
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            raise RuntimeError(f"the app at port {port} did not start")
        await asyncio.sleep(SOON)
    try:
        yield
    finally:
        server.stop(force=force)
        await task
