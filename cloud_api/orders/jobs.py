"""What runs later around orders: the end of a hold, money that arrived, refunds that moved.

Importing this module registers the handlers.
"""

from __future__ import annotations

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob
from cloud_api.orders import hold, money, overstay, place, store_events
from cloud_api.payments.records import REFUND_CHANGED, SETTLED


async def _settled(cloud: Cloud, job: DueJob) -> None:
    async with cloud.db.write() as session:
        await money.settle(session, job.ref, cloud.clocks)


async def _refund_changed(cloud: Cloud, job: DueJob) -> None:
    async with cloud.db.write() as session:
        await money.refund_changed(session, job.ref.partition(".")[0], cloud.clocks)


async def _forgotten(cloud: Cloud, job: DueJob) -> None:
    async with cloud.db.write() as session:
        await store_events.complete_forgotten(session, job.ref, cloud.clocks)


register(money.FORGOTTEN, _forgotten)
register(overstay.LOOK, overstay.look)
register(place.HOLD, hold.hold_ended)
register(SETTLED, _settled)
register(REFUND_CHANGED, _refund_changed)
