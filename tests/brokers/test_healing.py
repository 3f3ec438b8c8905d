"""A broker that keeps nothing, or keeps it and says nothing: the store gets its document all the same.

NATS 2.15.1, killed and started again, now and then gave the first subscriber no retained message.
A store without its document knows no stay of today. So the cloud compares what a store reports with
what it should have, and publishes again. Here the whole path is run: tables, worker, broker, store.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.settings import Settings
from cloud_api.store_channel.worker import Channel
from store_link import topics
from store_link.topics import Plane
from tests.brokers.parties import DEADLINE_S
from tests.brokers.sites import MosquittoSite, NatsSite
from tests.cloud_api.conftest import (  # noqa: F401  fixtures
    SECRETS,
    _vault,
    business,
    cloud,
    db,
    now,
    shop,
    sqlite_templates,
    sqlite_url,
)
from tests.cloud_api.factories import Shop
from tests.cloud_api.store_channel.conftest import clocks, run_channel  # noqa: F401  fixtures
from tests.cloud_api.store_channel.store_side import StoreSide, until

Start = Callable[..., Awaitable[Channel]]


@pytest.fixture
def db_url(sqlite_url: str) -> str:  # noqa: F811
    return sqlite_url


@pytest.fixture(params=["nats", "mosquitto"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[NatsSite | MosquittoSite]:
    """A broker whose authority is that of the cloud under test; started."""
    site = (NatsSite if request.param == "nats" else MosquittoSite)(tmp_path)
    site.start()
    yield site
    site.stop()


@pytest.fixture
def settings(db_url: str, tmp_path: Path, kept: NatsSite | MosquittoSite) -> Settings:
    host, port = kept.address(cloud=True)
    common = {
        "database_url": db_url,
        "secrets": SECRETS,
        "data_dir": tmp_path / "cloud",
        "mqtt_host": host.partition(":")[0],
        "mqtt_port": port,
        "store_mqtt_port": kept.address(cloud=False)[1],
        "broker_admin": kept.kind,
        "run_worker": False,
    }
    if isinstance(kept, NatsSite):
        folder = kept.nodes[0].directory
        common |= {"nats_users_file": folder / "users.conf", "nats_pid_file": folder / "nats.pid"}
    else:
        folder = kept.broker.directory
        common |= {
            "mosquitto_crl_file": folder / "crl.pem",
            "mosquitto_pid_file": folder / "mosquitto.pid",
        }
    return Settings.model_validate(common)


class DeafStore(StoreSide):
    """Hears nothing that was retained, as if the broker had not said it."""

    async def _hear(self, text: str, raw: bytes, retained: bool) -> None:
        if not retained:
            await super()._hear(text, raw, retained)


@contextlib.asynccontextmanager
async def connected(store: StoreSide) -> AsyncIterator[StoreSide]:
    await store.connect()
    try:
        yield store
    finally:
        await store.close()


@pytest.fixture
async def deaf(
    cloud: Cloud,  # noqa: F811
    shop: Shop,  # noqa: F811
    tmp_path: Path,
    settings: Settings,
) -> StoreSide:
    port = settings.store_mqtt_port
    assert port is not None
    return await DeafStore.enrol(cloud, shop.store.id, tmp_path / "stores", port)


async def test_a_store_that_hears_nothing_retained_gets_its_document_by_its_report(
    cloud: Cloud,  # noqa: F811
    deaf: StoreSide,
    run_channel: Start,  # noqa: F811
) -> None:
    channel = await run_channel(cloud)
    await channel.desired.refresh(deaf.store)
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with connected(deaf):
        await until(lambda: deaf.applied == (1, 1), "its document", DEADLINE_S)
        print(f"healed in {loop.time() - began:.2f} s")
        assert [retained for plane, _, retained in deaf.heard if plane is Plane.DESIRED] == [False]


async def test_a_store_whose_document_is_gone_from_the_broker_gets_it_by_its_report(
    cloud: Cloud,  # noqa: F811
    deaf: StoreSide,
    run_channel: Start,  # noqa: F811
) -> None:
    channel = await run_channel(cloud)
    await channel.desired.refresh(deaf.store)
    await channel.link.publish(topics.desired(deaf.store), b"", retain=True)
    async with connected(deaf):
        await until(lambda: deaf.applied == (1, 1), "its document", DEADLINE_S)


async def test_without_the_comparison_it_would_wait_for_ever(
    cloud: Cloud,  # noqa: F811
    deaf: StoreSide,
    run_channel: Start,  # noqa: F811
) -> None:
    """The negative control: the same path with the cloud deaf to reports."""
    channel = await run_channel(cloud)
    await channel.desired.refresh(deaf.store)

    async def ignore(store_id: str, epoch: int, rev: int) -> None:
        compared.append(store_id)

    compared: list[str] = []
    channel.desired.compare = ignore  # type: ignore[method-assign]
    async with connected(deaf):
        await until(lambda: compared, "its report", DEADLINE_S)
        await deaf.report()
        await until(lambda: len(compared) > 1, "another report", DEADLINE_S)
        assert deaf.applied == (0, 0)


async def test_enrolment_and_replacement_on_each_broker(
    cloud: Cloud,  # noqa: F811
    shop: Shop,  # noqa: F811
    deaf: StoreSide,
    run_channel: Start,  # noqa: F811
    tmp_path: Path,
    settings: Settings,
    clocks: Clocks,  # noqa: F811
) -> None:
    """Through the settings, the database and the adapter they name: the old controller is thrown out."""
    await run_channel(cloud)
    assert settings.store_mqtt_port is not None
    async with connected(deaf):
        new = await StoreSide.enrol(
            cloud, shop.store.id, tmp_path / "stores", settings.store_mqtt_port
        )
        await until(lambda: deaf.link.nonce is None, "thrown out", DEADLINE_S)
        async with connected(new):
            await until(lambda: new.applied == (1, 1), "its document", DEADLINE_S)
            assert not deaf.link.nonce
