"""The daily bills of the payment services over the past: what moved, what they kept of it, nothing open.

They are what the services themselves say when a bill of such a day is read again: each keeps ``FEE`` per
mille of a payment and gives it back with a refund.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.service import Line
from cloud_api.payments.bill_models import BillRow, ProviderBill
from cloud_api.payments.bills import watch_day, zone_of
from cloud_api.payments.models import PaymentAttempt, ProviderAccount, RefundAttempt
from cloud_api.payments.providers import PROVIDERS
from demo.past.orders import House

FEE: Final = 6
_READ: Final = timedelta(seconds=20)
_Moved = PaymentAttempt | RefundAttempt


def add(house: House, now: datetime) -> None:
    """The bills that were there before ``now``, with their fees in the books."""
    payments = {one.id: one for one in house.payments}
    moved: dict[tuple[str, date], list[_Moved]] = defaultdict(list)
    both: list[_Moved] = [*house.payments, *house.refunds]
    for one in both:
        of = one if isinstance(one, PaymentAttempt) else payments[one.payment_id]
        if PROVIDERS.get(of.provider) is not None and one.succeeded_at is not None:
            day = one.succeeded_at.astimezone(zone_of(of.provider)).date()
            moved[of.provider, day].append(one)
    for (provider, day), rows in sorted(moved.items()):
        account = house.at[provider]
        at = _ready(account, day) + _READ
        if at < now:
            _bill(house, account, day, at, rows, payments)


async def go_on(session: AsyncSession, house: House, clocks: Clocks) -> None:
    """Have the first bill read that is not there yet; the others follow it."""
    for provider, account in house.at.items():
        if PROVIDERS.get(provider) is None:
            continue
        today = clocks.now.astimezone(zone_of(provider)).date()
        yesterday = today - timedelta(days=1)
        unread = _ready(account, yesterday) + _READ >= clocks.now
        await watch_day(session, account, yesterday if unread else today, clocks)


def _ready(account: ProviderAccount, day: date) -> datetime:
    hours = PROVIDERS[account.provider].bills
    assert hours is not None
    ready = datetime.combine(day + timedelta(days=1), hours.ready, ZoneInfo(hours.zone))
    return ready.astimezone(UTC)


def _bill(
    house: House,
    account: ProviderAccount,
    day: date,
    at: datetime,
    rows: list[_Moved],
    payments: dict[str, PaymentAttempt],
) -> None:
    pages = house.pages
    sums = {"payment": 0, "refund": 0}
    fees = 0
    bill = pages.add(
        ProviderBill, at, merchant_id=account.merchant_id, account_ref=account.id,
        provider=account.provider, day=day, state="balanced", lines=len(rows), tries=1, read_at=at,
    )  # fmt: skip
    for one in rows:
        kind = "payment" if isinstance(one, PaymentAttempt) else "refund"
        paid = one if isinstance(one, PaymentAttempt) else payments[one.payment_id]
        fee = round(one.amount_fen * FEE / 1000)
        sums[kind] += one.amount_fen
        fees += fee if kind == "payment" else -fee
        pages.add(
            BillRow,
            at,
            merchant_id=account.merchant_id,
            account_ref=account.id,
            bill_id=bill.id,
            kind=kind,
            number=one.number,
            payment_number=paid.number,
            provider_no=paid.provider_txn or "",
            amount_fen=one.amount_fen,
            fee_fen=fee,
            state="succeeded",
            at=one.succeeded_at,
        )
    bill.theirs_paid_fen = bill.ours_paid_fen = sums["payment"]
    bill.theirs_refunded_fen = bill.ours_refunded_fen = sums["refund"]
    bill.fee_fen = fees
    pages.post(
        "fee",
        f"fees:{bill.id}:{pages.store.id}#1",
        f"account:{account.id}",
        [Line(Account.PROVIDER_FEE, fees, account.id), Line(Account.CLEARING, -fees, account.id)],
        at,
        str(day),
    )
