"""An order in the books: what was paid for it is an advance until it is used, promised back, or kept.

``targets`` says where the money of an order belongs by what its payments, refunds and deposit are now;
``follow`` posts the difference, in the transaction of the change (registered by transitions.py).
Revenue is posted at use: when the stay is over, or as the fee of one that was cancelled.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.database import before_commit
from cloud_api.kit.due_jobs import schedule
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.service import Slot, carry
from cloud_api.orders.models import Deposit, Order, RefundWait
from cloud_api.payments import service as payments
from cloud_api.payments.dispatch import kind_of
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.service import Paid

PRICE: Final = frozenset({"order", "change", "extension"})
"""Kinds whose money is for the order's price: counted in paid_fen, given back by ``give_back``."""
DEPOSIT_RETURN: Final = "deposit.return"  # ref: order id
_WAITING: Final = "kaimen.books"
_SYSTEM: Final = System()


def part_of(order_id: str) -> str:
    """How payments, and the books, name the order that money belongs to."""
    return f"order:{order_id}"


def of_price(
    paid: Sequence[PaymentAttempt], refunds: Sequence[RefundAttempt], deposit: Deposit | None
) -> Paid:
    """What was paid for an order's price, given back of it and is on its way; without its deposit."""
    mine = [one for one in paid if kind_of(one.pays) in PRICE]
    ids = {one.id for one in mine}
    back = [one for one in refunds if one.payment_id in ids and one.purpose != "deposit"]
    sums = payments.sums(mine, back)
    taken = deposit.amount_fen if deposit is not None and deposit.taken else 0
    theirs = sum(eaten(paid, refunds, deposit))
    return Paid(sums.paid - taken, sums.refunded - theirs, sums.refunding)


def eaten(
    paid: Sequence[PaymentAttempt], refunds: Sequence[RefundAttempt], deposit: Deposit | None
) -> tuple[int, int]:
    """What of the deposit went back in the provider's own console: of what is settled, of what is held.

    Such a refund names no purpose. It is of the price first; what it gave beyond that is of the deposit.
    """
    if deposit is None or not deposit.taken:
        return 0, 0
    asked = sum(
        one.amount_fen for one in refunds if one.purpose == "deposit" and one.replaced_by is None
    )
    settled = max(0, deposit.returned_fen - asked)
    mine = [one for one in paid if kind_of(one.pays) in PRICE]
    ids = {one.id for one in mine}
    back = [one for one in refunds if one.payment_id in ids and one.purpose != "deposit"]
    sums = payments.sums(mine, back)
    over = sums.refunded + sums.refunding - (sums.paid - deposit.amount_fen)
    return settled, min(max(0, over - settled), deposit.held_fen)


def targets(
    order: Order,
    paid: Sequence[PaymentAttempt],
    refunds: Sequence[RefundAttempt],
    deposit: Deposit | None,
) -> dict[Slot, int]:
    """Where the money of an order belongs besides its advance: fen, as credits."""
    price = of_price(paid, refunds, deposit)
    late = [one for one in paid if kind_of(one.pays) == "overtime"]
    ids = {one.id for one in late}
    overtime = payments.sums(late, [one for one in refunds if one.payment_id in ids])
    everything = payments.sums(paid, refunds)
    found: dict[Slot, int] = {
        (Account.REFUND_PAYABLE, ""): everything.refunding,
        (Account.REVENUE, "overtime"): overtime.paid - overtime.refunded - overtime.refunding,
    }
    kept = price.paid - price.refunded - price.refunding
    if order.status == "completed":
        found[Account.REVENUE, "room_time"] = kept
    elif order.status == "cancelled":
        found[Account.REVENUE, "cancel_fee"] = max(0, kept - order.waiting_fen)
    if deposit is not None and deposit.taken:
        found[Account.DEPOSIT, ""] = deposit.held_fen - eaten(paid, refunds, deposit)[1]
        found[Account.REVENUE, "damage"] = deposit.damage_fen
        found[Account.REVENUE, "overtime"] += deposit.overtime_fen
    return {slot: amount for slot, amount in found.items() if amount}


async def follow(session: AsyncSession, order_id: str, clocks: Clocks) -> bool:
    """Bring an order's accounts to where they belong; again does nothing. False where they were."""
    order = await session.get_one(Order, order_id)
    await session.flush()
    subject = part_of(order.id)
    paid = await payments.payments_in(session, subject)
    refunds = await payments.refunds_in(session, subject)
    return await carry(
        session,
        store_id=order.store_id,
        subject=subject,
        targets=targets(order, paid, refunds, await deposit_of(session, order.id)),
        kind="order",
        clocks=clocks,
    )


def follow_later(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """``follow`` before the transaction of ``session`` commits, once however often it is asked for."""
    if session.sync_session.get_nested_transaction() is None:
        waiting: set[str] = session.info.setdefault(_WAITING, set())
        if order.id in waiting:
            return
        waiting.add(order.id)

    async def act() -> None:
        session.info.get(_WAITING, set()).discard(order.id)
        await follow(session, order.id, clocks)

    before_commit(session, act, first=True)


async def deposit_of(session: AsyncSession, order_id: str) -> Deposit | None:
    """The deposit of an order whose reading was allowed already."""
    query = scoped(_SYSTEM, Deposit).where(col(Deposit.order_id) == order_id)
    return (await session.exec(query.execution_options(populate_existing=True))).one_or_none()


async def wait_of(session: AsyncSession, order_id: str) -> RefundWait | None:
    """What of a cancelled order waits for its store's word (refund_wait.py); None where nothing does."""
    query = scoped(_SYSTEM, RefundWait).where(
        col(RefundWait.order_id) == order_id, col(RefundWait.state) == "waiting"
    )
    return (await session.exec(query.execution_options(populate_existing=True))).one_or_none()


async def deposit_later(
    session: AsyncSession, order: Order, clocks: Clocks, *, used: bool = False
) -> None:
    """The order is over: let its deposit go back, at once where it was cancelled and nobody went in."""
    deposit = await deposit_of(session, order.id)
    if deposit is None or deposit.state == "settled":
        return
    at = clocks.now
    if order.status == "completed":
        at = max(at, order.ended_at or at) + timedelta(minutes=deposit.return_minutes)
    elif used:
        at = max(at, order.ends_at) + timedelta(minutes=deposit.return_minutes)
    deposit.return_at = at
    session.add(deposit)
    await schedule(
        session, merchant_id=order.merchant_id, kind=DEPOSIT_RETURN, ref=order.id, run_at=at
    )
