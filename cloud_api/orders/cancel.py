"""Cancelling: the room goes back on sale at once, the money on its way in the same transaction."""

from __future__ import annotations

from typing import Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.claims import service as claims
from cloud_api.claims.booking_rules import rules_of
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import later
from cloud_api.orders import cancel_rules, changes, refund_wait
from cloud_api.orders.models import Order
from cloud_api.orders.money import REVOKE, pays, refund_part
from cloud_api.orders.transitions import lock_order, move, note
from cloud_api.payments import service as payments
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.staff.permissions import ORDER_CANCEL, ORDER_REFUND
from cloud_api.stores.models import Store

BY_CUSTOMER: Final = "customer"
BY_STAFF: Final = refund_wait.BY_STAFF


async def cancel(session: AsyncSession, customer: Customer, order_id: str, clocks: Clocks) -> Order:
    """Cancel one's own order under cancel_rules; one that is cancelled already is given back as it is.

    Raises NotFound, Conflict ``cancel.too_late`` or ``cancel.started``. Money that arrives for an
    order that its customer cancelled goes back in full, so nothing is asked of a provider first. Where
    the guest could still get in, what comes back waits for the store's word (orders/refund_wait.py).
    """
    order = await lock_order(session, customer, order_id)
    store = await session.get_one(Store, order.store_id)
    rules = await rules_of(session, store, order.room_id)
    decision = cancel_rules.decide(order, rules, clocks.now)
    waits = decision.allowed and await refund_wait.needed(
        session, order, decision.refund_fen, clocks
    )
    return await _cancel(session, order, decision, customer.ref, BY_CUSTOMER, clocks, waits=waits)


async def cancel_by_staff(
    session: AsyncSession,
    staff: Staff,
    order_id: str,
    why: str,
    clocks: Clocks,
    *,
    by_rules: bool = False,
) -> Order:
    """Cancel a guest's order and give everything back, for a reason; ``by_rules`` keeps what the guest would owe.

    Needs ``order.cancel``, and ``order.refund`` where money goes back. That waits for the store's word as it
    does for a guest who cancels: nobody here knows whether somebody sits in the room of a store that is away.
    """
    staff.need(ORDER_CANCEL)
    if not why.strip():
        raise KaimenError("cancel.why", "请写明取消的原因", status=422, field="why")
    order = await lock_order(session, staff, order_id)
    decision = cancel_rules.decide_staff(order)
    if by_rules:
        store = await session.get_one(Store, order.store_id)
        decision = cancel_rules.decide(
            order, await rules_of(session, store, order.room_id), clocks.now
        )
    waits = decision.allowed and await refund_wait.needed(
        session, order, decision.refund_fen, clocks
    )
    if decision.refund_fen:
        staff.need(ORDER_REFUND)
        staff.need_refund(decision.refund_fen)
    was = audit.facts(order, "status", "refunded_fen", "refunding_fen")
    order = await _cancel(
        session, order, decision, staff.ref, BY_STAFF, clocks, why.strip(), waits=waits
    )
    if order.status != was["status"]:
        before, after = audit.changes(
            was, audit.facts(order, "status", "refunded_fen", "refunding_fen")
        )
        await audit.record(
            session,
            staff,
            "order.cancel",
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            subject=f"order:{order.id}",
            before=before,
            after={"number": order.number, **after},
            why=why,
            clocks=clocks,
        )
    return order


async def _cancel(
    session: AsyncSession,
    order: Order,
    decision: cancel_rules.Decision,
    by: str,
    cancel_why: str,
    clocks: Clocks,
    why: str = "",
    *,
    waits: bool = False,
) -> Order:
    if decision.code == "cancel.done":
        return order
    if not decision.allowed:
        raise Conflict(decision.code, decision.message)
    was = order.status
    await changes.drop_all(session, order, by=by, clocks=clocks)
    await claims.release(session, order.claim_id, f"cancelled:{cancel_why}")
    if waits:
        await refund_wait.begin(session, order, decision.refund_fen, clocks)
    await move(
        session,
        order,
        "cancelled",
        by=by,
        why=why or cancel_why,
        clocks=clocks,
        cancel_why=cancel_why,
        cancel_fee_fen=decision.fee_fen,
    )
    if was == "pending_payment":
        for payment in await payments.payments_of(session, pays(order.id)):
            if payment.state in OPEN_PAYMENT:
                await payments.close_later(session, payment, clocks)
        return order
    if decision.fee_fen:
        await note(
            session,
            order,
            "cancel_fee",
            by=by,
            clocks=clocks,
            body={"amount_fen": decision.fee_fen, "back_fen": decision.refund_fen},
        )
    if waits:
        await refund_wait.tell(session, order, decision.refund_fen, by, clocks)
    await refund_part(
        session,
        order,
        0 if waits else decision.refund_fen,
        by=by,
        reason=later("订单取消"),
        clocks=clocks,
    )
    await schedule(
        session,
        merchant_id=order.merchant_id,
        kind=REVOKE,
        ref=order.id,
        run_at=clocks.real,
        clock="wire",
    )
    return order
