"""Whether each order's accounts are where its money belongs: read for many orders at a time.

A merchant may have a hundred thousand orders; one look takes five statements for five hundred of them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.service import Slot, holds_of, moves
from cloud_api.orders.books import PRICE, of_price, part_of, targets
from cloud_api.orders.models import Deposit, Order
from cloud_api.payments.dispatch import kind_of
from cloud_api.payments.models import PaymentAttempt, RefundAttempt

MANY: Final = 500
_SYSTEM: Final = System()


@dataclass(frozen=True, slots=True)
class _Money:
    """What is known of one order's money."""

    held: dict[Slot, int]
    paid: Sequence[PaymentAttempt]
    refunds: Sequence[RefundAttempt]
    deposit: Deposit | None


async def check(session: AsyncSession, merchant_id: str) -> list[str]:
    """For ``ledger.verify``: orders whose accounts are not where their money belongs."""
    wrong: list[str] = []
    after = ""
    while True:
        query = (
            scoped(_SYSTEM, Order)
            .where(col(Order.merchant_id) == merchant_id, col(Order.id) > after)
            .order_by(col(Order.id))
            .limit(MANY)
        )
        found = (await session.exec(query)).all()
        known = await _money_of(session, found)
        for order in found:
            wrong += _check(order, known[order.id])
        if len(found) < MANY:
            return wrong
        after = found[-1].id


async def _money_of(session: AsyncSession, orders: Sequence[Order]) -> dict[str, _Money]:
    parts = {part_of(one.id): one.id for one in orders}
    held = await holds_of(session, list(parts))
    query = scoped(_SYSTEM, PaymentAttempt).where(col(PaymentAttempt.part_of).in_(parts))
    paid: dict[str, list[PaymentAttempt]] = defaultdict(list)
    owner: dict[str, str] = {}
    for payment in (await session.exec(query.order_by(col(PaymentAttempt.id)))).all():
        owner[payment.id] = parts[payment.part_of]
        paid[owner[payment.id]].append(payment)
    back = scoped(_SYSTEM, RefundAttempt).where(col(RefundAttempt.payment_id).in_(owner))
    refunds: dict[str, list[RefundAttempt]] = defaultdict(list)
    for refund in (await session.exec(back.order_by(col(RefundAttempt.id)))).all():
        refunds[owner[refund.payment_id]].append(refund)
    kept = scoped(_SYSTEM, Deposit).where(col(Deposit.order_id).in_(parts.values()))
    deposits = {one.order_id: one for one in (await session.exec(kept)).all()}
    return {
        id_: _Money(held.get(part, {}), paid[id_], refunds[id_], deposits.get(id_))
        for part, id_ in parts.items()
    }


def _check(order: Order, money: _Money) -> list[str]:
    if not money.held and not money.paid:
        return []
    off = moves(money.held, targets(order, money.paid, money.refunds, money.deposit))
    wrong = [f"order {order.number}: {line.account} is off by {line.amount_fen}" for line in off]
    price = of_price(money.paid, money.refunds, money.deposit)
    if (order.paid_fen, order.refunded_fen, order.refunding_fen) != price:
        wrong.append(f"order {order.number}: its sums are not those of its payments")
    if order.status in {"completed", "cancelled"} and not order.waiting_fen and not off:
        rest = money.held.get((Account.ADVANCE, ""), 0)
        moving = any(one.state == "succeeded" and one.applied is None for one in money.paid)
        if rest and not moving and not _more(money.paid):
            wrong.append(f"order {order.number} is over and {-rest} fen are neither used nor back")
    return wrong


def _more(paid: Sequence[PaymentAttempt]) -> bool:
    """Whether money of kinds that keep their own advance (not the order's price) is left of it."""
    known = PRICE | {"overtime"}
    return any(kind_of(one.pays) not in known for one in paid if one.state == "succeeded")
