"""Do the books balance, and do they agree with the money? Each finding is one sentence.

Packages above add what they know (orders, balances) with ``check``. Whoever looks while others work does so
in a ``Database.snapshot``: a payment that arrived between two of its statements would look like an error.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.models import DueJob
from cloud_api.ledger.closing import totals_of
from cloud_api.ledger.models import LedgerDay, LedgerEntry, LedgerTxn
from cloud_api.merchants.models import Merchant
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.records import REFUND_CHANGED, SETTLED
from cloud_api.payments.transitions import GIVEN_BACK

Check = Callable[[AsyncSession, str], Awaitable[list[str]]]
"""Gets a merchant's id; gives what is wrong."""
_checks: Final[dict[str, Check]] = {}
_SYSTEM: Final = System()


def check(name: str, one: Check) -> None:
    """Add what a package above knows."""
    _checks[name] = one


async def verify(session: AsyncSession, merchant_id: str) -> list[str]:
    """What is wrong with a merchant's books; nothing if they balance."""
    found = await _sums(session, merchant_id)
    found += await _days(session, merchant_id)
    found += await _payments(session, merchant_id)
    found += await _refunds(session, merchant_id)
    for one in _checks.values():
        found += await one(session, merchant_id)
    return found


async def merchants(session: AsyncSession) -> list[str]:
    """Whose books there are."""
    return list((await session.exec(select(col(Merchant.id)).order_by(col(Merchant.id)))).all())


async def _sums(session: AsyncSession, merchant_id: str) -> list[str]:
    query = (
        select(col(LedgerEntry.txn_id), func.sum(col(LedgerEntry.amount_fen)))
        .where(col(LedgerEntry.merchant_id) == merchant_id)
        .group_by(col(LedgerEntry.txn_id))
        .having(func.sum(col(LedgerEntry.amount_fen)) != 0)
    )
    return [f"transaction {t} is off by {off} fen" for t, off in (await session.exec(query)).all()]


async def _days(session: AsyncSession, merchant_id: str) -> list[str]:
    query = scoped(_SYSTEM, LedgerDay).where(
        col(LedgerDay.merchant_id) == merchant_id, col(LedgerDay.state) == "closed"
    )
    return [
        f"store {day.store_id}: {day.day} is closed and does not come to what was written down"
        for day in (await session.exec(query)).all()
        if await totals_of(session, day.store_id, day.day) != day.totals
    ]


async def _payments(session: AsyncSession, merchant_id: str) -> list[str]:
    """Conservation: every payment that came is booked with its amount, and nothing else is."""
    query = scoped(_SYSTEM, PaymentAttempt).where(
        col(PaymentAttempt.merchant_id) == merchant_id, col(PaymentAttempt.state) == "succeeded"
    )
    came = {p.id: (p.amount_fen, p.number) for p in (await session.exec(query)).all()}
    waiting = await still_to_run(session, merchant_id, SETTLED)
    return await _compare(session, merchant_id, "payment", came, waiting)


async def _refunds(session: AsyncSession, merchant_id: str) -> list[str]:
    query = scoped(_SYSTEM, RefundAttempt).where(
        col(RefundAttempt.merchant_id) == merchant_id,
        col(RefundAttempt.state).in_(GIVEN_BACK),
    )
    went = {r.id: (r.amount_fen, r.number) for r in (await session.exec(query)).all()}
    refs = await still_to_run(session, merchant_id, REFUND_CHANGED)
    return await _compare(
        session, merchant_id, "refund", went, {ref.partition(".")[0] for ref in refs}
    )


async def _compare(
    session: AsyncSession,
    merchant_id: str,
    what: str,
    real: dict[str, tuple[int, str]],
    waiting: set[str],
) -> list[str]:
    booked: dict[str, int] = {}
    back = f"{what}_came_back"  # arrived and did not stay
    query = (
        select(col(LedgerTxn.key), col(LedgerTxn.kind), func.sum(col(LedgerEntry.amount_fen)))
        .join(LedgerEntry, col(LedgerEntry.txn_id) == col(LedgerTxn.id))
        .where(
            col(LedgerTxn.merchant_id) == merchant_id,
            col(LedgerTxn.kind).in_((what, f"{what}_by_hand", back)),
            col(LedgerEntry.amount_fen) > 0,
        )
        .group_by(col(LedgerTxn.key), col(LedgerTxn.kind))
    )
    for key, kind, amount in (await session.exec(query)).all():
        ref = key.partition(":")[2].partition(".")[0]
        booked[ref] = booked.get(ref, 0) + (-int(amount) if kind == back else int(amount))
    booked = {ref: amount for ref, amount in booked.items() if amount}
    wrong = [
        f"{what} {number}: {amount} fen moved, {booked.get(ref, 0)} are booked"
        for ref, (amount, number) in real.items()
        if booked.get(ref, 0) != amount and not (ref in waiting and ref not in booked)
    ]
    never = booked.keys() - real - waiting
    return wrong + [f"{what} {ref} is booked and never happened" for ref in never]


async def still_to_run(session: AsyncSession, merchant_id: str, kind: str) -> set[str]:
    """The refs of jobs of a kind that are still to run: what they will book is not missed yet."""
    query = select(col(DueJob.ref)).where(
        col(DueJob.merchant_id) == merchant_id,
        col(DueJob.kind) == kind,
        col(DueJob.done_at).is_(None),
        col(DueJob.dead_at).is_(None),
    )
    return set((await session.exec(query)).all())
