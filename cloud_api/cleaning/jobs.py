"""What runs later around cleaning: the task after a stay, and a look before the next guests come.

Importing this module registers the handlers, and with orders who is told of a stay.
"""

from __future__ import annotations

from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.cleaning import service
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register, schedule
from cloud_api.kit.models import DueJob
from cloud_api.orders import followers
from cloud_api.orders.models import Order

ENTERED: Final = "cleaning.entered"
LEFT: Final = "cleaning.left"


async def entered(cloud: Cloud, job: DueJob) -> None:
    """Job ``cleaning.entered``: guests are in a room; nobody cleans it for them any more."""
    async with cloud.db.write() as session:
        await service.superseded(session, job.ref, cloud.clocks)


async def left(cloud: Cloud, job: DueJob) -> None:
    """Job ``cleaning.left``: a stay is over."""
    async with cloud.db.write() as session:
        await service.after_stay(session, job.ref, cloud.clocks)


async def late(cloud: Cloud, job: DueJob) -> None:
    """Job ``cleaning.late``: a room that should be clean by now."""
    async with cloud.db.write() as session:
        await service.warn(session, job.ref, cloud.clocks)


async def follow(session: AsyncSession, order: Order, was: str, _by: str, clocks: Clocks) -> None:
    """A room is booked, entered or left: what that means for cleaning is seen to after the commit."""
    kind = ""
    if order.status == "ready":
        await service.booked(session, order, clocks)
    elif order.status == "in_use":
        kind = ENTERED
    elif order.status == "completed" and (was == "in_use" or order.entered_at is not None):
        kind = LEFT
    if kind:
        await schedule(
            session, merchant_id=order.merchant_id, kind=kind, ref=order.id, run_at=clocks.now
        )


register(ENTERED, entered)
register(LEFT, left)
register(service.LATE, late)
followers.follow("cleaning", follow)
