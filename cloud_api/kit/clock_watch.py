"""A process whose clock was set while it ran: until the database's clock says that this was right, it writes
nothing and does nothing that is due.

Leases, expiries, holds and stays are all judged by a process's own clock. One that was set an hour ahead
takes every lease of the others, ends holds and stays before their time, and sends commands from the future;
one that was set back sends commands that are over. A jump is seen without asking anybody: the wall's clock
and the machine's count of seconds part. Whether it was right (NTP that mended a wrong clock, a machine that
slept) only another clock knows: the database's, which all processes share. SQLite has none.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from store_link.clock import Clock

log = structlog.get_logger(__name__)

CLOCK_S: Final = 2.0  # so far a machine's clock may be off: leases are 4 s, an unlock lives for 10
LOOK_EVERY_S: Final = 5.0
ASTRAY_EVERY_S: Final = 1.0


class ClockWatch:
    """Whether this process's clock goes as it did when it was last found right."""

    def __init__(self, wire: Clock) -> None:
        self._wire = wire
        self._apart = self.stands

    @property
    def stands(self) -> float:
        """Where the clock stands beside seconds that only grow: it changes by jumps alone."""
        return self._wire.now().timestamp() - self._wire.monotonic()

    @property
    def astray(self) -> bool:
        """Whether it jumped, and nobody has said that this was right."""
        return abs(self.stands - self._apart) > CLOCK_S

    def believe(self, stood: float | None = None) -> None:
        """It is right as it stands, or as it ``stood``."""
        self._apart = self.stands if stood is None else stood

    def refuse(self) -> None:
        """Raises KaimenError ``clock`` while the clock is astray: nothing was done."""
        if self.astray:
            raise KaimenError(
                "clock",
                "服务器的时间刚刚跳了，正在恢复，请过几秒再试一次",
                status=503,
                extra={"retry_after": 2},
            )


async def off_by(clocks: Clocks, connection: AsyncConnection) -> float:
    """Seconds by which PostgreSQL's clock is ahead of ours, at least; 0.0 where it cannot be told apart."""
    asked = clocks.real
    theirs = (await connection.execute(text("SELECT clock_timestamp()"))).scalar_one()
    heard = clocks.real
    if asked <= theirs <= heard:
        return 0.0
    return float((theirs - (heard if theirs > heard else asked)).total_seconds())


async def run(cloud: Cloud, stop: asyncio.Event) -> None:
    """Compare our clock with the database's until ``stop``; for PostgreSQL."""
    cloud.db.clock = watch = ClockWatch(cloud.clocks.wire)
    while not stop.is_set():
        was = watch.astray
        await look(cloud, watch)
        if watch.astray and not was:
            log.error(
                "clock_jumped", what="this process writes nothing until it is right: switch on NTP"
            )
        try:
            async with asyncio.timeout(ASTRAY_EVERY_S if watch.astray else LOOK_EVERY_S):
                await stop.wait()
        except TimeoutError:
            continue


async def look(cloud: Cloud, watch: ClockWatch) -> None:
    """Believe our clock where the database's agrees; one that cannot be asked says nothing.

    A clock that jumps while the database is asked was an hour short of its answer and is an hour beyond: that
    seems to agree, and says nothing either.
    """
    stood = watch.stands
    try:
        async with cloud.db.read() as session:
            off = await off_by(cloud.clocks, await session.connection())
    except (SQLAlchemyError, OSError):
        return
    if abs(off) <= CLOCK_S and abs(watch.stands - stood) <= CLOCK_S:
        watch.believe(stood)
