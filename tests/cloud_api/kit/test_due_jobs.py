"""Jobs: in the transaction of their cause, on their clock, retried, put off, buried, never doubled."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import pytest
from sqlmodel import select

from cloud_api.kit import due_jobs
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import DueJob
from store_link.clock import ManualClock


@pytest.fixture(autouse=True)
def _only_our_kinds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_jobs, "_handlers", {})


@pytest.fixture
def done() -> list[str]:
    return []


@pytest.fixture
def note(done: list[str]) -> due_jobs.Handler:
    async def work(_cloud: Cloud, job: DueJob) -> None:
        done.append(job.ref)

    return work


async def _schedule(cloud: Cloud, ref: str, in_s: float = 0, clock: str = "business") -> None:
    async with cloud.db.write() as session:
        await due_jobs.schedule(
            session,
            merchant_id="m",
            kind="k",
            ref=ref,
            run_at=cloud.clocks.now + timedelta(seconds=in_s),
            clock=clock,
        )


async def _job(cloud: Cloud) -> DueJob:
    async with cloud.db.read() as session:
        return (await session.exec(select(DueJob))).one()


async def test_a_job_runs_when_it_is_due_on_its_own_clock(
    cloud: Cloud,
    business: ManualClock,
    wire: ManualClock,
    done: list[str],
    note: due_jobs.Handler,
) -> None:
    due_jobs.register("k", note)
    await _schedule(cloud, "room time", 60)
    await _schedule(cloud, "real time", 60, clock="wire")
    assert await due_jobs.run_due(cloud) == 0
    business.pass_time(60)
    await due_jobs.run_due(cloud)
    assert done == ["room time"]
    wire.pass_time(60)
    await due_jobs.run_due(cloud)
    assert done == ["room time", "real time"]
    assert await due_jobs.run_due(cloud) == 0


async def test_the_same_again_adds_nothing(
    cloud: Cloud, done: list[str], note: due_jobs.Handler
) -> None:
    due_jobs.register("k", note)
    for _ in range(3):
        await _schedule(cloud, "once")
    await due_jobs.run_due(cloud)
    await _schedule(cloud, "once")
    await due_jobs.run_due(cloud)
    assert done == ["once"]


async def test_a_rolled_back_cause_has_no_job(cloud: Cloud, note: due_jobs.Handler) -> None:
    due_jobs.register("k", note)

    async def fall_over() -> None:
        async with cloud.db.write() as session:
            await due_jobs.schedule(
                session, merchant_id="m", kind="k", ref="1", run_at=cloud.clocks.now
            )
            raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await fall_over()
    assert await due_jobs.run_due(cloud) == 0


async def test_failures_are_retried_with_back_off_and_buried(
    cloud: Cloud, wire: ManualClock
) -> None:
    tries: list[int] = []

    async def fail(_cloud: Cloud, job: DueJob) -> None:
        tries.append(job.attempts)
        raise ValueError("no luck")

    due_jobs.register("k", fail)
    async with cloud.db.write() as session:
        await due_jobs.schedule(
            session,
            merchant_id="m",
            kind="k",
            ref="1",
            run_at=cloud.clocks.now,
            max_attempts=3,
        )
    await due_jobs.run_due(cloud)
    assert await due_jobs.run_due(cloud) == 0  # not at once
    for _ in range(10):
        wire.pass_time(due_jobs.BACK_OFF_CAP_S)
        await due_jobs.run_due(cloud)
    assert tries == [1, 2, 3]
    job = await _job(cloud)
    assert job.dead_at is not None
    assert "no luck" in (job.last_error or "")


async def test_again_is_no_failure(cloud: Cloud, wire: ManualClock) -> None:
    seen: list[int] = []

    async def not_yet(_cloud: Cloud, job: DueJob) -> None:
        seen.append(due_jobs.looked(job))
        if len(seen) < 30:
            raise due_jobs.Again(5, "not yet")

    due_jobs.register("k", not_yet)
    await _schedule(cloud, "1")
    for _ in range(31):
        await due_jobs.run_due(cloud)
        assert await due_jobs.run_due(cloud) == 0
        wire.pass_time(5)
    assert seen == list(range(30))
    assert (await _job(cloud)).done_at is not None


async def test_kinds_that_nobody_here_knows_are_left_to_others(cloud: Cloud) -> None:
    await _schedule(cloud, "1")
    assert await due_jobs.run_due(cloud) == 0
    assert (await _job(cloud)).locked_by is None


async def test_a_kind_has_one_handler(note: due_jobs.Handler) -> None:
    async def other(_cloud: Cloud, _job: DueJob) -> None: ...

    due_jobs.register("k", note)
    due_jobs.register("k", note)
    with pytest.raises(ValueError, match="already"):
        due_jobs.register("k", other)


async def test_the_worker_runs_what_was_just_scheduled_before_it_looks_again(
    cloud: Cloud, done: list[str], note: due_jobs.Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_jobs, "LOOK_EVERY_S", 300.0)
    due_jobs.register("k", note)
    stop = asyncio.Event()
    worker = asyncio.create_task(due_jobs.worker_loop(cloud, stop))
    await asyncio.sleep(0.1)  # it has looked and found nothing, and now waits
    begun = time.monotonic()
    await _schedule(cloud, "now")
    while not done and time.monotonic() - begun < 30:  # woken, not found by the next look
        await asyncio.sleep(0.005)
    stop.set()
    await worker
    assert done == ["now"]


async def test_the_worker_notices_a_jump_of_the_business_clock(
    cloud: Cloud, business: ManualClock, done: list[str], note: due_jobs.Handler
) -> None:
    due_jobs.register("k", note)
    await _schedule(cloud, "later", 3600)
    stop = asyncio.Event()
    worker = asyncio.create_task(due_jobs.worker_loop(cloud, stop))
    await asyncio.sleep(0.05)
    business.pass_time(3600)
    begun = time.monotonic()
    while not done and time.monotonic() - begun < 5:
        await asyncio.sleep(0.01)
    stop.set()
    await worker
    assert done == ["later"]


@pytest.mark.parametrize(("renew_s", "taken_by_others"), [(0.0, 0), (1000.0, 1)])
async def test_a_lease_is_renewed_while_its_handler_works(
    cloud: Cloud,
    wire: ManualClock,
    monkeypatch: pytest.MonkeyPatch,
    renew_s: float,
    taken_by_others: int,
) -> None:
    """The second row is the control: without renewal somebody else takes a long job."""
    monkeypatch.setattr(due_jobs, "RENEW_S", renew_s)
    started, finish = asyncio.Event(), asyncio.Event()

    async def long(_cloud: Cloud, _job: DueJob) -> None:
        started.set()
        await finish.wait()

    due_jobs.register("k", long)
    await _schedule(cloud, "long")
    working = asyncio.create_task(due_jobs.run_due(cloud))
    await started.wait()
    until = (await _job(cloud)).locked_until
    wire.pass_time(due_jobs.LEASE_S - 1)
    if renew_s == 0:
        async with asyncio.timeout(10):
            while (await _job(cloud)).locked_until == until:
                await asyncio.sleep(0.01)
    wire.pass_time(2)
    assert len(await due_jobs._lease(cloud, limit=10)) == taken_by_others
    finish.set()
    await working
    assert (await _job(cloud)).done_at is not None or taken_by_others
