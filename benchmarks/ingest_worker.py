"""A worker's way of taking events and nothing else: its link, its lanes, its transactions, its answers.

    python -m benchmarks.ingest_worker        settings from KAIMEN_* variables

Without the documents, sweeps and leases of a whole worker, which have a measure of their own.
"""

from __future__ import annotations

import asyncio
import gc
import logging

import structlog

from cloud_api.kit.process import make_cloud
from cloud_api.kit.wakeups import Wakeups
from cloud_api.settings import Settings
from cloud_api.store_channel.office import office_of
from cloud_api.store_channel.worker import Channel
from store_link.topics import SHARDS


async def run() -> None:
    """Until it is ended."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    cloud = make_cloud(Settings())
    channel = Channel(cloud, await asyncio.to_thread(office_of, cloud))
    stop = asyncio.Event()
    telling = asyncio.create_task(Wakeups(cloud.db).run(stop))
    await channel.link.start()
    await channel.link.wait_up(20)
    await channel.link.listen_to(frozenset(range(SHARDS)))
    gc.collect()  # as kaimen-cloud does
    gc.freeze()
    print("listening", flush=True)
    await telling


if __name__ == "__main__":
    asyncio.run(run())
