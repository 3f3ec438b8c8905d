"""Every payment and refund becomes an entry, whatever it is for: the books' ear at payments/dispatch.py.

Money in: clearing (or the drawer) against advance. Money back: the other way round. What the money
is for moves it on from there (orders/books.py, stored_value). A payment out of a balance passes through
the clearing of its own account as any other does; the balance's movement takes it out of it again.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.models import LedgerTxn
from cloud_api.ledger.service import Line, post
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.transitions import GIVEN_BACK

CASH: Final = "cash"  # the provider whose clearing is the drawer


async def payment_settled(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    """Book a payment that succeeded; once."""
    payment = await session.get_one(PaymentAttempt, payment_id)
    await post(
        session,
        store_id=payment.store_id,
        kind="payment",
        key=f"payment:{payment.id}",
        subject=payment.part_of,
        lines=[
            _where(payment, payment.amount_fen),
            Line(Account.ADVANCE, -payment.amount_fen),
        ],
        clocks=clocks,
        text=payment.number,
        raced=True,  # observers run before the lock of what was paid for
    )


async def refund_changed(session: AsyncSession, refund_id: str, clocks: Clocks) -> None:
    """Book a refund that arrived, or that somebody paid by other means; once.

    One that arrived and came back is booked the other way round, and anew when it is there at last.
    """
    refund = await session.get_one(RefundAttempt, refund_id)
    payment = await session.get_one(PaymentAttempt, refund.payment_id)
    times = await session.exec(
        select(func.count())
        .select_from(LedgerTxn)
        .where(
            col(LedgerTxn.merchant_id) == refund.merchant_id,
            col(LedgerTxn.key).startswith(f"refund:{refund.id}"),
        )
    )
    posted = times.one()
    arrived = refund.state in GIVEN_BACK
    if arrived == bool(posted % 2):
        return
    by_hand = refund.state == "by_hand"
    amount = refund.amount_fen if arrived else -refund.amount_fen
    kind = "refund_by_hand" if by_hand else "refund"
    await post(
        session,
        store_id=payment.store_id,
        kind=kind if arrived else "refund_came_back",
        key=f"refund:{refund.id}" + (f".{posted + 1}" if posted else ""),
        subject=payment.part_of,
        lines=[
            Line(Account.ADVANCE, amount),
            Line(Account.OUTSIDE, -amount, payment.account_ref)
            if by_hand
            else _where(payment, -amount),
        ],
        clocks=clocks,
        text=refund.number,
        raced=True,
    )


async def fee(
    session: AsyncSession,
    *,
    store_id: str,
    account_ref: str,
    amount_fen: int,
    key: str,
    clocks: Clocks,
    text: str = "",
) -> bool:
    """Book what a provider kept for itself (from its bill); ``key`` names the row of the bill."""
    return await post(
        session,
        store_id=store_id,
        kind="fee",
        key=key,
        subject=f"account:{account_ref}",
        lines=[
            Line(Account.PROVIDER_FEE, amount_fen, account_ref),
            Line(Account.CLEARING, -amount_fen, account_ref),
        ],
        clocks=clocks,
        text=text,
    )


async def payout(
    session: AsyncSession,
    *,
    store_id: str,
    account_ref: str,
    amount_fen: int,
    key: str,
    clocks: Clocks,
    text: str = "",
) -> bool:
    """Book what a provider paid out to the bank."""
    return await post(
        session,
        store_id=store_id,
        kind="payout",
        key=key,
        subject=f"account:{account_ref}",
        lines=[
            Line(Account.BANK, amount_fen),
            Line(Account.CLEARING, -amount_fen, account_ref),
        ],
        clocks=clocks,
        text=text,
    )


def _where(payment: PaymentAttempt, amount_fen: int) -> Line:
    if payment.provider == CASH:
        return Line(Account.CASH, amount_fen)
    return Line(Account.CLEARING, amount_fen, payment.account_ref)
