"""Money at the desk: an order or its overtime paid in cash, and cash that is handed back."""

from __future__ import annotations

from datetime import timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.orders import overtime
from cloud_api.orders.books import part_of
from cloud_api.orders.deposits import to_pay
from cloud_api.orders.models import Order
from cloud_api.orders.money import pays
from cloud_api.orders.transitions import lock_order, note
from cloud_api.payments import dispatch, house, repair
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.providers.base import Back, RefundView
from cloud_api.payments.records import lock_refund, record_refund
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.payments.transitions import note as note_payment
from cloud_api.staff.permissions import CASH_TAKE
from cloud_api.stores.models import Store


async def take_cash(
    session: AsyncSession, staff: Staff, order_id: str, why: str, clocks: Clocks
) -> Order:
    """The guest paid what is due in cash at the desk; the order moves as with any other money.

    Needs ``cash.take``. An attempt that is open elsewhere is closed; what is paid there after all goes
    back by itself. Raises NotFound, KaimenError ``cash.why``, Conflict ``order.not_payable``.
    """
    staff.need(CASH_TAKE)
    why = _reason(why)
    order = await lock_order(session, staff, order_id)
    owed = await overtime.due(session, staff, order.id)
    if order.status != "pending_payment" and owed is None:
        raise Conflict("order.not_payable", "这个订单没有要付的钱", status_now=order.status)
    what = pays(order.id) if owed is None else overtime.pays(order.id)
    amount = await to_pay(session, order) if owed is None else owed.owed_fen
    tried = await payments.payments_in(session, part_of(order.id))
    for attempt in tried:
        if attempt.pays == what and attempt.state in OPEN_PAYMENT:
            await payments.close_later(session, attempt, clocks)
    count = 1 + sum(1 for one in tried if one.provider == house.CASH)
    payment = await house.paid(
        session,
        store=await session.get_one(Store, order.store_id),
        account_id=order.account_id,
        provider=house.CASH,
        pays=what,
        part_of=part_of(order.id),
        number=f"{order.number}-M{count}",
        amount_fen=amount,
        subject=why,
        expires_at=clocks.now + timedelta(minutes=1),
        clocks=clocks,
    )
    body = {"payment": payment.number, "amount_fen": amount}
    await note(session, order, "cash_taken", by=staff.ref, why=why, body=body, clocks=clocks)
    await dispatch.settle(session, payment.id, clocks)
    await _record(session, staff, order, "cash.take", body, why, clocks)
    return order


async def hand_back(
    session: AsyncSession, staff: Staff, order_id: str, number: str, why: str, clocks: Clocks
) -> Order:
    """The guest got the cash of a refund that waited for it.

    Needs ``cash.take``. Twice the same call changes nothing. Raises NotFound, KaimenError ``cash.why``,
    Conflict ``refund.not_cash``.
    """
    staff.need(CASH_TAKE)
    why = _reason(why)
    order = await lock_order(session, staff, order_id)
    found = await repair.find_refund(session, staff, part_of(order.id), number)
    payment = await session.get_one(PaymentAttempt, found.payment_id)
    if payment.provider != house.CASH:
        raise Conflict("refund.not_cash", "这笔钱不是收的现金，会原路退回")
    refund = await lock_refund(session, found.id)
    if refund.state == "succeeded":
        return order
    await record_refund(
        session,
        refund.id,
        RefundView(Back.SUCCEEDED, refund.number, amount_fen=refund.amount_fen),
        clocks,
    )
    await note_payment(session, refund, proof=why)
    body = {"number": refund.number, "amount_fen": refund.amount_fen}
    await _record(session, staff, order, "cash.hand_back", body, why, clocks)
    return order


def _reason(why: str) -> str:
    if len(why.strip()) < 2:
        raise KaimenError("cash.why", "请写明原因", status=422, field="why")
    return why.strip()


async def _record(
    session: AsyncSession,
    staff: Staff,
    order: Order,
    action: str,
    body: dict[str, object],
    why: str,
    clocks: Clocks,
) -> None:
    await audit.record(
        session,
        staff,
        action,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        subject=f"order:{order.id}",
        after=body,
        why=why,
        clocks=clocks,
    )
