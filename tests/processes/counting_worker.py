"""A worker whose only job is to count: it writes a row each time its handler runs.

    python -m tests.processes.counting_worker lease|no-lease

``no-lease`` is the negative control: a worker that looks for due jobs and takes none of them.
"""

from __future__ import annotations

import asyncio
import signal
import sys

from sqlalchemy import text
from sqlmodel import select

from cloud_api.kit import due_jobs
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import DueJob
from cloud_api.kit.process import make_cloud
from cloud_api.kit.wakeups import Wakeups
from cloud_api.settings import Settings

KIND = "test.count"


async def count(cloud: Cloud, job: DueJob) -> None:
    """Take a moment, as a handler that asks a provider does, and leave a row."""
    await asyncio.sleep(0.02)
    async with cloud.db.write() as session:
        await session.execute(
            text("INSERT INTO counted (ref, holder) VALUES (:ref, :holder)"),
            {"ref": job.ref, "holder": cloud.holder},
        )


async def _look_only(cloud: Cloud, limit: int) -> list[DueJob]:
    due = select(DueJob).where(due_jobs._due(cloud)).limit(limit)
    async with cloud.db.read() as session:
        return list((await session.exec(due)).all())


async def _work() -> None:
    cloud = make_cloud(Settings())
    due_jobs.register(KIND, count)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    try:
        await asyncio.gather(due_jobs.worker_loop(cloud, stop), Wakeups(cloud.db).run(stop))
    finally:
        await cloud.db.close()


if __name__ == "__main__":
    if sys.argv[1] == "no-lease":
        due_jobs._lease = _look_only
    asyncio.run(_work())
