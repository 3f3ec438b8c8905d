"""What a provider told us becomes what we know: the one place where an answer changes an attempt.

Answers come from calls, polls and notifications, often the same one several times and in any order.
"""

from __future__ import annotations

from typing import Any

import structlog
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.i18n import later
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.providers.base import Back, Money, PaymentView, RefundView, Step, StepKind
from cloud_api.payments.transitions import move_payment, move_refund, note

SETTLED = "payment.settled"  # ref: payment id. Money is there: whoever sold the thing applies it
REFUND_CHANGED = "refund.changed"  # ref: "<refund id>.<version>"
CLOSED = "payment.closed"  # ref: payment id. It ended without money
REFUSED = "refund.refused"
BEYOND = (
    "refund.beyond"  # money that we owed went back at the provider already, by somebody else's hand
)
TWICE = "refund.twice"  # it arrived after it was paid by hand, or under another number
WRONG_AMOUNT = "payment.wrong_amount"

_log = structlog.get_logger(__name__)


async def lock_payment(session: AsyncSession, payment_id: str) -> PaymentAttempt:
    """The attempt, read again and held until the transaction ends."""
    query = select(PaymentAttempt).where(col(PaymentAttempt.id) == payment_id).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).one()


async def lock_refund(session: AsyncSession, refund_id: str) -> RefundAttempt:
    """The refund, read again and held until the transaction ends."""
    query = select(RefundAttempt).where(col(RefundAttempt.id) == refund_id).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).one()


async def record_payment(
    session: AsyncSession, payment_id: str, view: PaymentView, clocks: Clocks
) -> PaymentAttempt:
    """Take a provider's word about a payment; the same word again changes nothing.

    A success of another amount than asked is no success: the attempt stays unknown and says so, for
    a person to look at.
    """
    payment = await lock_payment(session, payment_id)
    if view.state is Money.SUCCEEDED:
        if view.amount_fen != payment.amount_fen:
            await _wrong_amount(session, payment, view, clocks)
        elif await move_payment(
            session,
            payment,
            "succeeded",
            provider_txn=view.provider_txn,
            succeeded_at=clocks.now,
            paid_at=view.at,
            last_error=None,
        ):
            await _amount_is_right(session, payment, clocks)
            await schedule(
                session,
                merchant_id=payment.merchant_id,
                kind=SETTLED,
                ref=payment.id,
                run_at=clocks.real,
                clock="wire",
            )
    elif view.state is Money.PENDING:
        shown = {} if view.step is None else _shown(view.step)
        if not await move_payment(session, payment, "pending", last_error=None, **shown) and shown:
            await note(session, payment, **shown)  # pending already, with a fresh step
    elif view.state in {Money.CLOSED, Money.FAILED}:
        if await move_payment(session, payment, view.state.value, last_error=view.detail or None):
            await schedule(
                session,
                merchant_id=payment.merchant_id,
                kind=CLOSED,
                ref=payment.id,
                run_at=clocks.real,
                clock="wire",
            )
    elif view.state is Money.UNKNOWN and payment.state == "created":
        await move_payment(session, payment, "unknown", last_error=view.detail)
    return payment


def _shown(step: Step) -> dict[str, Any]:
    url = step.url if step.kind is StepKind.REDIRECT else None
    return {"step": step.stored(), "redirect_url": url}


async def record_refund(
    session: AsyncSession, refund_id: str, view: RefundView, clocks: Clocks
) -> RefundAttempt:
    """Take a provider's word about a refund; the same word again changes nothing."""
    refund = await lock_refund(session, refund_id)
    if view.state is Back.SUCCEEDED and (refund.state == "by_hand" or refund.replaced_by):
        await _twice(session, refund, clocks)
    if view.state is Back.SUCCEEDED and view.amount_fen != refund.amount_fen:
        _log.error("refund.wrong_amount", number=refund.number, told=view.amount_fen)
        moved = await move_refund(session, refund, "abnormal", last_error="amount differs")
    elif view.state is Back.SUCCEEDED:
        moved = await move_refund(
            session,
            refund,
            "succeeded",
            provider_refund=view.provider_refund,
            succeeded_at=clocks.now,
            last_error=None,
        )
    elif view.state is Back.SUBMITTED:
        moved = await move_refund(
            session, refund, "submitted", provider_refund=view.provider_refund, last_error=None
        )
    elif view.state in {Back.FAILED, Back.ABNORMAL}:
        if refund.state == "succeeded" and view.state is Back.FAILED:
            _log.error("refund.came_back", number=refund.number, why=view.detail)
        moved = await move_refund(
            session, refund, view.state.value, succeeded_at=None, last_error=view.detail
        )
    elif view.state is Back.UNKNOWN and refund.state == "created":
        moved = await move_refund(session, refund, "unknown", last_error=view.detail)
    else:
        moved = False
    if moved:
        await signal(
            session,
            merchant_id=refund.merchant_id,
            store_id=refund.store_id,
            kind=REFUSED,
            subject=f"refund:{refund.id}",
            active=refund.state in {"failed", "abnormal"},
            data={"number": refund.number, "amount_fen": refund.amount_fen},
            at=clocks.real,
        )
        await schedule(
            session,
            merchant_id=refund.merchant_id,
            kind=REFUND_CHANGED,
            ref=f"{refund.id}.{refund.version}",
            run_at=clocks.real,
            clock="wire",
        )
    return refund


async def foreign_refund(
    session: AsyncSession, payment_id: str, number: str, amount_fen: int, clocks: Clocks
) -> RefundAttempt | None:
    """The row of a refund that was made at the provider and not by us; the same number, the same row.

    None where the number is that of a refund of another payment. What the provider says of it is
    recorded as of any other.
    """
    payment = await lock_payment(session, payment_id)
    known = select(RefundAttempt).where(col(RefundAttempt.number) == number)
    if (found := (await session.exec(known)).first()) is not None:
        return found if found.payment_id == payment_id else None
    refund = RefundAttempt(
        merchant_id=payment.merchant_id,
        store_id=payment.store_id,
        account_id=payment.account_id,
        payment_id=payment.id,
        number=number,
        amount_fen=amount_fen,
        reason=later("在收款方后台退款"),
        origin="provider",
        created_at=clocks.now,
    )
    session.add(refund)
    await session.flush()
    _log.warning("refund.foreign", number=number, payment=payment.number, amount_fen=amount_fen)
    return refund


async def beyond(
    session: AsyncSession, payment: PaymentAttempt, short_fen: int, clocks: Clocks
) -> None:
    """So much could not be given back because the provider's console gave it already: for a person to see."""
    _log.error("refund.beyond", number=payment.number, short_fen=short_fen)
    await signal(
        session,
        merchant_id=payment.merchant_id,
        store_id=payment.store_id,
        kind=BEYOND,
        subject=f"payment:{payment.id}",
        active=True,
        data={"number": payment.number, "amount_fen": short_fen, "detail": payment.number},
        at=clocks.real,
    )


async def _twice(session: AsyncSession, refund: RefundAttempt, clocks: Clocks) -> None:
    """The provider gave what was paid by hand, or asked for anew, meanwhile: a person gets it back."""
    _log.error("refund.given_twice", number=refund.number, replaced_by=refund.replaced_by)
    await signal(
        session,
        merchant_id=refund.merchant_id,
        store_id=refund.store_id,
        kind=TWICE,
        subject=f"refund:{refund.id}",
        active=True,
        data={"number": refund.number, "amount_fen": refund.amount_fen, "detail": refund.number},
        at=clocks.real,
    )


async def _amount_is_right(session: AsyncSession, payment: PaymentAttempt, clocks: Clocks) -> None:
    await signal(
        session,
        merchant_id=payment.merchant_id,
        store_id=payment.store_id,
        kind=WRONG_AMOUNT,
        subject=f"payment:{payment.id}",
        active=False,
        data={},
        at=clocks.real,
    )


async def _wrong_amount(
    session: AsyncSession, payment: PaymentAttempt, view: PaymentView, clocks: Clocks
) -> None:
    _log.error(
        "payment.wrong_amount",
        number=payment.number,
        asked=payment.amount_fen,
        told=view.amount_fen,
    )
    error = f"amount differs: asked {payment.amount_fen}, told {view.amount_fen}"
    if not await move_payment(session, payment, "unknown", last_error=error):
        await note(session, payment, last_error=error)
    await signal(
        session,
        merchant_id=payment.merchant_id,
        store_id=payment.store_id,
        kind=WRONG_AMOUNT,
        subject=f"payment:{payment.id}",
        active=True,
        data={
            "number": payment.number,
            "asked_fen": payment.amount_fen,
            "told_fen": view.amount_fen,
        },
        at=clocks.real,
    )
