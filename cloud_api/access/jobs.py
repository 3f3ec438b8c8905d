"""What happens to the right to enter after an order changed: ``access.grant`` and ``access.revoke``."""

from __future__ import annotations

from cloud_api.access import grants, room_control
from cloud_api.kit.actor import System
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob
from cloud_api.orders import followers
from cloud_api.orders.money import GRANT, REVOKE
from cloud_api.orders.transitions import lock_order


async def _grant(cloud: Cloud, job: DueJob) -> None:
    async with cloud.db.write() as session:
        order = await lock_order(session, System(), job.ref)
        await grants.ensure_grant(session, order, cloud.clocks)


async def _revoke(cloud: Cloud, job: DueJob) -> None:
    """Only if the order still gives no right: a later payment may have brought it back."""
    async with cloud.db.write() as session:
        order = await lock_order(session, System(), job.ref)
        if order.status not in grants.LIVE:
            await grants.revoke(session, order, cloud.clocks)


register(GRANT, _grant)
register(REVOKE, _revoke)
followers.follow("access.room_control", room_control.let_go)
