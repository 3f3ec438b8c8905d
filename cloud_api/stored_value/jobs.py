"""What runs later around balances: gifts end, top-ups settle, held parts are taken or given back.

Importing this module registers the handlers.
"""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob
from cloud_api.ledger.verify import check
from cloud_api.payments import dispatch, house
from cloud_api.stored_value import office, paying, service, topup


async def _expire(cloud: Cloud, job: DueJob) -> None:
    async with cloud.db.write() as session:
        await office.expire(session, job.ref, cloud.clocks)


async def _closed(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    await topup.closed(session, payment_id)
    del clocks


register(service.EXPIRE, _expire)
check("balances", office.check)
house.register(paying.BALANCE, paying.give_back)
dispatch.observe("balances", closed=paying.closed)  # settled: by whoever sold it, under its lock
dispatch.register(topup.KIND, settle=topup.settle, closed=_closed)
