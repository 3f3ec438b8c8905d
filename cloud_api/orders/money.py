"""What money does to an order: it moves it once, gives the room back, or goes back itself (I2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final

import structlog
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims import service as claims
from cloud_api.claims.booking_rules import rules_of
from cloud_api.coupons import service as coupons
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.i18n import later
from cloud_api.orders import books, deposits, guests, tell
from cloud_api.orders.books import PRICE, deposit_of, part_of
from cloud_api.orders.differences import free_tag, give_back, left_of
from cloud_api.orders.models import Order
from cloud_api.orders.sums import recount
from cloud_api.orders.transitions import events_of, move, note, system_lock
from cloud_api.payments import service as payments
from cloud_api.payments.dispatch import kind_of, ref_of
from cloud_api.payments.models import PaymentAttempt, RefundAttempt
from cloud_api.payments.records import lock_payment
from cloud_api.payments.transitions import note as note_payment
from cloud_api.stored_value import paying
from cloud_api.stores.models import Store

HOLD_EXPIRED: Final = "hold_expired"
GRANT: Final = "access.grant"
REVOKE: Final = "access.revoke"
FORGOTTEN: Final = "order.forgotten"
FORGOTTEN_AFTER: Final = timedelta(hours=24)  # a store may be off for a night and tell us then
NOT_CONFIRMED: Final = "order.not_confirmed"
_SYSTEM: Final = "system"
_ON_READY: Final[list[Callable[[AsyncSession, Order], Awaitable[None]]]] = []


def on_ready(look: Callable[[AsyncSession, Order], Awaitable[None]]) -> None:
    """Let ``look`` be called, in the same transaction, for each order that becomes ready."""
    if look not in _ON_READY:
        _ON_READY.append(look)


_log = structlog.get_logger(__name__)


def pays(order_id: str) -> str:
    """How a payment names the order it is for."""
    return f"order:{order_id}"


async def settle(session: AsyncSession, payment_id: str, clocks: Clocks) -> None:
    """Let a payment for an order have its one effect; again changes nothing.

    Waiting for it: the order is paid and ready. Given up because the hold ran out: the same room
    time again if it is still free, else the money goes back. Anything else (paid already, cancelled
    by somebody), and money whose other part, out of a balance, is spent: it goes back in full.
    """
    payment = await session.get_one(PaymentAttempt, payment_id)
    order = await system_lock(session, ref_of(payment.pays))
    payment = await lock_payment(session, payment_id)
    if payment.state != "succeeded" or payment.applied is not None:
        return
    await paying.settled(session, payment.id, clocks)
    parts = await paying.parts_of(session, payment)
    whole = sum(part.amount_fen for part in parts) >= await deposits.to_pay(session, order)
    if whole and order.status == "pending_payment":
        applied = "order"
        await claims.confirm(session, order.claim_id)
        await _ready(session, order, payment, clocks, "payment")
    elif whole and await _give_back_room(session, order, clocks):
        applied = "late_restored"
        await _ready(session, order, payment, clocks, "late_payment")
    else:
        late = order.status in {"cancelled", "pending_payment"}
        applied = "late_refunded" if late else "duplicate_refunded"
        for part in parts:
            await _send_back(session, order, part, clocks, "late" if late else "dup")
    for part in parts:
        await note_payment(session, part, applied=applied)
    if applied in {"order", "late_restored"}:
        await deposits.taken(session, order, clocks)
    await recount(session, order)
    _log.info("payment.applied", number=payment.number, applied=applied, order=order.number)


async def settle_free(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """An order that costs nothing needs no payment."""
    await claims.confirm(session, order.claim_id)
    await _ready(session, order, None, clocks, "nothing_to_pay")


async def refund_everything(
    session: AsyncSession, order: Order, *, by: str, reason: str, clocks: Clocks
) -> int:
    """Ask for all that was paid and not yet given back, payment by payment; returns it in fen."""
    everything = part_of(order.id)
    refunds = await payments.refunds_in(session, everything)
    paid = [
        one for one in await payments.payments_in(session, everything) if kind_of(one.pays) in PRICE
    ]
    asked = sum(left for _, left in left_of(paid, refunds))
    held = await deposit_of(session, order.id)
    asked -= held.held_fen if held is not None else 0  # goes back by itself (orders/deposits.py)
    if asked:
        tag = free_tag(refunds)
        await give_back(session, order, asked, tag=tag, reason=reason, by=by, clocks=clocks)
    await recount(session, order)
    return asked


async def refund_part(
    session: AsyncSession, order: Order, amount_fen: int, *, by: str, reason: str, clocks: Clocks
) -> int:
    """Ask for ``amount_fen`` of what was paid for the price and not yet given back; returns it."""
    if amount_fen:
        tag = free_tag(await payments.refunds_in(session, part_of(order.id)))
        await give_back(session, order, amount_fen, tag=tag, reason=reason, by=by, clocks=clocks)
    await recount(session, order)
    return amount_fen


async def refund_changed(session: AsyncSession, refund_id: str, clocks: Clocks) -> None:
    """Take a refund's new state into the order that its payment belongs to; again changes nothing."""
    refund = await session.get_one(RefundAttempt, refund_id)
    payment = await session.get_one(PaymentAttempt, refund.payment_id)
    order = await system_lock(session, ref_of(payment.part_of))
    await session.refresh(refund)
    await recount(session, order)
    await guests.recount(session, order.merchant_id, order.account_id, clocks)
    books.follow_later(session, order, clocks)
    kind = f"refund_{refund.state}"
    told = any(
        event.kind == kind and event.body.get("number") == refund.number
        for event in await events_of(session, [order.id])
    )
    if not told and refund.state in {"succeeded", "failed", "abnormal", "by_hand"}:
        body = {"number": refund.number, "amount_fen": refund.amount_fen}
        await note(session, order, kind, by=_SYSTEM, clocks=clocks, body=body)


async def _ready(
    session: AsyncSession,
    order: Order,
    payment: PaymentAttempt | None,
    clocks: Clocks,
    why: str,
) -> None:
    body = {} if payment is None else {"payment": payment.number, "amount_fen": payment.amount_fen}
    await move(
        session, order, "paid", by=_SYSTEM, why=why, body=body, clocks=clocks, cancel_why=None
    )
    minutes = await _confirms_in(session, order)
    if minutes:
        await schedule(
            session,
            merchant_id=order.merchant_id,
            kind=NOT_CONFIRMED,
            ref=order.id,
            run_at=clocks.now + timedelta(minutes=minutes),
        )
        await tell.confirm_wanted(session, order, minutes, clocks)
        return
    await make_ready(session, order, by=_SYSTEM, why=why, clocks=clocks)


async def moved_on(session: AsyncSession, order: Order) -> None:
    """The order's times changed: what has to be looked at later is noted anew."""
    for look in _ON_READY:
        await look(session, order)


async def _confirms_in(session: AsyncSession, order: Order) -> int:
    """Minutes that the house has to confirm a paid order; 0 where it confirms itself."""
    if order.source == "staff":
        return 0
    store = await session.get_one(Store, order.store_id)
    return (await rules_of(session, store, order.room_id)).confirm_minutes


async def make_ready(
    session: AsyncSession, order: Order, *, by: str, why: str, clocks: Clocks
) -> None:
    """paid → ready: the right to enter is made, and what has to be looked at later is noted."""
    await move(session, order, "ready", by=by, why=why, clocks=clocks)
    for look in _ON_READY:
        await look(session, order)
    await schedule(
        session,
        merchant_id=order.merchant_id,
        kind=GRANT,
        ref=order.id,
        run_at=clocks.real,
        clock="wire",
    )
    await schedule(
        session,
        merchant_id=order.merchant_id,
        kind=FORGOTTEN,
        ref=order.id,
        run_at=order.ends_at + FORGOTTEN_AFTER,
    )


async def _give_back_room(session: AsyncSession, order: Order, clocks: Clocks) -> bool:
    """Take the same claim again for money that came late. Not once half of its time is gone: then
    the money is worth more to the guest than what is left of the room.
    """
    if order.status != "cancelled" or order.cancel_why != HOLD_EXPIRED:
        return False
    if clocks.now >= order.starts_at + (order.ends_at - order.starts_at) / 2:
        return False
    if not await claims.restore(session, order.claim_id):
        return False
    if await coupons.take_again(session, order.id, clocks):
        return True
    # The coupon that made it cheaper went into another order meanwhile: this price is no more.
    await claims.release(session, order.claim_id, HOLD_EXPIRED)
    return False


async def _send_back(
    session: AsyncSession, order: Order, payment: PaymentAttempt, clocks: Clocks, tag: str
) -> None:
    reason = later("房间已不能保留，全额退回") if tag == "late" else later("重复支付，全额退回")
    await payments.ask_refund(
        session, payment.id, tag=tag, amount_fen=payment.amount_fen, reason=reason, clocks=clocks
    )
    await note(
        session,
        order,
        f"money_back_{tag}",
        by=_SYSTEM,
        clocks=clocks,
        body={"payment": payment.number, "amount_fen": payment.amount_fen},
    )
