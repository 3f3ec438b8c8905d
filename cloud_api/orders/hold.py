"""The end of a hold: first ask whether the money came, then make sure that it cannot, then let go."""

from __future__ import annotations

from cloud_api.claims import service as claims
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.models import DueJob
from cloud_api.orders.models import Order
from cloud_api.orders.money import HOLD_EXPIRED, pays
from cloud_api.orders.transitions import move, system_lock
from cloud_api.payments import hold_end
from cloud_api.payments import service as payments


async def hold_ended(cloud: Cloud, job: DueJob) -> None:
    """Job ``order.hold``: paid → confirm; not paid → close, then release; unknown → keep and ask again.

    The claim is released only after every attempt is known never to be paid.
    """
    async with cloud.db.read() as session:
        order = await session.get_one(Order, job.ref)
        attempts = await payments.payments_of(session, pays(job.ref))
    if order.status != "pending_payment":
        return
    if await hold_end.money_came(cloud, job, attempts):
        return
    async with cloud.db.write() as session:
        order = await system_lock(session, job.ref)
        if order.status != "pending_payment":
            return
        hold_end.nothing_comes(await payments.payments_of(session, pays(job.ref)))
        await claims.release(session, order.claim_id, HOLD_EXPIRED)
        await move(
            session,
            order,
            "cancelled",
            by="system",
            why=HOLD_EXPIRED,
            clocks=cloud.clocks,
            cancel_why=HOLD_EXPIRED,
        )
