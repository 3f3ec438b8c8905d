"""Requests of this process that wait for a store's answer to a command."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class Waiting:
    """Who waits for a command: the future, and what is known of it without a look at the database."""

    future: asyncio.Future[dict[str, Any]]
    command: Any = None  # as it was written, where this process wrote it
    sent_at: datetime | None = None  # wire time at which this process published it
    accepted_at: datetime | None = None  # and at which the store said that it acts
    key: Any = None  # what its store sealed with when it was written


class Waiters:
    """Futures by command id. ``instance`` is this process's name on the wire (``up/ack/{instance}``)."""

    def __init__(self, instance: str) -> None:
        self.instance = instance
        self._waiting: dict[str, Waiting] = {}

    def expect(self, command_id: str, command: Any = None) -> asyncio.Future[dict[str, Any]]:
        """Register before the command is sent; several waiters of one command share a future.

        ``command``: its row, where it was written a moment ago and for this waiter.
        """
        known = self._waiting.get(command_id)
        if known is None or known.future.done():
            known = Waiting(asyncio.get_running_loop().create_future())
            self._waiting[command_id] = known
        if command is not None:
            known.command = command
        return known.future

    def waiting(self, command_id: str) -> Waiting | None:
        """Who waits for a command in this process."""
        return self._waiting.get(command_id)

    def sent(self, command_id: str, at: datetime, key: Any = None) -> None:
        """This process publishes it now; ``at`` is wire time. ``key``: what its answer is sealed with."""
        if (known := self._waiting.get(command_id)) is not None:
            known.sent_at, known.key = at, key

    def key_of(self, store_id: str) -> Any:
        """The key of a store for whose answer somebody waits here; None where it is not known."""
        for known in reversed(self._waiting.values()):  # the newest: keys may change
            if known.key is not None and getattr(known.command, "store_id", None) == store_id:
                return known.key
        return None

    def accepted(self, command_id: str, at: datetime) -> None:
        """The store has it and acts; ``at`` is wire time."""
        if (known := self._waiting.get(command_id)) is not None:
            known.accepted_at = at

    def resolve(self, command_id: str, answer: dict[str, Any]) -> None:
        """A final answer came; nobody waiting is fine."""
        known = self._waiting.pop(command_id, None)
        if known is not None and not known.future.done():
            known.future.set_result(answer)

    def forget(self, command_id: str) -> None:
        """Stop waiting."""
        self._waiting.pop(command_id, None)
