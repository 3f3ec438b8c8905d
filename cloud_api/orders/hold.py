"""The end of a hold: first ask whether the money came, then make sure that it cannot, then let go."""

from __future__ import annotations

from typing import Final

from cloud_api.claims import service as claims
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import Again, looked
from cloud_api.kit.models import DueJob
from cloud_api.orders.models import Order
from cloud_api.orders.money import HOLD_EXPIRED, pays
from cloud_api.orders.transitions import move, system_lock
from cloud_api.payments import dispatch
from cloud_api.payments import service as payments
from cloud_api.payments.transitions import OPEN_PAYMENT

_ASK_AGAIN_S: Final = (2, 4, 8, 15, 30, 60, 120, 300)


async def hold_ended(cloud: Cloud, job: DueJob) -> None:
    """Job ``order.hold``: paid → confirm; not paid → close, then release; unknown → keep and ask again.

    The claim is released only after every attempt is known never to be paid.
    """
    async with cloud.db.read() as session:
        order = await session.get_one(Order, job.ref)
        attempts = await payments.payments_of(session, pays(job.ref))
    if order.status != "pending_payment":
        return
    for attempt in attempts:
        if attempt.applied is not None:
            continue  # it came, and went back: not all of the price was there
        state = attempt.state
        if state in OPEN_PAYMENT:
            state = await payments.settle_or_close(cloud, attempt.id)
        if state == "succeeded":
            async with cloud.db.write() as session:
                await dispatch.settle(session, attempt.id, cloud.clocks)
            return
        if state == "unknown":
            after = _ASK_AGAIN_S[min(looked(job), len(_ASK_AGAIN_S) - 1)]
            raise Again(after, "the provider does not say whether the money came")
    async with cloud.db.write() as session:
        order = await system_lock(session, job.ref)
        if order.status != "pending_payment":
            return
        attempts = await payments.payments_of(session, pays(job.ref))
        waiting = [attempt for attempt in attempts if attempt.applied is None]
        if any(attempt.state in (*OPEN_PAYMENT, "succeeded") for attempt in waiting):
            raise Again(1, "a payment was opened or arrived meanwhile")
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
