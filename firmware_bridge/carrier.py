"""What carries commands to a spoken device and brings back what it says: frames, MQTT or HTTP.

Rules that hold for every carrier: a command that is ``once`` in its profile is sent at most once, and
nothing is kept for later, neither here nor in a library nor in a broker. What cannot be sent now ends as
``port_gone`` or ``expired`` with ``sent`` 0: then it certainly did not happen.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from device_profiles.profile import Profile, Settings
from device_profiles.spoken import Scalar
from firmware_bridge.bus import Exchange
from firmware_bridge.contract import BoardConfig, Priority


@dataclass(frozen=True, slots=True)
class SpokenDevice:
    """An installed device that is spoken to in commands: its configuration with its profile."""

    config: BoardConfig
    profile: Profile
    settings: Settings


@dataclass(frozen=True, slots=True)
class Told:
    """What became of a command. ``fields`` is what the answer holds: a frame's fields, or a document."""

    exchange: Exchange
    fields: Any = None


class Ears(Protocol):
    """Who listens to a carrier; called on the event loop."""

    def said(self, report: str, document: Any, *, retained: bool) -> None:
        """The device said a report of its profile unasked."""
        ...

    def line(self, text: str) -> None:
        """A line of text came from a device of lines."""
        ...

    def frame(self, data: bytes) -> None:
        """A frame that nobody had asked for came."""
        ...

    def there(self, is_there: bool, why: str) -> None:
        """The way to the device is open, or not and why."""
        ...


class Carrier(Protocol):
    """The way to one device. All methods are called on the event loop."""

    async def start(self, ears: Ears) -> None:
        """Open the way; what is missing is retried, not raised."""
        ...

    async def stop(self) -> None:
        """Close it; sends nothing."""
        ...

    async def ask(
        self,
        command: str,
        params: Mapping[str, Scalar],
        priority: Priority,
        deadline: float,
        *,
        attempts: int = 1,
    ) -> Told:
        """Send a command of the profile and wait for its answer; one marked ``once`` is sent once."""
        ...


class Turn:
    """One at a time, the most urgent first; never two at once on one device."""

    def __init__(self) -> None:
        self._busy = False
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    @asynccontextmanager
    async def of(self, priority: Priority) -> AsyncIterator[None]:
        """Wait for the turn, hold it, pass it on."""
        if self._busy:
            ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (priority, next(self._order), ready))
            try:
                await ready
            except asyncio.CancelledError:
                if ready.done() and not ready.cancelled():
                    self._pass_on()
                raise
        self._busy = True
        try:
            yield
        finally:
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            ready = heapq.heappop(self._waiting)[2]
            if not ready.done():
                ready.set_result(None)
                return
        self._busy = False


async def tried(
    once: bool, attempts: int, may: Callable[[], bool], attempt: Callable[[], Awaitable[Told]]
) -> Told:
    """``attempt`` until it is answered, up to ``attempts`` times while ``may`` allows; once for a
    command that acts.
    """
    number = 0
    while True:
        number += 1
        told = await attempt()
        lost = told.exchange.result in ("no_answer", "bad_frame") or (
            told.exchange.result == "port_gone" and told.exchange.sent > 0
        )
        if not lost or once or number >= attempts or not may():
            return told
