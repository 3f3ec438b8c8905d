"""What providers keep for themselves, by their daily bills: booked per day and store, and brought up to date
when a bill is read again.
"""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.ledger import money
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.models import LedgerEntry, LedgerTxn
from cloud_api.ledger.verify import still_to_run
from cloud_api.payments.bill_models import BillRow, ProviderBill
from cloud_api.payments.bills import READ
from cloud_api.payments.models import PaymentAttempt
from cloud_api.stores.models import Store

_SYSTEM = System()
_CHUNK = 400


async def book(session: AsyncSession, bill_id: str, clocks: Clocks) -> int:
    """Bring the fees of a day's bill into the books; what changed, in fen. Again changes nothing.

    A fee belongs to the store of its payment; of a payment nobody knows to the account's store, or to the
    merchant's first. The bill is locked, so two never book the same difference.
    """
    locked = select(ProviderBill).where(col(ProviderBill.id) == bill_id).with_for_update()
    bill = (await session.exec(locked)).one()
    booked = await _booked(session, bill)
    wanted = await _wanted(session, bill)
    changed = 0
    for store_id in sorted({*booked, *wanted}):
        have, times = booked.get(store_id, (0, 0))
        off = wanted.get(store_id, 0) - have
        if off:
            await money.fee(
                session,
                store_id=store_id,
                account_ref=bill.account_ref,
                amount_fen=off,
                key=f"{_prefix(bill, store_id)}{times + 1}",
                clocks=clocks,
                text=str(bill.day),
            )
            changed += off
    return changed


async def _wanted(session: AsyncSession, bill: ProviderBill) -> dict[str, int]:
    """Store → what the bill says was kept there, less what came back with refunds."""
    query = scoped(_SYSTEM, BillRow).where(
        col(BillRow.bill_id) == bill.id,
        col(BillRow.state) == "succeeded",
        col(BillRow.fee_fen) != 0,
    )
    by_payment: dict[str, int] = defaultdict(int)
    for row in (await session.exec(query)).all():
        by_payment[row.payment_number] += row.fee_fen if row.kind == "payment" else -row.fee_fen
    numbers = sorted(by_payment)
    stores: dict[str, str] = {}
    for start in range(0, len(numbers), _CHUNK):
        known = select(col(PaymentAttempt.number), col(PaymentAttempt.store_id)).where(
            col(PaymentAttempt.merchant_id) == bill.merchant_id,
            col(PaymentAttempt.number).in_(numbers[start : start + _CHUNK]),
        )
        stores |= dict((await session.exec(known)).all())
    found: dict[str, int] = defaultdict(int)
    for number, amount in by_payment.items():
        found[stores.get(number) or await _home(session, bill)] += amount
    return found


async def _home(session: AsyncSession, bill: ProviderBill) -> str:
    if bill.store_id is not None:
        return bill.store_id
    first = select(col(Store.id)).where(col(Store.merchant_id) == bill.merchant_id)
    return (await session.exec(first.order_by(col(Store.id)).limit(1))).one()


async def _booked(session: AsyncSession, bill: ProviderBill) -> dict[str, tuple[int, int]]:
    """Store → what is booked of this bill already, in fen, and in how many transactions."""
    query = (
        select(
            col(LedgerTxn.store_id),
            func.sum(col(LedgerEntry.amount_fen)),
            func.count(col(LedgerTxn.id)),
        )
        .join(LedgerEntry, col(LedgerEntry.txn_id) == col(LedgerTxn.id))
        .where(
            col(LedgerTxn.merchant_id) == bill.merchant_id,
            col(LedgerTxn.key).startswith(f"fees:{bill.id}:"),
            col(LedgerEntry.account) == Account.PROVIDER_FEE.value,
        )
        .group_by(col(LedgerTxn.store_id))
    )
    return {store: (int(sum_), int(count)) for store, sum_, count in (await session.exec(query))}


def _prefix(bill: ProviderBill, store_id: str) -> str:
    return f"fees:{bill.id}:{store_id}#"


async def check(session: AsyncSession, merchant_id: str) -> list[str]:
    """For ``ledger.verify``: bills whose fees are not those that are booked."""
    query = scoped(_SYSTEM, ProviderBill).where(
        col(ProviderBill.merchant_id) == merchant_id, col(ProviderBill.read_at).is_not(None)
    )
    sums = (
        select(col(LedgerTxn.key), col(LedgerEntry.amount_fen))
        .join(LedgerEntry, col(LedgerEntry.txn_id) == col(LedgerTxn.id))
        .where(
            col(LedgerTxn.merchant_id) == merchant_id,
            col(LedgerTxn.key).startswith("fees:"),
            col(LedgerEntry.account) == Account.PROVIDER_FEE.value,
        )
    )
    booked: dict[str, int] = defaultdict(int)
    for key, amount in (await session.exec(sums)).all():
        booked[key.split(":")[1]] += int(amount)
    later = {ref.partition(".")[0] for ref in await still_to_run(session, merchant_id, READ)}
    return [
        f"bill {bill.day} of {bill.provider}: fees of {bill.fee_fen} fen, {booked[bill.id]} are booked"
        for bill in (await session.exec(query)).all()
        if booked[bill.id] != bill.fee_fen and bill.id not in later
    ]
