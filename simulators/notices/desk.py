"""What all of them share: the messages that arrived, and the faults that were asked for.

A fault is for the next calls: ``http_500`` before anything happened, ``rate_limit`` in the provider's
own words, ``busy`` likewise, ``bad_token``, and ``silent``: the message is taken, the answer never sent.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

SILENCE_S = 60.0


@dataclass(slots=True)
class Desk:
    """One server's state, in memory. ``time`` is Unix seconds."""

    time: Callable[[], float] = time.time
    messages: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    calls: int = 0

    def next_fault(self) -> str:
        """The fault of this call, or nothing."""
        self.calls += 1
        return self.faults.pop(0) if self.faults else ""

    def take(self, **message: Any) -> None:
        """A message was accepted."""
        self.messages.append(message)

    def refuse(self, why: str) -> None:
        """A call was not what it claims to be."""
        self.refused.append(why)


def http_500() -> Response:
    """A server that fell over."""
    return Response("internal error", 500)


async def silence(request: Request) -> Response:
    """Taken, and no answer: until the caller has gone away."""
    for _ in range(int(SILENCE_S * 20)):
        if await request.is_disconnected():
            break
        await asyncio.sleep(0.05)
    return JSONResponse({})
