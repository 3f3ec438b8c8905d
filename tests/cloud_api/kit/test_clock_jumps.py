"""A machine's clock is set while its API or worker runs: until it is right nothing is done by it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from sqlmodel import select

from cloud_api.app import create_app
from cloud_api.kit import clock_watch, due_jobs
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.errors import KaimenError
from cloud_api.kit.models import DueJob
from cloud_api.kit.waiters import Waiters
from cloud_api.settings import Settings
from cloud_api.store_channel import shards
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.worker import Channel
from store_link.clock import WireClock
from store_link.topics import SHARDS
from tests.cloud_api.conftest import SECRETS
from tests.cloud_api.databases import PostgresTemplates

HOUR = 3600.0


class Jumpy(WireClock):
    """This machine's clock, which somebody sets."""

    ahead_s = 0.0

    def now(self) -> datetime:
        return super().now() + timedelta(seconds=self.ahead_s)


@pytest.fixture
def wire() -> Jumpy:
    return Jumpy()


@pytest.fixture
def clocks(wire: Jumpy) -> Clocks:
    return Clocks(wire, wire)


@pytest.fixture
def db_url(postgres_templates: PostgresTemplates) -> Iterator[str]:
    """PostgreSQL alone has a clock of its own."""
    with postgres_templates.fresh() as url:
        yield url


@pytest.fixture
def settings(db_url: str, tmp_path: Path) -> Settings:
    values = {"database_url": db_url, "secrets": SECRETS, "data_dir": tmp_path, "run_worker": False}
    return Settings.model_validate(values)


async def due_in_half_an_hour(cloud: Cloud, ref: str) -> None:
    async with cloud.db.write() as session:
        await due_jobs.schedule(
            session,
            merchant_id="m",
            kind="k",
            ref=ref,
            run_at=datetime.now(UTC) + timedelta(minutes=30),
        )


class JumpsSoon(Jumpy):
    """Jumps after it was asked so many times more."""

    def __init__(self) -> None:
        self.left = -1

    def now(self) -> datetime:
        if self.left == 0:
            self.ahead_s = HOUR
        self.left -= 1
        return super().now()


@pytest.mark.parametrize("asked", range(1, 6))
async def test_a_jump_while_the_database_is_asked_is_not_believed(cloud: Cloud, asked: int) -> None:
    """It seemed to agree: before the answer by the old time, after it by the new one."""
    wire = JumpsSoon()
    cloud.clocks = Clocks(wire, wire)
    cloud.db.clock = watch = clock_watch.ClockWatch(wire)
    await clock_watch.look(cloud, watch)
    assert not cloud.astray
    wire.left = asked
    await clock_watch.look(cloud, watch)
    wire.ahead_s = HOUR
    assert cloud.astray
    await clock_watch.look(cloud, watch)
    assert cloud.astray


async def test_it_does_nothing_that_is_due_and_writes_nothing(
    cloud: Cloud, wire: Jumpy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose clock was an hour ahead for a minute ended holds and stays half an hour too early, took
    the leases of all other workers until an hour later, and called every store silent.
    """
    done: list[str] = []

    async def note(_cloud: Cloud, job: DueJob) -> None:
        done.append(job.ref)

    monkeypatch.setattr(due_jobs, "_handlers", {})
    due_jobs.register("k", note)
    stop = asyncio.Event()
    watching = asyncio.create_task(clock_watch.run(cloud, stop))
    while cloud.db.clock is None:
        await asyncio.sleep(0)
    await due_in_half_an_hour(cloud, "hold")
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app=create_app(cloud.settings, cloud=cloud)),
        base_url="http://kaimen.test",
    )
    code = {"phone": "13800000001"}
    for ahead_s in (HOUR, -HOUR):
        wire.ahead_s = ahead_s
        assert cloud.astray, "at once, without asking"
        assert await due_jobs.run_due(cloud) == 0
        with pytest.raises(KaimenError, match="时间") as refused:
            await due_in_half_an_hour(cloud, "never")
        assert (refused.value.code, refused.value.status) == ("clock", 503)
        told = await client.post("/api/v1/auth/code", json=code)
        assert (told.status_code, told.json()["code"]) == (503, "clock")
        assert told.json()["retry_after"] > 0
        ready = (await client.get("/readyz")).json()["checks"]["clock"]
        assert ready.startswith(("36", "35")), ready
        await clock_watch.look(cloud, cloud.db.clock)  # type: ignore[arg-type]
        assert cloud.astray, "the database does not agree"
        wire.ahead_s = 0.0
        assert not cloud.astray, "set right again, as at once"
    told = await client.post("/api/v1/auth/code", json=code)
    assert told.json()["code"] == "sms.failed", "it was tried: there is no gateway here"
    await client.aclose()

    # A clock that was wrong at the start and is mended by a jump: the database says that this is right.
    wire.ahead_s = -HOUR
    cloud.db.clock.believe()  # type: ignore[attr-defined]
    wire.ahead_s = 0.0
    assert cloud.astray
    await clock_watch.look(cloud, cloud.db.clock)  # type: ignore[arg-type]
    assert not cloud.astray
    stop.set()
    await watching

    # The control: nobody watches, and the hold ends before its time.
    cloud.db.clock, wire.ahead_s = None, HOUR
    assert done == []
    await due_jobs.run_due(cloud)
    assert done == ["hold"]
    async with cloud.db.read() as session:
        assert [job.ref for job in await session.exec(select(DueJob))] == ["hold"]


async def test_its_stores_are_another_workers_within_seconds(
    cloud: Cloud, wire: Jumpy, settings: Settings
) -> None:
    """Its leases run out, and it takes none until its clock is right."""
    other = Cloud(
        settings,
        Database(settings.database_url),
        Clocks.of(None),
        cloud.http,
        Waiters("b"),
        holder="b",
    )
    cloud.db.clock = clock_watch.ClockWatch(wire)
    jumped, right = (Channel(one, office_of(one)) for one in (cloud, other))
    try:
        for channel in (jumped, right):
            await channel.renew_shards()
        assert jumped.state.shards == SHARDS
        wire.ahead_s, began = HOUR, time.monotonic()
        while right.state.shards < SHARDS:
            assert time.monotonic() - began < shards.LEASE.total_seconds() + 20
            await jumped.renew_shards()
            await right.renew_shards()
            assert jumped.state.shards == 0
            await asyncio.sleep(0.2)
        print(
            f"{time.monotonic() - began:.1f} s from the jump until the other worker hears all stores"
        )
        assert len(await shards.held(other, right.holder)) == SHARDS
    finally:
        await other.db.close()
