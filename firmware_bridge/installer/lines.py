"""One line asked by hand: a bus without a bridge, for programs that look around on it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from device_profiles.profile import Profile, Settings
from firmware_bridge.board import Board
from firmware_bridge.bus import Bus, Exchange, Job
from firmware_bridge.contract import BoardConfig, Priority
from firmware_bridge.protocols.modbus_rtu import Request, read, unpack_bits, unpack_words
from firmware_bridge.reach import bus_to


@dataclass(slots=True)
class Line:
    """Asks one question after the other."""

    bus: Bus

    def ask(self, request: Request, timeout_s: float, *, attempts: int = 1) -> Exchange:
        """The exchange of ``request``; never raises."""
        wait_s = timeout_s * attempts + 30
        job = Job(
            request,
            Priority.CONFIRM,
            time.monotonic() + wait_s,
            timeout_s,
            gap_s=max(0.005, 40 / (self.bus.settings.baud or 1_000_000)),
            attempts=attempts,
        )
        return self.bus.submit(job).result(wait_s + 10)


@contextmanager
def line(where: str, settings: Settings) -> Iterator[Line]:
    """The line at ``where``, closed afterwards. Raises ProfileError for an address that is none."""
    bus = bus_to(where, settings, time.monotonic)
    bus.start()
    try:
        yield Line(bus)
    finally:
        bus.stop()


def board(profile: Profile, config: BoardConfig) -> Board:
    """The requests of one board."""
    return Board(config, profile)


def drift(
    asked: Line, profile: Profile, unit: int, timeout_s: float
) -> Iterator[tuple[str, int, int]]:
    """What is set otherwise than the profile wants it: what it is, how it is, how it should be."""
    for step in profile.setup:
        exchange = asked.ask(read(unit, step.table, step.address, 1), timeout_s, attempts=2)
        if exchange.result != "answered":
            continue
        bits = step.table == "coil"
        found = int(unpack_bits(exchange.data, 1)[0]) if bits else unpack_words(exchange.data)[0]
        if found != step.value:
            yield step.what, found, step.value
