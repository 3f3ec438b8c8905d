"""What one process announces the others hear at once, also after the connection broke; nobody hears itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial

from sqlalchemy import text

from cloud_api.kit.database import Database, announce_after_commit
from cloud_api.kit.wakeups import Wakeups
from tests.support.haste import least

DEADLINE_S = 20


class Process:
    """A database handle with its wake-ups, as one process has it, and what it heard."""

    def __init__(self, url: str) -> None:
        self.db = Database(url)
        self.wakeups = Wakeups(self.db)
        self.heard: list[tuple[str, float]] = []
        self.db.listen("doors", lambda key: self.heard.append((key, time.monotonic())))
        self.stop = asyncio.Event()

    async def until(self, good: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S):
            while not good():
                await asyncio.sleep(0.002)

    def told(self) -> list[str]:
        return [key for key, _ in self.heard if key]


@asynccontextmanager
async def processes(url: str, count: int) -> AsyncIterator[list[Process]]:
    made = [Process(url) for _ in range(count)]
    tasks = [asyncio.create_task(one.wakeups.run(one.stop)) for one in made]
    try:
        for one in made:
            await asyncio.wait_for(one.wakeups.up.wait(), DEADLINE_S)
        yield made
    finally:
        for one in made:
            one.stop.set()
        await asyncio.gather(*tasks)
        for one in made:
            await one.db.close()


def heard(process: Process, key: str) -> bool:
    return key in process.told()


async def commit(process: Process, key: str) -> float:
    """Announce ``key`` with a commit; when that was."""
    async with process.db.write() as session:
        await session.execute(text("SELECT 1"))
        announce_after_commit(session, "doors", key)
    return time.monotonic()


async def test_a_commit_here_wakes_listeners_there(pg_url: str):
    """The whole way is a few milliseconds; looking would take 250 on average."""
    async with processes(pg_url, 3) as (here, *others):
        keys: list[str] = []

        async def usual() -> float:
            waits = []
            for _ in range(30):
                keys.append(f"k{len(keys)}")
                at = await commit(here, keys[-1])
                for one in others:
                    await one.until(partial(heard, one, keys[-1]))
                    waits.append(one.heard[-1][1] - at)
            waits.sort()
            print(f"\nwoken after p50 {waits[30] * 1000:.1f} ms, slowest {waits[-1] * 1000:.1f} ms")
            return waits[len(waits) // 2]

        assert await least(usual, 0.1) < 0.1
        assert here.told() == keys, "itself: once, not twice"


async def test_nothing_is_told_of_a_transaction_that_rolled_back(pg_url: str):
    async with processes(pg_url, 2) as (here, there):
        try:
            async with here.db.write() as session:
                announce_after_commit(session, "doors", "never")
                raise LookupError
        except LookupError:
            pass
        await commit(here, "after")
        await there.until(lambda: "after" in there.told())
        assert there.told() == ["after"]
        assert here.told() == ["after"]


async def test_a_burst_becomes_few_messages_and_loses_none(pg_url: str):
    """Keys are gathered; what does not fit into PostgreSQL's 8,000 bytes goes in several."""
    wanted = {f"{number:04d}" + "x" * 60 for number in range(500)}
    async with processes(pg_url, 2) as (here, there):
        for key in wanted:
            here.db.announce("doors", key)
        await there.until(lambda: set(there.told()) >= wanted)
        assert len(there.told()) == len(wanted)


async def test_a_broken_connection_comes_back_and_everybody_looks(pg_url: str):
    """What was told in between is lost: so every listener is woken once it is back."""
    async with processes(pg_url, 2) as (here, there):
        there.heard.clear()
        there.wakeups.up.clear()
        async with here.db.write() as session:
            await session.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE"
                    " datname = current_database() AND query LIKE 'LISTEN%'"
                )
            )
        await asyncio.wait_for(there.wakeups.up.wait(), DEADLINE_S)
        assert [key for key, _ in there.heard] == [""]
        await asyncio.wait_for(here.wakeups.up.wait(), DEADLINE_S)
        await commit(here, "again")
        await there.until(lambda: "again" in there.told())


async def test_without_wakeups_this_process_hears_itself(sqlite_url: str):
    """SQLite has one process: nothing is started, and announcements stay within."""
    one = Process(sqlite_url)
    one.db.announce("doors", "k")
    assert one.told() == ["k"]
    await one.db.close()
