"""Refunds that a provider refused or is stuck with, whatever was paid for: staff see and settle them.

The guest is owed the money until it is asked for anew and arrives, or somebody pays it by hand with proof.
What it was for (an order, a group order, a top-up) hears of it through payments/dispatch.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit.service import record
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import KaimenError, NotFound
from cloud_api.payments import repair
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.staff.permissions import ORDER_REFUND

STUCK: Final = ("failed", "abnormal")
MOST: Final = 100


class Stuck(NamedTuple):
    """A refund and the payment it is out of."""

    refund: RefundAttempt
    payment: PaymentAttempt


class Asked(NamedTuple):
    """A refund as it stood, as it stands now that its provider was asked, its payment, and why."""

    before: RefundAttempt
    now: RefundAttempt
    payment: PaymentAttempt
    why: str


async def stuck(session: AsyncSession, who: Staff) -> Sequence[Stuck]:
    """What somebody has to see to, the oldest first, a hundred at most. Needs order.refund."""
    who.need(ORDER_REFUND)
    query = (
        scoped(who, RefundAttempt)
        .where(
            col(RefundAttempt.state).in_(STUCK),
            col(RefundAttempt.replaced_by).is_(None),
        )
        .order_by(col(RefundAttempt.id))
        .limit(MOST)
    )
    found = (await session.exec(query)).all()
    ids = {refund.payment_id for refund in found}
    paid = scoped(who, PaymentAttempt).where(col(PaymentAttempt.id).in_(ids))
    of = {payment.id: payment for payment in (await session.exec(paid)).all()}
    return [Stuck(refund, of[refund.payment_id]) for refund in found]


async def get(session: AsyncSession, who: Staff, refund_id: str) -> Stuck:
    """One refund. Needs order.refund. Raises NotFound."""
    who.need(ORDER_REFUND)
    query = scoped(who, RefundAttempt).where(col(RefundAttempt.id) == refund_id)
    refund = (await session.exec(query)).first()
    if refund is None:
        raise NotFound("refund", "没有这笔退款")
    return Stuck(refund, await session.get_one(PaymentAttempt, refund.payment_id))


async def retry(cloud: Cloud, who: Staff, refund_id: str, why: str) -> Stuck:
    """Have the money given back after all; the answer is the refund that is on its way now.

    The provider is asked about the old one first. One it refused goes out under a new number; one it is
    stuck with is asked for again under its own. Needs ``order.refund`` and, for the amount, the role's
    limit. Raises NotFound, Conflict ``refund.not_refused``, KaimenError ``refund.why``.
    """
    asked = await begin(cloud, who, refund_id, why)
    async with cloud.db.write() as session:
        again = await retry_in(session, who, asked, cloud.clocks)
    return Stuck(await push(cloud, again), asked.payment)


async def begin(cloud: Cloud, who: Staff, refund_id: str, why: str) -> Asked:
    """Check that ``who`` may, and ask the provider; nothing is given back by that. Raises as ``retry``."""
    async with cloud.db.read() as session:
        refund, payment = await get(session, who, refund_id)  # first: elsewhere it does not exist
    why = need_why(why)
    who.need_refund(refund.amount_fen)
    return Asked(refund, await repair.look_again(cloud, refund_id), payment, why)


async def retry_in(
    session: AsyncSession, who: Staff, asked: Asked, clocks: Clocks
) -> RefundAttempt:
    """``retry`` in the caller's transaction, after ``begin``; after the commit comes ``push``."""
    again = await repair.go_on(session, asked.before, asked.now, clocks)
    await _write_down(session, who, "retry", asked, again.number, clocks)
    return again


async def push(cloud: Cloud, again: RefundAttempt) -> RefundAttempt:
    """Let the provider know at once of one that goes out under its own number; its job does so else."""
    return await payments.push_refund(cloud, again.id) if again.state == "submitted" else again


async def paid_by_hand(cloud: Cloud, who: Staff, refund_id: str, why: str, proof: str) -> Stuck:
    """Say that the guest got the money by other means; ``proof`` says where to look.

    Raises as ``retry``, and KaimenError ``refund.proof`` without a proof.
    """
    async with cloud.db.read() as session:
        await get(session, who, refund_id)  # first: elsewhere it does not exist
    proof = need_proof(proof)
    asked = await begin(cloud, who, refund_id, why)
    async with cloud.db.write() as session:
        done = await by_hand_in(session, who, asked, proof, cloud.clocks)
    return Stuck(done, asked.payment)


async def by_hand_in(
    session: AsyncSession, who: Staff, asked: Asked, proof: str, clocks: Clocks
) -> RefundAttempt:
    """``paid_by_hand`` in the caller's transaction, after ``begin``."""
    done = await repair.paid_by_hand(session, asked.before.id, proof, clocks)
    await _write_down(session, who, "by_hand", asked, proof, clocks)
    return done


def need_proof(proof: str) -> str:
    """What was written; raises KaimenError ``refund.proof`` where that is nothing."""
    if len(proof.strip()) < 2:
        raise KaimenError("refund.proof", "请写明怎么退的，比如转账单号", status=422, field="proof")
    return proof.strip()


def need_why(why: str) -> str:
    """What was written; raises KaimenError ``refund.why`` where that is nothing."""
    if len(why.strip()) < 2:
        raise KaimenError("refund.why", "请写明原因", status=422, field="why")
    return why.strip()


async def _write_down(
    session: AsyncSession, who: Staff, what: str, asked: Asked, result: str, clocks: Clocks
) -> None:
    refund = asked.before
    await record(
        session,
        who,
        f"refund.{what}",
        merchant_id=refund.merchant_id,
        store_id=refund.store_id,
        subject=asked.payment.part_of,
        before={"state": refund.state},
        after={"number": refund.number, "amount_fen": refund.amount_fen, "result": result},
        why=asked.why,
        clocks=clocks,
    )
