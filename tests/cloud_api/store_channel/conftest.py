"""The channel's tests speak to a real broker, so their wire clock is real; business time stands."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.database import Database
from cloud_api.kit.ids import new_id
from cloud_api.kit.waiters import Waiters
from cloud_api.settings import Settings
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.worker import Channel
from store_link.clock import ManualClock, WireClock
from store_link.link import Backoff
from tests.cloud_api.conftest import SECRETS
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.broker import StoreBroker
from tests.cloud_api.store_channel.store_side import StoreSide

FAST = Backoff(base_s=0.05, cap_s=0.2)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks(ManualClock(datetime.now(UTC)), WireClock())


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[StoreBroker]:
    broker = StoreBroker(tmp_path / "broker", tmp_path / "data")
    with broker:
        yield broker


@pytest.fixture
def settings(db_url: str, tmp_path: Path, broker: StoreBroker) -> Settings:
    return Settings(
        database_url=db_url,
        secrets=SECRETS,
        data_dir=tmp_path / "data",
        public_url="http://kaimen.test",
        mqtt_port=broker.mqtt_port,
        broker_admin="nats",
        nats_users_file=broker.users_file,
        nats_pid_file=broker.pid_file,
        run_worker=False,
    )


@pytest.fixture
async def make_cloud(
    settings: Settings, clocks: Clocks
) -> AsyncIterator[Callable[[], Awaitable[Cloud]]]:
    """Further processes of the same installation: their own database doors and instance names."""
    async with contextlib.AsyncExitStack() as stack:

        async def make() -> Cloud:
            http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
            database = Database(settings.database_url)
            stack.push_async_callback(database.close)
            name = f"p{new_id()}"
            return Cloud(settings, database, clocks, http, Waiters(name), holder=name)

        yield make


@pytest.fixture
async def run_channel() -> AsyncIterator[Callable[..., Awaitable[Channel]]]:
    """Start a process's channel; ended with the test."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(cloud: Cloud, **options: object) -> Channel:
            channel = Channel(cloud, office_of(cloud), backoff=FAST, **options)  # type: ignore[arg-type]
            stop = asyncio.Event()
            task = asyncio.create_task(channel.run(stop))

            async def end() -> None:
                stop.set()
                await task

            stack.push_async_callback(end)
            await channel.link.wait_up(30)
            return channel

        yield start


@pytest.fixture
async def channel(cloud: Cloud, run_channel: Callable[..., Awaitable[Channel]]) -> Channel:
    return await run_channel(cloud)


@pytest.fixture
async def store(
    cloud: Cloud, shop: Shop, tmp_path: Path, broker: StoreBroker
) -> AsyncIterator[StoreSide]:
    """The shop's controller: enrolled, not yet connected."""
    side = await StoreSide.enrol(cloud, shop.store.id, tmp_path / "stores", broker.mqtt_port)
    yield side
    if hasattr(side, "link"):
        await side.close()
