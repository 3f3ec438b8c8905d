"""Whether the process lives (/healthz), may get requests (/readyz), and how it fares (/metrics)."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, Histogram
from prometheus_client import generate_latest as render
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, func, select

from cloud_api.backups import service as backups
from cloud_api.devices.models import StoreStatus
from cloud_api.kit.clock_watch import CLOCK_S, off_by
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.http import cloud_of
from cloud_api.kit.models import DueJob, OutboxRow
from cloud_api.migrations import guards, runner
from cloud_api.orders.models import Order
from cloud_api.store_channel.worker import state_of

router = APIRouter(tags=["health"], include_in_schema=False)
LATE = timedelta(seconds=10)


class Metrics:
    """The instruments of one app."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Histogram(
            "kaimen_request_seconds",
            "Time to answer a request",
            ["method", "route", "status"],
            registry=self.registry,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
        )
        self.outbox = self._gauge("kaimen_outbox_depth", "Outbox rows not sent and not dropped")
        self.jobs_late = self._gauge("kaimen_due_jobs_late", "Due jobs 10 s or more behind")
        self.jobs_dead = self._gauge("kaimen_due_jobs_dead", "Due jobs that were given up")
        self.stores_online = self._gauge("kaimen_stores_online", "Stores connected now")
        self.stores = self._gauge("kaimen_stores", "Stores that ever reported")
        self.backup_age = self._gauge(
            "kaimen_backup_age_seconds",
            "Since the newest good backup, or without any since the first merchant; NaN: not set up",
        )
        self.link_up = self._gauge("kaimen_broker_link_up", "1 while connected to the broker")
        self.orders = Gauge("kaimen_orders", "Orders by status", ["status"], registry=self.registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one request."""
        self.requests.labels(method, route, str(status)).observe(seconds)

    def _gauge(self, name: str, what: str) -> Gauge:
        return Gauge(name, what, registry=self.registry)


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@router.get("/readyz")
async def readyz(request: Request) -> Response:
    """200 only while the database is reachable and migrated, its guards stand and the link is up.

    ``notes`` are for who looks after the installation: no request is kept away for them.
    """
    cloud = cloud_of(request)
    checks = await check(cloud)
    ready = all(fine(value) for value in checks.values())
    told = {"ready": ready, "checks": checks, "notes": await notes(cloud, checks)}
    return JSONResponse(told, 200 if ready else 503)


async def notes(cloud: Cloud, checks: dict[str, str]) -> dict[str, str]:
    """What does not keep a process from serving: ``ok`` or what is wrong with it. Nothing where the
    database is away, as ``checks`` found: it is not waited for twice.
    """
    if checks["database"] != "ok" or not fine(checks["migrations"]):
        return {}
    try:
        return {"backup": await backups.standing(cloud)}
    except (SQLAlchemyError, OSError):
        return {}


_SCHEMA = {
    runner.Standing.CURRENT: "ok",
    runner.Standing.BEHIND: "behind: run kaimen-cloud migrate",
    # What a release adds leaves the release before at work: while an upgrade is under way its
    # processes go on serving, also where a balancer asks /readyz.
    runner.Standing.NEWER: "ok: newer than this program, finish the upgrade",
}


def fine(value: str) -> bool:
    """Whether what ``check`` says of a part lets the process serve."""
    return value == "ok" or value.startswith("ok: ")


async def check(cloud: Cloud) -> dict[str, str]:
    """Each part's state: ``ok``, or what is wrong with it; ``ok: …`` where there is something to know."""
    checks = {
        "database": "ok",
        "clock": "ok",
        "migrations": "ok",
        "overlap_guard": "ok",
        "audit_guard": "ok",
        "ledger_guard": "ok",
    }
    try:
        async with cloud.db.read() as session:
            connection = await session.connection()
            if not cloud.db.is_sqlite:
                checks["clock"] = await _clock(cloud, connection)
            checks["migrations"] = _SCHEMA[await runner.standing(connection)]
            for name in await guards.missing(connection):
                checks[name] = "missing: run kaimen-cloud migrate"
    except (SQLAlchemyError, OSError) as error:
        checks = {"database": f"unreachable ({type(error).__name__})"}
    state = state_of(cloud)
    if state is not None:
        checks["broker_link"] = state.broker
    return checks


async def _clock(cloud: Cloud, connection: AsyncConnection) -> str:
    """This machine's clock against the database's, which all processes share."""
    off = await off_by(cloud.clocks, connection)
    if abs(off) <= CLOCK_S:
        return "ok"
    which = "behind" if off > 0 else "ahead of"
    return f"{abs(off):.1f} s {which} the database: switch on NTP on both machines"


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text; needs ``Authorization: Bearer`` where KAIMEN_METRICS_TOKEN is set."""
    cloud = cloud_of(request)
    wanted = cloud.settings.metrics_token
    if wanted is not None:
        sent = request.headers.get("authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(sent.encode(), wanted.encode()):
            raise KaimenError("metrics.token", "需要监控令牌", status=401)
    instruments = request.app.state.metrics
    assert isinstance(instruments, Metrics)
    await _measure(cloud, instruments)
    return Response(render(instruments.registry), media_type=CONTENT_TYPE_LATEST)


@asynccontextmanager
async def serving(cloud: Cloud, host: str, port: int) -> AsyncIterator[None]:
    """The three addresses alone, for a process that serves nothing else (a worker)."""
    app = FastAPI(openapi_url=None)
    app.state.cloud, app.state.metrics = cloud, Metrics()
    app.include_router(router)
    server = _Beside(uvicorn.Config(app, host=host, port=port, log_config=None, access_log=False))
    task = asyncio.create_task(server.serve())
    try:
        yield
    finally:
        server.should_exit = True
        await task


class _Beside(uvicorn.Server):
    """A server that leaves signals to whom it runs beside."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


async def _measure(cloud: Cloud, metrics: Metrics) -> None:
    late = cloud.clocks.real - LATE
    waiting = (col(DueJob.done_at).is_(None), col(DueJob.dead_at).is_(None))
    behind = (
        ((col(DueJob.clock) == "wire") & (col(DueJob.run_at) < late))
        | ((col(DueJob.clock) == "business") & (col(DueJob.run_at) < cloud.clocks.now - LATE))
    ) & (col(DueJob.not_before).is_(None) | (col(DueJob.not_before) < late))
    unsent = (col(OutboxRow.sent_at).is_(None), col(OutboxRow.dropped).is_(None))
    async with cloud.db.read() as session:

        async def count(model: type, *where: object) -> int:
            query = select(func.count()).select_from(model)
            for part in where:
                query = query.where(part)  # type: ignore[arg-type]
            return int(await session.scalar(query) or 0)

        metrics.outbox.set(await count(OutboxRow, *unsent))
        metrics.jobs_late.set(await count(DueJob, *waiting, behind))
        metrics.jobs_dead.set(await count(DueJob, col(DueJob.dead_at).is_not(None)))
        metrics.stores.set(await count(StoreStatus))
        metrics.stores_online.set(await count(StoreStatus, col(StoreStatus.online)))
        by_status = select(col(Order.status), func.count()).group_by(col(Order.status))
        for status, number in (await session.exec(by_status)).all():
            metrics.orders.labels(status).set(number)
    old = await backups.age(cloud)
    metrics.backup_age.set(float("nan") if old is None else old.total_seconds())
    state = state_of(cloud)
    metrics.link_up.set(1 if state is not None and state.link_up else 0)
