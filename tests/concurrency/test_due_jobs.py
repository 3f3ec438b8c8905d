"""Several workers, one job: it is done once; a worker that dies leaves it to the next."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from cloud_api.kit import due_jobs
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import DueJob
from store_link.clock import ManualClock


@pytest.fixture(autouse=True)
def _only_our_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_jobs, "_handlers", {})


async def test_four_workers_do_a_hundred_jobs_once_each(cloud: Cloud) -> None:
    done: Counter[str] = Counter()

    async def work(_cloud: Cloud, job: DueJob) -> None:
        await asyncio.sleep(0)
        done[job.ref] += 1

    due_jobs.register("race", work)
    async with cloud.db.write() as session:
        for i in range(100):
            await due_jobs.schedule(
                session, merchant_id="m", kind="race", ref=str(i), run_at=cloud.clocks.now
            )
    workers = [replace(cloud, holder=f"w{i}") for i in range(4)]
    while any(await asyncio.gather(*(due_jobs.run_due(worker) for worker in workers))):
        pass
    assert done == Counter({str(i): 1 for i in range(100)})


async def test_a_lease_that_runs_out_is_taken_over(cloud: Cloud, wire: ManualClock) -> None:
    """A worker was killed in the middle: its job is done by another after the lease."""
    done: list[str] = []

    async def work(_cloud: Cloud, job: DueJob) -> None:
        done.append(job.ref)

    due_jobs.register("orphan", work)
    async with cloud.db.write() as session:
        await due_jobs.schedule(
            session, merchant_id="m", kind="orphan", ref="1", run_at=cloud.clocks.now
        )
    taken = await due_jobs._lease(cloud, limit=1)  # and then killed
    assert len(taken) == 1
    assert await due_jobs.run_due(cloud) == 0
    wire.pass_time(due_jobs.LEASE_S + 1)
    assert await due_jobs.run_due(cloud) == 1
    assert done == ["1"]
    await due_jobs._finish(
        cloud, taken[0], done_at=None
    )  # the dead one comes back: it is fenced off
    async with cloud.db.read() as session:
        assert (await session.get_one(DueJob, taken[0].id)).done_at is not None
