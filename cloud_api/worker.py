"""What runs beside the requests, or in a process of its own: due jobs, the store channel, what recurs.

It loads no routes: a worker starts in two thirds of the time, and holds no form of any request.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import structlog

from cloud_api.alarms import watch as alarm_watch
from cloud_api.auth import service as auth_service
from cloud_api.kit import clock_watch, due_jobs, feed, idempotency, recurring, throttle
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.wakeups import Wakeups
from cloud_api.members import service as members_service
from cloud_api.notifications import inbox as notices_inbox
from cloud_api.orders import export, place
from cloud_api.store_channel import worker as channel

log = structlog.get_logger(__name__)

_PACKAGE = Path(__file__).parent
_RESTART_S = 2.0
_FORGET_EVERY_S = 3600.0


def register_jobs() -> None:
    """Import every package's ``jobs`` and ``personal`` modules: each registers what it does."""
    for name in ("jobs", "personal"):
        for path in sorted(_PACKAGE.glob(f"*/{name}.py")):
            importlib.import_module(f"cloud_api.{path.parent.name}.{name}")


async def work(cloud: Cloud, stop: asyncio.Event, *, all_parts: bool = True) -> None:
    """Due jobs and the store channel until ``stop``; a part that falls over is started again.

    Without ``all_parts`` only answers to this process's own commands are heard.
    """
    parts: dict[str, Callable[[], Awaitable[None]]]
    if all_parts:
        parts = {
            "due_jobs": lambda: due_jobs.worker_loop(cloud, stop),
            "store_channel": lambda: channel.run(cloud, stop),
            "forget": lambda: _forget(cloud, stop),
            "alarms": lambda: alarm_watch.run(cloud, stop),
        }
    else:
        parts = {"acks": lambda: channel.run_acks(cloud, stop)}
    if not cloud.db.is_sqlite:
        parts["wakeups"] = lambda: Wakeups(cloud.db).run(stop)
        parts["clock"] = lambda: clock_watch.run(cloud, stop)
    await asyncio.gather(*(_keep(name, run, stop) for name, run in parts.items()))


async def _keep(name: str, run: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await run()
        except Exception:
            log.exception("worker.part_failed", part=name)
        if not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), _RESTART_S)
            except TimeoutError:
                continue


async def _forget(cloud: Cloud, stop: asyncio.Event) -> None:
    """Every hour: delete what has served its time, plan what recurs. Several processes may do it."""
    while not stop.is_set():
        await recurring.plan(cloud)
        await forget_old(cloud)
        try:
            await asyncio.wait_for(stop.wait(), _FORGET_EVERY_S)
        except TimeoutError:
            continue


async def forget_old(cloud: Cloud) -> None:
    """Old counts, keys, codes, logins, feed lines and notices go."""
    for forget in (
        throttle.forget_old,
        idempotency.forget_old,
        auth_service.forget_old,
        feed.forget_old,
        members_service.forget_old,
        export.forget_old,
    ):
        async with cloud.db.write() as session:
            await forget(session, cloud.clocks.real)
    async with cloud.db.write() as session:
        await place.forget_quotes(session, cloud.clocks.now)
    async with cloud.db.write() as session:
        await notices_inbox.forget_old(session, cloud.clocks)
