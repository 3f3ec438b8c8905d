"""The store's part, played in tests of pages: each command is answered a moment after it was written."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from sqlmodel import col, select

from cloud_api.devices.models import DeviceCommand
from cloud_api.store_channel.outcomes import Outcome, settle
from tests.web.real import Site


@contextmanager
def answering(site: Site, state: str = "done", after_s: float = 0.0) -> Iterator[None]:
    """Until the block ends, beginning after ``after_s``, every command ends in ``state``."""
    over = asyncio.Event()

    async def answer() -> None:
        await asyncio.sleep(after_s)
        while not over.is_set():
            async with site.cloud.db.write() as session:
                query = select(DeviceCommand).where(col(DeviceCommand.final_at).is_(None))
                for command in (await session.exec(query)).all():
                    outcome = Outcome(state, None, {}, 300)
                    await settle(session, site.cloud, command.store_id, command.id, outcome)
            await asyncio.sleep(0.1)

    task = asyncio.run_coroutine_threadsafe(answer(), site.loop)
    try:
        yield
    finally:
        site.loop.call_soon_threadsafe(over.set)
        task.result(10)
