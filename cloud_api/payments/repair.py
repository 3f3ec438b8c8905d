"""What can be done about a refund that a provider refused for good or is stuck with: ask, or pay by hand.

The guest is owed the money either way; until one of the two is done it counts as on its way back.
"""

from __future__ import annotations

from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Actor, scoped
from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.payments import house, service
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.providers.base import Back
from cloud_api.payments.records import REFUND_CHANGED, REFUSED, lock_refund, record_refund
from cloud_api.payments.transitions import move_refund, note

_MOST_TRIES: Final = 20


async def find_refund(
    session: AsyncSession, actor: Actor, part_of: str, number: str
) -> RefundAttempt:
    """The refund of that number of a payment that belongs to ``part_of``. Raises NotFound."""
    query = (
        scoped(actor, RefundAttempt)
        .join(PaymentAttempt, col(PaymentAttempt.id) == col(RefundAttempt.payment_id))
        .where(col(RefundAttempt.number) == number, col(PaymentAttempt.part_of) == part_of)
    )
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("refund", "没有这笔退款")
    return found


async def look_again(cloud: Cloud, refund_id: str) -> RefundAttempt:
    """Ask the provider once more where a refund stands; it may have gone through after all.

    Nothing is submitted here: whoever is about to pay by hand must not set the money going as well.
    """
    async with cloud.db.read() as session:
        refund = await session.get_one(RefundAttempt, refund_id)
        paid = await session.get_one(PaymentAttempt, refund.payment_id)
    if house.is_house(paid.provider):
        return refund
    payment, provider = await service.load(cloud, refund.payment_id)
    view = await provider.query_refund(service.refund_ask(cloud, payment, refund))
    if view.state in {Back.ABSENT, Back.UNKNOWN}:
        return refund
    async with cloud.db.write() as session:
        return await record_refund(session, refund_id, view, cloud.clocks)


async def ask_again(session: AsyncSession, refund_id: str, clocks: Clocks) -> RefundAttempt:
    """The same money once more: one that the provider is stuck with (a dead card, an empty account) under
    its own number, a refused one under the next; twice the same call gives the same refund.

    After the commit ``service.push_refund`` submits it; a job does so otherwise. What was paid for hears
    of it. Raises Conflict ``refund.not_refused`` (with ``state_now``) where the provider is at it or done,
    and ``refund.too_many`` after twenty numbers.
    """
    refund = await lock_refund(session, refund_id)
    if refund.replaced_by is not None:
        known = select(RefundAttempt).where(col(RefundAttempt.number) == refund.replaced_by)
        return (await session.exec(known)).one()
    if refund.state == "abnormal":  # on its way again: nobody pays it by hand meanwhile
        await move_refund(session, refund, "submitted", last_error=None)
        await _heard(session, refund, clocks)
        return refund
    _refused(refund)
    tag = await _next_tag(session, refund)
    again = await service.ask_refund(
        session,
        refund.payment_id,
        tag=tag,
        amount_fen=refund.amount_fen,
        reason=refund.reason,
        purpose=refund.purpose,
        clocks=clocks,
    )
    await note(session, refund, replaced_by=again.number)
    await _heard(session, refund, clocks)
    return again


async def go_on(
    session: AsyncSession, before: RefundAttempt, asked: RefundAttempt, clocks: Clocks
) -> RefundAttempt:
    """What is on its way after ``look_again``: ``asked`` where that helped already, else ``ask_again``.

    ``before`` is how it stood before the provider was asked. Raises as ``ask_again``.
    """
    if before.state == "abnormal" and asked.state in {"submitted", "succeeded"}:
        return asked
    return await ask_again(session, asked.id, clocks)


async def paid_by_hand(
    session: AsyncSession, refund_id: str, proof: str, clocks: Clocks
) -> RefundAttempt:
    """The guest got the money by other means; ``proof`` says by which (a transfer's number …).

    Twice the same call changes nothing. Raises Conflict ``refund.not_refused``.
    """
    refund = await lock_refund(session, refund_id)
    if refund.state == "by_hand":
        return refund
    if refund.state != "abnormal":
        _refused(refund)
    if refund.replaced_by is not None:
        raise Conflict("refund.not_refused", "这笔退款已换新单号重新提交", state_now="replaced")
    await move_refund(session, refund, "by_hand", proof=proof, succeeded_at=clocks.now)
    await _heard(session, refund, clocks)
    return refund


def _refused(refund: RefundAttempt) -> None:
    if refund.state != "failed":
        raise Conflict(
            "refund.not_refused",
            "这笔退款已经到账" if refund.state == "succeeded" else "这笔退款还在处理，先等结果",
            state_now=refund.state,
        )


async def _next_tag(session: AsyncSession, refund: RefundAttempt) -> str:
    base = refund.number.rsplit("-R", 1)[1].split("x", 1)[0]
    query = select(col(RefundAttempt.number)).where(
        col(RefundAttempt.payment_id) == refund.payment_id
    )
    taken = {number.rsplit("-R", 1)[1] for number in (await session.exec(query)).all()}
    for tried in range(2, _MOST_TRIES + 2):
        if f"{base}x{tried}" not in taken:  # letters and digits: every provider takes them
            return f"{base}x{tried}"
    raise Conflict("refund.too_many", "已经试了很多次，请改为线下退还")


async def _heard(session: AsyncSession, refund: RefundAttempt, clocks: Clocks) -> None:
    """The alarm is over; the books, and what was paid for, hear of it as of any other change."""
    await schedule(
        session,
        merchant_id=refund.merchant_id,
        kind=REFUND_CHANGED,
        ref=f"{refund.id}.{refund.version}",
        run_at=clocks.real,
        clock="wire",
    )
    await signal(
        session,
        merchant_id=refund.merchant_id,
        store_id=refund.store_id,
        kind=REFUSED,
        subject=f"refund:{refund.id}",
        active=False,
        data={},
        at=clocks.real,
    )
