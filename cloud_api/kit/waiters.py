"""Requests of this process that wait for a store's answer to a command."""

from __future__ import annotations

import asyncio
from typing import Any


class Waiters:
    """Futures by command id. ``instance`` is this process's name on the wire (``up/ack/{instance}``)."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def expect(self, command_id: str) -> asyncio.Future[dict[str, Any]]:
        """Register before the command is sent; several waiters of one command share a future."""
        future = self._waiting.get(command_id)
        if future is None or future.done():
            future = asyncio.get_running_loop().create_future()
            self._waiting[command_id] = future
        return future

    def resolve(self, command_id: str, answer: dict[str, Any]) -> None:
        """A final answer came; nobody waiting is fine."""
        future = self._waiting.pop(command_id, None)
        if future is not None and not future.done():
            future.set_result(answer)

    def forget(self, command_id: str) -> None:
        """Stop waiting."""
        self._waiting.pop(command_id, None)
