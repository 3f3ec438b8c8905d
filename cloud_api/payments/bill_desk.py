"""What staff do about bills: look, have one read again, close a difference with a note."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import NamedTuple

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.payments import bills
from cloud_api.payments.bill_models import BillDifference, ProviderBill
from cloud_api.payments.models import ProviderAccount
from cloud_api.staff.permissions import MONEY_RECONCILE, REPORT_READ

PAGE = 50


class Read(NamedTuple):
    """A bill with its account's name."""

    bill: ProviderBill
    account: str


async def list_bills(
    session: AsyncSession, who: Staff, *, state: str = "", before: date | None = None
) -> Sequence[Read]:
    """The newest days first, fifty at most, ``before`` a day. Needs report.read."""
    who.need(REPORT_READ)
    query = scoped(who, ProviderBill).where(col(ProviderBill.state) != "none")
    if state:
        query = query.where(col(ProviderBill.state) == state)
    if before is not None:
        query = query.where(col(ProviderBill.day) < before)
    newest = query.order_by(col(ProviderBill.day).desc(), col(ProviderBill.id)).limit(PAGE)
    found = (await session.exec(newest)).all()
    names = await _names(session, who, {bill.account_ref for bill in found})
    return [Read(bill, names.get(bill.account_ref, "")) for bill in found]


async def get_bill(
    session: AsyncSession, who: Staff, bill_id: str
) -> tuple[Read, Sequence[BillDifference]]:
    """A day and where it differs, what is open first. Needs report.read. Raises NotFound."""
    who.need(REPORT_READ)
    bill = await _one(session, who, bill_id)
    query = scoped(who, BillDifference).where(col(BillDifference.bill_id) == bill.id)
    found = (await session.exec(query.order_by(col(BillDifference.id)))).all()
    names = await _names(session, who, {bill.account_ref})
    open_first = sorted(found, key=lambda difference: difference.state != "open")
    return Read(bill, names.get(bill.account_ref, "")), open_first


async def read_again(
    session: AsyncSession, who: Staff, bill_id: str, clocks: Clocks
) -> ProviderBill:
    """Have the provider asked again for that day, now. Needs money.reconcile. Raises NotFound."""
    who.need(MONEY_RECONCILE)
    bill = await _one(session, who, bill_id)
    await schedule(
        session,
        merchant_id=bill.merchant_id,
        kind=bills.BILL,
        ref=f"{bill.account_ref}:{bill.day}",
        run_at=clocks.real,
        clock="wire",
        body={"once": True},
    )
    await audit.record(
        session,
        who,
        "bill.read",
        merchant_id=bill.merchant_id,
        store_id=bill.store_id,
        subject=f"bill:{bill.id}",
        after={"day": str(bill.day), "provider": bill.provider},
        clocks=clocks,
    )
    return bill


async def resolve(
    session: AsyncSession, who: Staff, difference_id: str, note: str, clocks: Clocks
) -> BillDifference:
    """Close a difference: ``note`` says what was found out. Needs money.reconcile.

    Raises NotFound, KaimenError ``bill.note``, Conflict ``bill.not_open`` (with ``state_now``).
    """
    who.need(MONEY_RECONCILE)
    note = note.strip()
    if len(note) < 2:
        raise KaimenError("bill.note", "写一句查到了什么", status=422, field="why")
    query = scoped(who, BillDifference).where(col(BillDifference.id) == difference_id)
    found = (await session.exec(query.with_for_update())).first()
    if found is None:
        raise NotFound("difference", "没有这条差异")
    if found.state != "open":
        raise Conflict("bill.not_open", "这条已经处理过了", state_now=found.state)
    found.state, found.note, found.by, found.ended_at = "resolved", note, who.ref, clocks.now
    session.add(found)
    await session.flush()
    await bills.settle_bill(session, found.bill_id, clocks)
    await audit.record(
        session,
        who,
        "bill.resolve",
        merchant_id=found.merchant_id,
        store_id=found.store_id,
        subject=f"difference:{found.id}",
        before={"state": "open"},
        after={"state": "resolved", "number": found.number, "category": found.category},
        why=note,
        clocks=clocks,
    )
    return found


async def _one(session: AsyncSession, who: Staff, bill_id: str) -> ProviderBill:
    query = scoped(who, ProviderBill).where(col(ProviderBill.id) == bill_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("bill", "没有这份账单")
    return found


async def _names(session: AsyncSession, who: Staff, ids: set[str]) -> dict[str, str]:
    query = scoped(who, ProviderAccount).where(col(ProviderAccount.id).in_(ids))
    return {account.id: account.name for account in (await session.exec(query)).all()}
