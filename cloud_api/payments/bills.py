"""Reconciliation: a day's bill is read, what is missing here is asked for, what is left waits for a person.

Everything may be run again: the same day again reads the bill anew and says how it is now.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import delete, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.alarm_signals import signal
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.ids import new_id
from cloud_api.kit.upsert import insert_or_ignore
from cloud_api.payments import service
from cloud_api.payments.bill_models import BillDifference, BillRow, ProviderBill
from cloud_api.payments.matching import Difference, Key, Ours, compare
from cloud_api.payments.models import PaymentAttempt, ProviderAccount, RefundAttempt
from cloud_api.payments.providers import PROVIDERS
from cloud_api.payments.providers.base import Back, BillLine, BillState, BillView
from cloud_api.payments.records import foreign_refund, record_refund

BILL: Final = "payment.bill"  # ref: "<account id>:<day>"
READ: Final = "bill.read"  # ref: "<bill id>.<tries>". A bill was read: the books take its fees
UNBALANCED: Final = "payment.unbalanced"
_LATE_AFTER: Final = 24  # tries; a bill that is so late is somebody's business
_BELIEVE_EMPTY_AFTER: Final = 6  # tries: a bill may be late where there should be one
_CHUNK: Final = 400
_COUNTS: Final = (
    "lines",
    "theirs_paid_fen",
    "theirs_refunded_fen",
    "fee_fen",
    "ours_paid_fen",
    "ours_refunded_fen",
    "open_differences",
    "healed",
    "tries",
)


def zone_of(provider: str) -> ZoneInfo:
    """The provider's calendar."""
    hours = PROVIDERS[provider].bills
    return ZoneInfo("Asia/Shanghai" if hours is None else hours.zone)


async def watch_day(
    session: AsyncSession, account: ProviderAccount, day: date, clocks: Clocks
) -> None:
    """Have the bill of ``day`` read once it is there; the same day again adds nothing."""
    hours = PROVIDERS[account.provider].bills
    if hours is None:
        return
    ready = datetime.combine(day + timedelta(days=1), hours.ready, ZoneInfo(hours.zone))
    await schedule(
        session,
        merchant_id=account.merchant_id,
        kind=BILL,
        ref=f"{account.id}:{day}",
        run_at=ready.astimezone(UTC),
    )


async def watch_payment(session: AsyncSession, payment: PaymentAttempt, clocks: Clocks) -> None:
    """The day on which somebody began to pay has a bill."""
    account = await session.get_one(ProviderAccount, payment.account_ref)
    day = payment.created_at.astimezone(zone_of(account.provider)).date()
    await watch_day(session, account, day, clocks)


async def run(cloud: Cloud, account_id: str, day: date) -> ProviderBill:
    """Read the bill of a day, heal what can be healed, say what is left; the bill's row as it is now."""
    async with cloud.db.read() as session:
        account = await session.get_one(ProviderAccount, account_id)
    view = await service.provider_of(cloud, account).fetch_bill(day)
    bill = await _begin(cloud, account, day, view)
    if view.state is not BillState.READY or bill.state == "waiting":
        return bill
    healed = await _heal(cloud, account, view.lines)
    return await _conclude(cloud, account, bill, view, healed)


async def next_day(cloud: Cloud, account_id: str, day: date) -> None:
    """The days follow each other as long as the account is there."""
    async with cloud.db.write() as session:
        account = await session.get_one(ProviderAccount, account_id)
        if account.enabled:
            await watch_day(session, account, day + timedelta(days=1), cloud.clocks)


async def _begin(cloud: Cloud, account: ProviderAccount, day: date, view: BillView) -> ProviderBill:
    """The row of the bill; ``waiting`` where it is not there, or empty though we have money."""
    async with cloud.db.write() as session:
        await insert_or_ignore(
            session,
            ProviderBill,
            {
                "id": new_id(),
                "merchant_id": account.merchant_id,
                "store_id": account.store_id,
                "account_ref": account.id,
                "provider": account.provider,
                "day": day,
                "state": "waiting",
                "digest": "",
                **dict.fromkeys(_COUNTS, 0),
            },
        )
        bill = await _bill(session, account.id, day)
        bill.tries += 1
        bill.last_error = view.detail or None
        if view.state is BillState.NONE:
            bill.state = "none"
        elif view.state is BillState.READY:
            early = bill.tries < _BELIEVE_EMPTY_AFTER
            if not view.lines and early and await _of_the_day(session, account, day):
                bill.state, bill.last_error = "waiting", "empty, though there was money"
            else:
                bill.state = "open"
        elif bill.read_at is None:
            bill.state = "waiting"
        session.add(bill)
        await session.flush()
        if bill.state == "waiting" and bill.tries >= _LATE_AFTER:
            await _alarm(session, bill, cloud.clocks, active=True)
        return bill


async def _heal(cloud: Cloud, account: ProviderAccount, lines: Sequence[BillLine]) -> int:
    """What the bill has and we do not count: ask the provider, and take its word as at any time."""
    async with cloud.db.read() as session:
        known = await _known(session, account, lines)
    healed = 0
    for line in lines:
        ours = known.get((line.kind, line.number))
        if line.state != "succeeded" or (ours is not None and ours.moved):
            continue
        if line.kind == "payment":
            healed += await _heal_payment(cloud, account, line)
        else:
            healed += await _heal_refund(cloud, account, line)
    return healed


async def _heal_payment(cloud: Cloud, account: ProviderAccount, line: BillLine) -> bool:
    payment = await _payment(cloud, account, line.number)
    if payment is None:
        return False
    return (await service.look(cloud, payment.id)).state == "succeeded"


async def _heal_refund(cloud: Cloud, account: ProviderAccount, line: BillLine) -> bool:
    """Also one that somebody made in the provider's own console: it gets its row here."""
    payment = await _payment(cloud, account, line.payment_number)
    if payment is None or (await service.look(cloud, payment.id)).state != "succeeded":
        return False
    payment, provider = await service.load(cloud, payment.id)
    view = await provider.query_refund(service.foreign_ask(cloud, payment, line.number))
    if view.state is not Back.SUCCEEDED or view.amount_fen is None:
        return False
    async with cloud.db.write() as session:
        refund = await foreign_refund(
            session, payment.id, line.number, view.amount_fen, cloud.clocks
        )
        if refund is None:
            return False
        done = await record_refund(session, refund.id, view, cloud.clocks)
        return done.state == "succeeded"


async def _conclude(
    cloud: Cloud, account: ProviderAccount, bill: ProviderBill, view: BillView, healed: int
) -> ProviderBill:
    """Keep the lines, compare, and write down what is left."""
    async with cloud.db.write() as session:
        bill = await _bill(session, account.id, bill.day)
        await session.exec(delete(BillRow).where(col(BillRow.bill_id) == bill.id))
        # A line that stands twice is one: number by number it is counted as it is kept.
        once = {(one.kind, one.number, one.payment_number): one for one in view.lines}.values()
        session.add_all(
            BillRow(
                merchant_id=bill.merchant_id,
                account_ref=account.id,
                bill_id=bill.id,
                kind=line.kind,
                number=line.number,
                payment_number=line.payment_number,
                provider_no=line.provider_no,
                amount_fen=line.amount_fen,
                fee_fen=line.fee_fen,
                state=line.state,
                at=line.at,
            )
            for line in once
        )
        await session.flush()
        known = await _known(session, account, view.lines)
        mine = await _of_the_day(session, account, bill.day)
        elsewhere = await _elsewhere(session, bill, mine)
        found = compare(view.lines, known, mine, elsewhere)
        left = await _write_down(session, bill, found, cloud.clocks)
        moved = [line for line in once if line.state == "succeeded"]
        bill.lines = len(once)
        bill.digest = view.digest
        bill.theirs_paid_fen = sum(one.amount_fen for one in moved if one.kind == "payment")
        bill.theirs_refunded_fen = sum(one.amount_fen for one in moved if one.kind == "refund")
        bill.fee_fen = sum(one.fee_fen if one.kind == "payment" else -one.fee_fen for one in moved)
        counted = {ours.key: ours for ours in known.values() if ours.moved}
        counted |= {ours.key: ours for ours in mine if ours.key not in elsewhere}
        bill.ours_paid_fen = sum(o.amount_fen for o in counted.values() if o.kind == "payment")
        bill.ours_refunded_fen = sum(o.amount_fen for o in counted.values() if o.kind == "refund")
        bill.open_differences = left
        bill.healed += healed
        bill.state = "open" if left else "balanced"
        bill.last_error = None
        bill.read_at = cloud.clocks.now
        session.add(bill)
        await session.flush()
        await _alarm(session, bill, cloud.clocks, active=left > 0)
        await schedule(
            session,
            merchant_id=bill.merchant_id,
            kind=READ,
            ref=f"{bill.id}.{bill.tries}",
            run_at=cloud.clocks.real,
            clock="wire",
        )
        return bill


async def _write_down(
    session: AsyncSession, bill: ProviderBill, found: Sequence[Difference], clocks: Clocks
) -> int:
    """New differences are added, those that are gone healed, those that a person closed stay closed."""
    query = select(BillDifference).where(col(BillDifference.bill_id) == bill.id)
    before = {(d.category, d.kind, d.number): d for d in (await session.exec(query)).all()}
    now = {difference.key: difference for difference in found}
    for key, difference in before.items():
        if key not in now and difference.state == "open":
            difference.state, difference.ended_at = "healed", clocks.now
            session.add(difference)
    left = 0
    for key, one in now.items():
        known = before.get(key)
        if known is not None:
            if known.state == "healed":
                known.state, known.ended_at = "open", None
                session.add(known)
            left += known.state == "open"
            continue
        left += 1
        session.add(
            BillDifference(
                merchant_id=bill.merchant_id,
                store_id=bill.store_id if one.ours is None else one.ours.store_id,
                bill_id=bill.id,
                category=one.category,
                kind=one.kind,
                number=one.number,
                theirs_fen=one.theirs_fen,
                ours_fen=None if one.ours is None else one.ours.amount_fen,
                ours_state=None if one.ours is None else one.ours.state,
                pays=None if one.ours is None else one.ours.pays,
                found_at=clocks.now,
            )
        )
    await session.flush()
    return left


async def settle_bill(session: AsyncSession, bill_id: str, clocks: Clocks) -> ProviderBill:
    """Count again what is open, after a person closed something."""
    query = select(BillDifference).where(
        col(BillDifference.bill_id) == bill_id, col(BillDifference.state) == "open"
    )
    left = len((await session.exec(query)).all())
    await session.exec(
        update(ProviderBill)
        .where(col(ProviderBill.id) == bill_id)
        .values(open_differences=left, state="open" if left else "balanced")
        .execution_options(synchronize_session=False)
    )
    bill = await session.get_one(ProviderBill, bill_id)
    await session.refresh(bill)
    await _alarm(session, bill, clocks, active=left > 0)
    return bill


# --------------------------------------------------------------------------------------- our books


async def _known(
    session: AsyncSession, account: ProviderAccount, lines: Sequence[BillLine]
) -> dict[Key, Ours]:
    found: dict[Key, Ours] = {}
    payments = sorted({line.number for line in lines if line.kind == "payment"})
    refunds = sorted({line.number for line in lines if line.kind == "refund"})
    for start in range(0, len(payments), _CHUNK):
        query = select(PaymentAttempt).where(
            col(PaymentAttempt.account_ref) == account.id,
            col(PaymentAttempt.number).in_(payments[start : start + _CHUNK]),
        )
        found |= {("payment", p.number): _ours(p) for p in (await session.exec(query)).all()}
    for start in range(0, len(refunds), _CHUNK):
        both = _refunds(account).where(
            col(RefundAttempt.number).in_(refunds[start : start + _CHUNK])
        )
        found |= {
            ("refund", r.number): _our_refund(r, p) for r, p in (await session.exec(both)).all()
        }
    return found


async def _of_the_day(session: AsyncSession, account: ProviderAccount, day: date) -> list[Ours]:
    """What moved on that day of the provider's calendar, as far as we know."""
    zone = zone_of(account.provider)
    start = datetime.combine(day, datetime.min.time(), zone).astimezone(UTC)
    end = datetime.combine(day + timedelta(days=1), datetime.min.time(), zone).astimezone(UTC)
    near = (start - timedelta(days=2), end + timedelta(days=2))
    query = select(PaymentAttempt).where(
        col(PaymentAttempt.account_ref) == account.id,
        col(PaymentAttempt.state) == "succeeded",
        col(PaymentAttempt.succeeded_at).between(*near),
    )
    payments = [
        _ours(p)
        for p in (await session.exec(query)).all()
        if start <= (p.paid_at or p.succeeded_at or end) < end
    ]
    done = _refunds(account).where(
        col(RefundAttempt.state) == "succeeded",
        col(RefundAttempt.succeeded_at) >= start,
        col(RefundAttempt.succeeded_at) < end,
    )
    return payments + [_our_refund(r, p) for r, p in (await session.exec(done)).all()]


async def _elsewhere(session: AsyncSession, bill: ProviderBill, mine: Sequence[Ours]) -> set[Key]:
    """Those of ``mine`` that another day's bill has: midnight is not the same moment for everybody."""
    found: set[Key] = set()
    numbers = sorted({ours.number for ours in mine})
    for start in range(0, len(numbers), _CHUNK):
        query = select(col(BillRow.kind), col(BillRow.number)).where(
            col(BillRow.account_ref) == bill.account_ref,
            col(BillRow.bill_id) != bill.id,
            col(BillRow.number).in_(numbers[start : start + _CHUNK]),
        )
        found |= {(kind, number) for kind, number in (await session.exec(query)).all()}
    return found


def _refunds(account: ProviderAccount) -> Any:
    return (
        select(RefundAttempt, PaymentAttempt)
        .join(PaymentAttempt, col(PaymentAttempt.id) == col(RefundAttempt.payment_id))
        .where(col(PaymentAttempt.account_ref) == account.id)
    )


def _ours(p: PaymentAttempt) -> Ours:
    moved = p.state == "succeeded"
    return Ours("payment", p.number, p.amount_fen, moved, p.state, p.pays, p.store_id)


def _our_refund(r: RefundAttempt, p: PaymentAttempt) -> Ours:
    moved = r.state == "succeeded"
    return Ours("refund", r.number, r.amount_fen, moved, r.state, p.pays, r.store_id)


async def _payment(cloud: Cloud, account: ProviderAccount, number: str) -> PaymentAttempt | None:
    async with cloud.db.read() as session:
        query = select(PaymentAttempt).where(
            col(PaymentAttempt.account_ref) == account.id, col(PaymentAttempt.number) == number
        )
        return (await session.exec(query)).first()


async def _bill(session: AsyncSession, account_id: str, day: date) -> ProviderBill:
    query = select(ProviderBill).where(
        col(ProviderBill.account_ref) == account_id, col(ProviderBill.day) == day
    )
    return (await session.exec(query.with_for_update())).one()


async def _alarm(
    session: AsyncSession, bill: ProviderBill, clocks: Clocks, *, active: bool
) -> None:
    await signal(
        session,
        merchant_id=bill.merchant_id,
        store_id=bill.store_id,
        kind=UNBALANCED,
        subject=f"bill:{bill.id}",
        active=active,
        data={"detail": f"{PROVIDERS[bill.provider].label} {bill.day:%m-%d}"},
        at=clocks.real,
    )
