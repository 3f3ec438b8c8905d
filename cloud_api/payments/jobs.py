"""What runs later around money: watching open payments, closing, refunding, reading the inbox.

Importing this module registers the handlers.
"""

from __future__ import annotations

from datetime import date
from typing import Final

from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, looked, register
from cloud_api.kit.models import DueJob
from cloud_api.payments import bills, dispatch, inbox, keys, service
from cloud_api.payments.records import CLOSED, REFUND_CHANGED, SETTLED
from cloud_api.payments.transitions import OPEN_PAYMENT

_WATCH_S: Final = (3, 3, 5, 5, 10, 10, 20, 30, 60, 60, 120, 300)
_CLOSE_S: Final = (2, 5, 10, 20, 40, 80, 160, 300)
_REFUND_S: Final = (2, 5, 10, 30, 60, 60, 60, 300, 600, 1200, 1800)
_BILL_S: Final = (600, 1200, 1800, 3600)


def _after(ladder: tuple[int, ...], job: DueJob) -> float:
    return ladder[min(looked(job), len(ladder) - 1)]


async def _watch(cloud: Cloud, job: DueJob) -> None:
    """A notification may never come: ask, until there is a final answer."""
    payment = await service.look(cloud, job.ref)
    if not looked(job):
        async with cloud.db.write() as session:
            await bills.watch_payment(session, payment, cloud.clocks)
    if payment.state in OPEN_PAYMENT:
        raise Again(_after(_WATCH_S, job), payment.state)


async def _close(cloud: Cloud, job: DueJob) -> None:
    if await service.settle_or_close(cloud, job.ref) == "unknown":
        raise Again(_after(_CLOSE_S, job), "unknown")


async def _refund(cloud: Cloud, job: DueJob) -> None:
    refund = await service.push_refund(cloud, job.ref)
    if refund.state not in service.REFUND_ENDS and not await service.waits_for_people(
        cloud, refund
    ):
        raise Again(_after(_REFUND_S, job), refund.state)


async def _notice(cloud: Cloud, job: DueJob) -> None:
    await inbox.handle(cloud, job.ref)


async def _settled(cloud: Cloud, job: DueJob) -> None:
    async with cloud.db.write() as session:
        await dispatch.settle(session, job.ref, cloud.clocks)


async def _refund_changed(cloud: Cloud, job: DueJob) -> None:
    async with cloud.db.write() as session:
        await dispatch.refund_changed(session, job.ref.partition(".")[0], cloud.clocks)


async def _closed(cloud: Cloud, job: DueJob) -> None:
    async with cloud.db.write() as session:
        await dispatch.closed(session, job.ref, cloud.clocks)


async def _keys(cloud: Cloud, job: DueJob) -> None:
    done = await keys.fetch(cloud, job.ref)
    if not job.body.get("once"):
        raise Again(keys.EVERY_S if done else 60, "kept" if done else "no answer")


async def _bill(cloud: Cloud, job: DueJob) -> None:
    """Each day's bill, and the next day's after it; asked for again until it is there."""
    account_id, _, day = job.ref.rpartition(":")
    bill = await bills.run(cloud, account_id, date.fromisoformat(day))
    if job.body.get("once"):
        return
    if not looked(job):
        await bills.next_day(cloud, account_id, date.fromisoformat(day))
    if bill.state == "waiting":
        raise Again(_after(_BILL_S, job), bill.last_error or "not there yet")


register(SETTLED, _settled)
register(REFUND_CHANGED, _refund_changed)
register(CLOSED, _closed)
register(bills.BILL, _bill)
register(service.KEYS, _keys)
register(service.WATCH, _watch)
register(service.CLOSE, _close)
register(service.REFUND, _refund)
register(inbox.NOTICE, _notice)
