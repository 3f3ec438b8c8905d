"""A broker dies between a document's sending and its confirmation: the store ends with the newest all the same.

The broker is stopped, so that what was sent lies in its socket; it is killed there, and started again with the
files that it has. Nobody knows whether it had taken the document, and nobody needs to.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select, update
from sqlmodel import col

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import OutboxRow
from cloud_api.settings import Settings
from cloud_api.store_channel.models import DesiredDoc
from cloud_api.store_channel.worker import Channel
from cloud_api.stores.models import Store
from store_link import topics
from store_link.link import LinkError
from tests.brokers.parties import DEADLINE_S
from tests.brokers.sites import MosquittoSite, NatsSite
from tests.brokers.test_healing import connected, db_url, kept, settings  # noqa: F401  fixtures
from tests.cloud_api.conftest import (  # noqa: F401  fixtures
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


async def stands(cloud: Cloud, store_id: str) -> tuple[int, int, bool]:  # noqa: F811
    """The document's number in the database, and whether it is known to be published."""
    async with cloud.db.read() as session:
        doc = await session.get_one(DesiredDoc, store_id)
    return doc.epoch, doc.rev, doc.published_at is not None


async def waiting(cloud: Cloud) -> int:  # noqa: F811
    """How much is to be sent to stores."""
    query = select(func.count()).where(col(OutboxRow.sent_at).is_(None))
    async with cloud.db.read() as session:
        return int((await session.execute(query)).scalar_one())


def unconfirmed(channel: Channel, topic: str) -> set[int]:
    """The packets on ``topic`` that were handed to the broker's connection and are not confirmed."""
    connection = channel.link._link._connection
    sent = {} if connection is None else dict(connection._client._out_messages)
    return {number for number, one in sent.items() if one.topic == topic}


async def test_a_broker_that_dies_before_it_confirms_a_document(
    cloud: Cloud,  # noqa: F811
    shop: Shop,  # noqa: F811
    kept: NatsSite | MosquittoSite,  # noqa: F811
    settings: Settings,  # noqa: F811
    run_channel: Callable[..., Awaitable[Channel]],  # noqa: F811
    tmp_path: Path,
) -> None:
    channel = await run_channel(cloud)
    port = settings.store_mqtt_port
    assert port is not None
    store = await StoreSide.enrol(cloud, shop.store.id, tmp_path / "stores", port)
    await channel.desired.refresh(store.store)
    async with connected(store):
        await until(lambda: store.applied == (1, 1), "its first document", DEADLINE_S)
        server = kept.nodes[0] if isinstance(kept, NatsSite) else kept.broker
        topic = topics.desired(store.store)
        await until(lambda: not unconfirmed(channel, topic), "nothing else under way", DEADLINE_S)
        async with asyncio.timeout(DEADLINE_S):  # nor to be sent: what enrolment asked for
            while await stands(cloud, store.store) != (1, 1, True) or await waiting(cloud):
                await asyncio.sleep(0.02)
        process = server._process
        assert process is not None
        os.kill(process.pid, signal.SIGSTOP)

        async with cloud.db.write() as session:
            await session.execute(update(Store).values(tz="Asia/Tokyo"))
        sending = asyncio.create_task(channel.desired.refresh(store.store))
        async with asyncio.timeout(DEADLINE_S):
            while not unconfirmed(channel, topic):
                await asyncio.sleep(0.002)
        assert await stands(cloud, store.store) == (1, 2, False)
        server.kill()
        with pytest.raises(LinkError):
            await sending
        assert await stands(cloud, store.store) == (1, 2, False), "nothing unconfirmed counts"
        await asyncio.to_thread(kept.start)

        await until(lambda: store.applied == (1, 2), "the newest document", DEADLINE_S)
        async with asyncio.timeout(DEADLINE_S):
            while await stands(cloud, store.store) != (1, 2, True):
                await asyncio.sleep(0.02)
    # Who comes now is told the newest, and that alone: nothing older is kept anywhere.
    heard = len(store.documents)
    async with connected(store):
        await until(lambda: len(store.documents) > heard, "what the broker keeps", DEADLINE_S)
    assert {one.rev for one in store.documents[heard:]} == {2}
