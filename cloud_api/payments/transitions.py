"""Every change a payment or a refund may go through, in one table; each is a conditional UPDATE.

``closed`` and ``failed`` may still become ``succeeded``: what a provider has told us does not keep
money from arriving, and money that arrived is never looked away from. A refund that ``succeeded`` may
still become ``failed``: a card's bank may send it back weeks later (Stripe documents it for every
refund), and then the guest is owed it again.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.payments.models import PaymentAttempt, RefundAttempt

PAYMENT: Final[dict[str, frozenset[str]]] = {
    "created": frozenset({"pending", "succeeded", "closed", "failed", "unknown"}),
    "pending": frozenset({"succeeded", "closed", "failed", "unknown"}),
    "unknown": frozenset({"pending", "succeeded", "closed", "failed"}),
    "closed": frozenset({"succeeded"}),
    "failed": frozenset({"succeeded"}),
    "succeeded": frozenset(),
}
REFUND: Final[dict[str, frozenset[str]]] = {
    "created": frozenset({"submitted", "succeeded", "failed", "abnormal", "unknown"}),
    "submitted": frozenset({"succeeded", "failed", "abnormal"}),
    "unknown": frozenset({"submitted", "succeeded", "failed", "abnormal"}),
    "abnormal": frozenset({"submitted", "succeeded", "failed", "by_hand"}),
    "failed": frozenset({"succeeded", "by_hand"}),
    "succeeded": frozenset({"failed"}),
    "by_hand": frozenset(),
}
GIVEN_BACK: Final = frozenset({"succeeded", "by_hand"})
OPEN_PAYMENT: Final = ("created", "pending", "unknown")


async def move_payment(
    session: AsyncSession, payment: PaymentAttempt, to: str, **values: Any
) -> bool:
    """Change the state; False when the table has no such change or somebody changed it first."""
    return to in PAYMENT[payment.state] and await _move(
        session, PaymentAttempt, payment, state=to, **values
    )


async def move_refund(session: AsyncSession, refund: RefundAttempt, to: str, **values: Any) -> bool:
    """Change the state; False when the table has no such change or somebody changed it first."""
    return to in REFUND[refund.state] and await _move(
        session, RefundAttempt, refund, state=to, **values
    )


async def note(
    session: AsyncSession, attempt: PaymentAttempt | RefundAttempt, **values: Any
) -> bool:
    """Write facts beside the state (``last_error``, ``applied``), under the same version check."""
    return await _move(session, type(attempt), attempt, **values)


async def _move(
    session: AsyncSession,
    model: type[PaymentAttempt] | type[RefundAttempt],
    row: PaymentAttempt | RefundAttempt,
    **values: Any,
) -> bool:
    changed = await session.exec(
        update(model)
        .where(
            col(model.id) == row.id,
            col(model.state) == row.state,
            col(model.version) == row.version,
        )
        .values(version=row.version + 1, **values)
        .returning(col(model.id))
        .execution_options(synchronize_session=False)
    )
    done = changed.first() is not None
    await session.refresh(row)
    return done
