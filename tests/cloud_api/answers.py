"""A store's answer where no store is: written down as the channel would, so that no tap waits in vain."""

from __future__ import annotations

import asyncio

from sqlmodel import col, select, update

from cloud_api.devices.models import DeviceCommand
from cloud_api.kit.cloud import Cloud


def answering(cloud: Cloud, state: str, reason: str | None = None) -> asyncio.Task[None]:
    """A store that answers the first command it sees, as the channel would write it down."""

    async def act() -> None:
        async with asyncio.timeout(60):
            while True:
                async with cloud.db.read() as session:
                    query = select(DeviceCommand).where(col(DeviceCommand.state) == "created")
                    found = (await session.exec(query)).first()
                if found is not None:
                    break
                await asyncio.sleep(0.01)
        async with cloud.db.write() as session:
            await session.exec(
                update(DeviceCommand)
                .where(col(DeviceCommand.id) == found.id)
                .values(state=state, reason=reason, final_at=cloud.clocks.real, evidence={"f": 1})
            )
        cloud.waiters.resolve(found.id, {})

    return asyncio.create_task(act())
