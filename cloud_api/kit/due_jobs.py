"""Jobs that are due at a time: scheduled in the transaction of their cause, leased, retried, never lost.

A handler may run again after it has done its work (a crash between its commit and ours), so it must
be idempotent. It opens its own transactions. Raising means "try again later, with back-off";
raising ``Again`` means "not yet" and counts as no failure.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import ColumnElement, and_, delete, or_, update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import announce_after_commit
from cloud_api.kit.ids import new_id
from cloud_api.kit.models import DueJob
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.kit.writing import made

JOBS: Final = "jobs"  # what is announced in this process when a job was scheduled
LEASE_S: Final = 12.0  # what a job waits whose worker was killed; renewed while it is worked on
RENEW_S: Final = 4.0
HANDLER_S: Final = 50.0
LANES: Final = 8  # jobs of one process at the same time; each may wait for a provider
LOOK_EVERY_S: Final = 1.0  # other processes' jobs and jumps of the business clock are seen so late
BACK_OFF_CAP_S: Final = 300.0
KEEP_DONE: Final = timedelta(days=7)

Handler = Callable[[Cloud, DueJob], Awaitable[None]]

_log = structlog.get_logger(__name__)
_handlers: dict[str, Handler] = {}


class Again(Exception):
    """Raised by a handler: not yet; look again after ``after_s`` seconds (wire time)."""

    def __init__(self, after_s: float, why: str = "") -> None:
        super().__init__(why or f"again in {after_s:g} s")
        self.after_s = after_s


def register(kind: str, handler: Handler) -> None:
    """Say who does ``kind``. A process takes only jobs whose kind it knows."""
    known = _handlers.get(kind)
    if known is not None and known is not handler:
        raise ValueError(f"{kind} already has a handler")
    _handlers[kind] = handler


def looked(job: DueJob) -> int:
    """How often the handler of ``job`` has asked to be called again."""
    return int(job.body.get("looked", 0))


def back_off(attempts: int, *, cap_s: float = BACK_OFF_CAP_S) -> float:
    """Seconds until the next try after ``attempts`` tries: doubling, capped, with jitter of a half."""
    return float(min(2 ** min(attempts, 20), cap_s)) * random.uniform(0.5, 1.0)


async def schedule(
    session: AsyncSession,
    *,
    merchant_id: str,
    kind: str,
    ref: str,
    run_at: datetime,
    clock: str = "business",
    body: dict[str, Any] | None = None,
    max_attempts: int = 20,
) -> None:
    """Add a job in the caller's transaction; it runs within milliseconds of ``run_at``.

    ``clock`` says whose time ``run_at`` is. The same kind, ref and run_at again adds nothing.
    """
    if clock not in {"business", "wire"}:
        raise ValueError(f"clock must be business or wire, not {clock!r}")
    values = {
        "id": new_id(),
        "merchant_id": merchant_id,
        "kind": kind,
        "ref": ref,
        "clock": clock,
        "run_at": run_at,
        "body": body or {},
        "attempts": 0,
        "max_attempts": max_attempts,
    }
    await insert_or_ignore(session, DueJob, values)
    announce_after_commit(session, JOBS, kind)


def schedule_first(
    session: AsyncSession, *, merchant_id: str, kind: str, ref: str, run_at: datetime
) -> None:
    """As ``schedule``, where ``ref`` was made in this transaction, so that nobody has scheduled it yet.

    The job is added to the session and written with what else was.
    """
    session.add(made(DueJob, merchant_id=merchant_id, kind=kind, ref=ref, run_at=run_at))
    announce_after_commit(session, JOBS, kind)


async def run_due(cloud: Cloud) -> int:
    """Run what is due now, once; returns how many jobs were tried. For tests and single steps."""
    jobs = await _lease(cloud, limit=100)
    await asyncio.gather(*(_run(cloud, job) for job in jobs))
    return len(jobs)


async def worker_loop(cloud: Cloud, stop: asyncio.Event) -> None:
    """Run jobs as they fall due until ``stop``; wakes on schedules of this process, else each second.

    Jobs in hand at ``stop`` are finished; what they cannot finish is leased again elsewhere.
    """
    woken = asyncio.Event()
    cloud.db.listen(JOBS, lambda _kind: woken.set())
    lanes: set[asyncio.Task[None]] = set()
    swept = 0.0
    while not stop.is_set():
        woken.clear()
        try:
            jobs = await _lease(cloud, limit=LANES - len(lanes)) if len(lanes) < LANES else []
            if cloud.clocks.wire.monotonic() - swept > 600:
                swept = cloud.clocks.wire.monotonic()
                await _sweep(cloud)
        except (SQLAlchemyError, OSError):  # the loop outlives a database that is away
            _log.exception("due_jobs.look_failed")
            jobs = []
        for job in jobs:
            task = asyncio.create_task(_run(cloud, job))
            lanes.add(task)
            task.add_done_callback(lanes.discard)
            task.add_done_callback(lambda _task: woken.set())
        if not jobs:
            await _first(woken, stop, LOOK_EVERY_S)
    if lanes:
        await asyncio.wait(lanes, timeout=HANDLER_S)


async def _first(woken: asyncio.Event, stop: asyncio.Event, seconds: float) -> None:
    waits = [asyncio.create_task(woken.wait()), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


def _due(cloud: Cloud) -> ColumnElement[bool]:
    wire, business = cloud.clocks.real, cloud.clocks.now
    return and_(
        col(DueJob.done_at).is_(None),
        col(DueJob.dead_at).is_(None),
        col(DueJob.kind).in_(sorted(_handlers)),
        or_(col(DueJob.locked_until).is_(None), col(DueJob.locked_until) < wire),
        or_(col(DueJob.not_before).is_(None), col(DueJob.not_before) <= wire),
        or_(
            and_(col(DueJob.clock) == "business", col(DueJob.run_at) <= business),
            and_(col(DueJob.clock) == "wire", col(DueJob.run_at) <= wire),
        ),
    )


async def _lease(cloud: Cloud, limit: int) -> list[DueJob]:
    """Take up to ``limit`` due jobs. Looks with a read first: an idle worker takes no write lock."""
    if cloud.astray:
        return []
    due = select(col(DueJob.id)).where(_due(cloud)).order_by(col(DueJob.run_at)).limit(limit)
    async with cloud.db.read() as session:
        if (await session.exec(due.limit(1))).first() is None:
            return []
    token = f"{cloud.holder}:{new_id()}"
    async with cloud.db.write() as session:
        ids = (await session.exec(due.with_for_update(skip_locked=True))).all()
        taken = await session.exec(
            update(DueJob)
            .where(col(DueJob.id).in_(ids))
            .values(
                locked_by=token,
                locked_until=cloud.clocks.real + timedelta(seconds=LEASE_S),
                attempts=col(DueJob.attempts) + 1,
            )
            .returning(DueJob)
            .execution_options(synchronize_session=False)
        )
        jobs = list(taken.scalars().all())
    return sorted(jobs, key=lambda job: job.run_at)


async def _run(cloud: Cloud, job: DueJob) -> None:
    log = _log.bind(kind=job.kind, ref=job.ref, attempts=job.attempts)
    try:
        async with _kept(cloud, job), asyncio.timeout(HANDLER_S):
            await _handlers[job.kind](cloud, job)
    except Again as again:
        log.debug("due_job.again", after_s=again.after_s, why=str(again))
        await _put_back(
            cloud,
            job,
            after_s=again.after_s,
            last_error=str(again),
            attempts=job.attempts - 1,
            body={**job.body, "looked": looked(job) + 1},
        )
    except Exception as error:
        final = job.attempts >= job.max_attempts
        log.error("due_job.dead" if final else "due_job.failed", error=repr(error), exc_info=True)  # noqa: G201  one of two events
        if final:
            await _finish(cloud, job, dead_at=cloud.clocks.real, last_error=repr(error)[:500])
        else:
            await _put_back(
                cloud, job, after_s=back_off(job.attempts), last_error=repr(error)[:500]
            )
    else:
        await _finish(cloud, job, done_at=cloud.clocks.real, last_error=None)


@asynccontextmanager
async def _kept(cloud: Cloud, job: DueJob) -> AsyncIterator[None]:
    """The lease is renewed while the handler works, which is mostly over before the first time."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            until = cloud.clocks.real + timedelta(seconds=LEASE_S)
            await _finish(cloud, job, locked_by=job.locked_by, locked_until=until)

    renewing = asyncio.create_task(renew())
    try:
        yield
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)


async def _put_back(cloud: Cloud, job: DueJob, *, after_s: float, **values: Any) -> None:
    not_before = cloud.clocks.real + timedelta(seconds=after_s)
    await _finish(cloud, job, not_before=not_before, **values)


async def _finish(cloud: Cloud, job: DueJob, **values: Any) -> None:
    """Write the outcome, if the lease is still ours."""
    try:
        async with cloud.db.write() as session:
            await session.exec(
                update(DueJob)
                .where(col(DueJob.id) == job.id, col(DueJob.locked_by) == job.locked_by)
                .values({"locked_by": None, "locked_until": None} | values)
                .execution_options(synchronize_session=False)
            )
    except (SQLAlchemyError, OSError):  # the lease runs out, and somebody takes the job again
        _log.exception("due_job.outcome_not_written", kind=job.kind, ref=job.ref)


async def _sweep(cloud: Cloud) -> None:
    async with cloud.db.write() as session:
        await session.exec(
            delete(DueJob).where(col(DueJob.done_at) < cloud.clocks.real - KEEP_DONE)
        )
