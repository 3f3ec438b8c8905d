"""What runs later around the books: closing days, checking them each night; and what they listen to.

Importing this module registers the handlers.
"""

from __future__ import annotations

from typing import Final

import structlog

from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import register
from cloud_api.kit.models import DueJob
from cloud_api.kit.recurring import every_day
from cloud_api.ledger import closing, fees, money, verify
from cloud_api.ledger.days import CLOSE
from cloud_api.payments import dispatch
from cloud_api.payments.bills import READ

VERIFY: Final = "ledger.verify"
BROKEN: Final = "ledger.broken"

_log = structlog.get_logger(__name__)


async def _close(cloud: Cloud, job: DueJob) -> None:
    store_id, _, day = job.ref.partition(".")
    async with cloud.db.write() as session:
        await closing.close_due(session, store_id, closing.parse(day), cloud.clocks)


async def _verify(cloud: Cloud, job: DueJob) -> None:
    del job
    async with cloud.db.read() as session:
        all_books = await verify.merchants(session)
    for merchant_id in all_books:
        async with cloud.db.snapshot() as session:
            found = await verify.verify(session, merchant_id)
        if found:
            _log.error("ledger.broken", merchant_id=merchant_id, found=found[:20], many=len(found))
        async with cloud.db.write() as session:
            await signal(
                session,
                merchant_id=merchant_id,
                store_id=None,
                kind=BROKEN,
                subject=f"ledger:{merchant_id}",
                active=bool(found),
                data={"detail": "；".join(found[:3])},
                at=cloud.clocks.real,
            )


async def _fees(cloud: Cloud, job: DueJob) -> None:
    async with cloud.db.write() as session:
        await fees.book(session, job.ref.partition(".")[0], cloud.clocks)


register(CLOSE, _close)
register(READ, _fees)
verify.check("fees", fees.check)
register(VERIFY, _verify)
every_day(VERIFY, lambda _settings: "05:40")
dispatch.observe("ledger", settle=money.payment_settled, refund_changed=money.refund_changed)
