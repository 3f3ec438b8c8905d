"""Due jobs run once, however many workers look for them."""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.crypto import Vault, use_vault
from cloud_api.kit.database import Database
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.wakeups import Wakeups
from tests.cloud_api.databases import make_schema
from tests.processes.counting_worker import KIND
from tests.support.guard import GuardedProcess

pytestmark = pytest.mark.xdist_group("cluster")

JOBS = 100


async def _scheduled_and_run(url: str) -> tuple[Counter[str], set[str], float]:
    """Schedule all in one commit; who ran what, and the seconds until the first one ran."""
    db, clocks, stop = Database(url), Clocks.of(None), asyncio.Event()
    wakeups = Wakeups(db)
    telling = asyncio.create_task(wakeups.run(stop))
    await asyncio.wait_for(wakeups.up.wait(), 20)
    try:
        await asyncio.sleep(1.5)  # both workers have looked and found nothing
        async with db.write() as session:
            for number in range(JOBS):
                await schedule(
                    session, merchant_id="m", kind=KIND, ref=f"job {number}", run_at=clocks.now
                )
        began, first = time.monotonic(), 0.0
        deadline = began + 30
        while time.monotonic() < deadline:
            async with db.read() as session:
                rows = (await session.execute(text("SELECT ref, holder FROM counted"))).all()
                left = await session.scalar(
                    text("SELECT count(*) FROM due_job WHERE done_at IS NULL")
                )
            first = first or (time.monotonic() - began if rows else 0.0)
            if not left:
                break
            await asyncio.sleep(0.02)
        await asyncio.sleep(0.3)  # what runs a second time would end now
        async with db.read() as session:
            rows = (await session.execute(text("SELECT ref, holder FROM counted"))).all()
        return Counter(row.ref for row in rows), {row.holder for row in rows}, first
    finally:
        stop.set()
        await telling
        await db.close()


def run(url: str, folder: Path, how: str) -> tuple[Counter[str], set[str], float]:
    """Two workers, 200 jobs."""
    use_vault(Vault([bytes(32)]))
    make_schema(url)

    async def table() -> None:
        db = Database(url)
        async with db.write() as session:
            await session.execute(text("CREATE TABLE counted (ref text, holder text)"))
        await db.close()

    asyncio.run(table())
    os.environ["KAIMEN_DATABASE_URL"] = url
    os.environ["KAIMEN_SECRETS"] = secrets.token_hex(32)
    command = [sys.executable, "-m", "tests.processes.counting_worker", how]
    workers = [GuardedProcess(command, log=folder / f"{how}-{n}.log") for n in range(2)]
    try:
        deadline = time.monotonic() + 30

        async def listening() -> int:
            db = Database(url)
            async with db.read() as session:
                found = await session.scalar(
                    text(
                        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                        " AND query ILIKE 'LISTEN%'"
                    )
                )
            await db.close()
            return int(found or 0)

        while asyncio.run(listening()) < 2:
            assert all(one.running for one in workers), workers[0].tail() + workers[1].tail()
            assert time.monotonic() < deadline, "the workers do not listen"
            time.sleep(0.1)  # looking is work that the workers would do
        return asyncio.run(_scheduled_and_run(url))
    finally:
        for one in workers:
            one.stop()


@pytest.fixture
def settings_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``run`` sets in the environment is taken out afterwards."""
    monkeypatch.setenv("KAIMEN_DATABASE_URL", "")
    monkeypatch.setenv("KAIMEN_SECRETS", "")


@pytest.mark.usefixtures("settings_back")
def test_each_job_runs_once_under_two_workers(make_pg_database: Callable[..., str], tmp_path: Path):
    ran, holders, first = run(make_pg_database(), tmp_path, "lease")
    print(f"\nthe first job ran {first * 1000:.0f} ms after the commit in another process")
    assert len(ran) == JOBS
    assert [ref for ref, times in ran.items() if times != 1] == []
    assert len(holders) == 2, "one worker did it all: nothing was raced for"
    assert first < 0.9, "nobody was woken: they looked"


@pytest.mark.usefixtures("settings_back")
def test_without_the_lease_jobs_run_twice(make_pg_database: Callable[..., str], tmp_path: Path):
    """The negative control: the same race, seen by the same counting."""
    ran, _, _ = run(make_pg_database(), tmp_path, "no-lease")
    assert [ref for ref, times in ran.items() if times > 1] != [], ran
