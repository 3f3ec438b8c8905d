"""The disk under a broker is full: doors open, documents and events pass, and nothing is lost or doubled.

A NATS server that once could not write to its store confirms nothing, lets nobody in, and stays so when
there is room again, until it is started anew. So an installation gives it a store in memory; where it has
one on a disk, the cloud finds out, hands over, and says what to do.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from sqlmodel import col, select

from cloud_api import health
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud as Office
from cloud_api.kit.models import AlarmSignal
from cloud_api.settings import Settings
from cloud_api.store_channel import broker_health, shards
from store_link.link import NotConfirmed, NotConnected
from store_link.messages import EventKind
from tests.brokers.parties import DEADLINE_S, Cloud, Controller, until
from tests.brokers.sites import SITES, MosquittoSite, NatsSite, Site
from tests.brokers.small_disk import Disk, small_disk
from tests.brokers.test_healing import Start
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
from tests.cloud_api.store_channel.store_side import StoreSide
from tests.cloud_api.store_channel.test_ingest import stored

pytestmark = pytest.mark.timeout(300)


def on(disk: Disk, kind: str, memory: Path) -> Site:
    """A site whose files are on ``disk``, configured as an installation has it; started."""
    site = SITES[kind](disk.path / "site")
    for at, node in enumerate(site.nodes if isinstance(site, NatsSite) else ()):
        node.in_memory = memory / str(at)
    site.start()
    site.stop()
    site.start()  # its ports stand in its files from now on
    site.stop()
    if isinstance(site, MosquittoSite):
        site.as_it_is = True
    elif isinstance(site, NatsSite):
        for node in site.nodes:
            node.as_it_is = True
    site.start()
    return site


@pytest.fixture
def memory() -> Iterator[Path]:
    """Where a container keeps what is gone with it."""
    shm = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shm if os.access(shm, os.W_OK) else None) as made:
        yield Path(made)


@pytest.mark.parametrize(
    "kind", [pytest.param(one, marks=pytest.mark.xdist_group(f"broker-{one}")) for one in SITES]
)
async def test_a_full_disk_holds_nobody_up(kind: str, tmp_path: Path, memory: Path) -> None:
    """Full; killed and started again while full; emptied: a guest and a store notice the kill alone."""
    with small_disk(tmp_path / "disk") as disk:
        site = await asyncio.to_thread(on, disk, kind, memory)
        cloud, store = Cloud(site), Controller(site, await site.enrol())
        try:
            await cloud.up()
            await store.up()
            await until(lambda: cloud.presence.online(store.store), "presence")
            await all_goes_on(cloud, store, 1)
            disk.fill()
            await all_goes_on(cloud, store, 2)
            victim, old = site.serving(store.side.link), store.side.nonce
            await asyncio.to_thread(victim.kill)
            for at, node in enumerate(site.nodes if isinstance(site, NatsSite) else ()):
                if node is victim:
                    shutil.rmtree(memory / str(at))
            await asyncio.to_thread(victim.start)
            await until(lambda: store.side.up and store.side.nonce != old, "the store is back")
            await until(lambda: cloud.side.up, "the cloud is back")
            await all_goes_on(cloud, store, 3)
            disk.make_room()
            await all_goes_on(cloud, store, 4)
        finally:
            await store.down()
            await cloud.side.stop()
            await asyncio.to_thread(site.stop)
    assert max(store.pulses.values()) == 1


async def all_goes_on(cloud: Cloud, store: Controller, rev: int) -> None:  # noqa: F811
    """A door, a document and a backlog of events, each within its time."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while (last := await cloud.unlock(store.store))[1] != "done":
        assert asyncio.get_running_loop().time() < deadline, last
        await asyncio.sleep(0.1)
    assert store.pulses[last[0]] == 1
    await asyncio.wait_for(said(cloud, store.store, rev), DEADLINE_S)
    await until(lambda: store.documents[-1:] and store.documents[-1][0] == rev, "its document")
    await asyncio.wait_for(store.send_journal(100 * rev), DEADLINE_S)
    assert cloud.committed[store.journal] == list(range(1, 100 * rev + 1))


async def said(cloud: Cloud, store: str, rev: int) -> None:  # noqa: F811
    """A document, published again until the broker has it: its number makes that harmless."""
    while True:
        try:
            return await cloud.say(store, rev)
        except (NotConfirmed, NotConnected):
            await asyncio.sleep(0.1)


# ------------------------------------------------------------- a NATS server whose store is on a disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


@pytest.fixture
def kept(tmp_path: Path, disk: Disk) -> Iterator[NatsSite]:
    """Set up by hand: its store is where others write as well."""
    site = NatsSite(tmp_path)
    site.nodes[0].in_memory = disk.path / "jetstream"
    site.start()
    yield site
    site.stop()


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path, kept: NatsSite) -> Settings:  # noqa: F811
    node = kept.nodes[0]
    return Settings.model_validate(
        {
            "database_url": sqlite_url,
            "secrets": SECRETS,
            "data_dir": tmp_path / "cloud",
            "mqtt_port": node.mqtt_port,
            "broker_admin": "nats",
            "nats_users_file": node.directory / "users.conf",
            "nats_pid_file": node.directory / "nats.pid",
            "run_worker": False,
        }
    )


@pytest.fixture
def db_url(sqlite_url: str) -> str:  # noqa: F811
    return sqlite_url


@pytest.fixture
async def store(
    cloud: Office,  # noqa: F811
    shop: Shop,  # noqa: F811
    tmp_path: Path,
    kept: NatsSite,
) -> AsyncIterator[StoreSide]:
    port = kept.nodes[0].mqtt_port
    side = await StoreSide.enrol(cloud, shop.store.id, tmp_path / "stores", port)
    yield side
    if hasattr(side, "link"):
        await side.close()


async def told(cloud: Office) -> tuple[bool, str] | None:  # noqa: F811
    """The alarm of the broker: whether it is so now, and why."""
    async with cloud.db.read() as session:
        query = select(AlarmSignal).where(col(AlarmSignal.kind) == broker_health.KIND)
        row = (await session.exec(query)).first()
    return None if row is None else (row.active, str(row.data.get("why", "")))


async def test_a_broker_that_cannot_write_is_found_out_told_and_heals_when_started_again(
    cloud: Office,  # noqa: F811
    store: StoreSide,
    disk: Disk,
    kept: NatsSite,
    run_channel: Start,  # noqa: F811
    clocks: Clocks,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Seen: nothing was confirmed, every tap ended with "nobody knows", and for as long as a connection
    stood /readyz said that all was well; no alarm named the broker, and room on the disk changed nothing.
    """
    if not disk.real:
        return  # what a full disk does is for a real file system to say
    for name, value in {"EVERY_S": 0.2, "PATIENCE_S": 1.0, "AWAY_S": 0.5, "TELL_S": 3.0}.items():
        monkeypatch.setattr(broker_health, name, value)
    channel = await run_channel(cloud)
    await store.connect()
    await until(lambda: store.acks, "the cloud greets")
    store.write(EventKind.BOOT)
    await store.send_events(1, 1)
    await until(lambda: store.acked == 1, "the first event")
    assert (await health.check(cloud))["broker_link"] == "ok"

    disk.fill()
    store.write(EventKind.BOOT)  # the store keeps what it cannot send
    deadline = asyncio.get_running_loop().time() + DEADLINE_S
    while await told(cloud) != (True, broker_health.STUCK):
        assert asyncio.get_running_loop().time() < deadline, await told(cloud)
        await asyncio.sleep(0.1)
    assert (await health.check(cloud))["broker_link"] != "ok"
    await until(lambda: channel.state.shards == 0, "another worker may have its stores")
    assert not await shards.anybody(cloud)

    disk.make_room()
    assert not await channel.health.ask(), "room alone changes nothing"
    await asyncio.to_thread(kept.nodes[0].kill)
    await asyncio.to_thread(kept.nodes[0].start)
    await channel.link.wait_up(DEADLINE_S)
    while await told(cloud) != (False, ""):
        assert asyncio.get_running_loop().time() < deadline, await told(cloud)
        await asyncio.sleep(0.1)
    await until(lambda: channel.state.broker == "ok", "it says so")
    assert (await health.check(cloud))["broker_link"] == "ok"
    await until(lambda: channel.state.shards == 64, "its stores are its own again")
    await store.link.wait_up(DEADLINE_S)
    await store.send_events(1, 2)
    await until(lambda: store.acked == 2, "what it kept")
    assert await stored(cloud) == [1, 2]
