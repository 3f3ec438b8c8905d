"""Whether each order's accounts are where its money belongs: read for many orders at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import System, scoped
from cloud_api.ledger.accounts import Account
from cloud_api.ledger.many import Moved, by_many, moved
from cloud_api.ledger.service import Slot, holds_of, moves
from cloud_api.orders.books import PRICE, of_price, part_of, targets
from cloud_api.orders.models import Deposit, Order
from cloud_api.payments.dispatch import kind_of
from cloud_api.payments.models import PaymentAttempt

_SYSTEM: Final = System()


@dataclass(frozen=True, slots=True)
class _Money:
    """What is known of one order's money."""

    held: dict[Slot, int]
    moved: Moved
    deposit: Deposit | None


async def check(session: AsyncSession, merchant_id: str) -> list[str]:
    """For ``ledger.verify``: orders whose accounts are not where their money belongs."""
    wrong: list[str] = []
    async for found in by_many(session, Order, merchant_id):
        known = await _money_of(session, found)
        for order in found:
            wrong += _check(order, known[order.id])
    return wrong


async def _money_of(session: AsyncSession, orders: Sequence[Order]) -> dict[str, _Money]:
    parts = {part_of(one.id): one.id for one in orders}
    held = await holds_of(session, list(parts))
    money = await moved(session, parts)
    kept = scoped(_SYSTEM, Deposit).where(col(Deposit.order_id).in_(parts.values()))
    deposits = {one.order_id: one for one in (await session.exec(kept)).all()}
    return {
        id_: _Money(held.get(part, {}), money[part], deposits.get(id_))
        for part, id_ in parts.items()
    }


def _check(order: Order, money: _Money) -> list[str]:
    paid, refunds = money.moved.paid, money.moved.refunds
    if not money.held and not paid:
        return []
    off = moves(money.held, targets(order, paid, refunds, money.deposit))
    wrong = [f"order {order.number}: {line.account} is off by {line.amount_fen}" for line in off]
    price = of_price(paid, refunds, money.deposit)
    if (order.paid_fen, order.refunded_fen, order.refunding_fen) != price:
        wrong.append(f"order {order.number}: its sums are not those of its payments")
    if order.status in {"completed", "cancelled"} and not order.waiting_fen and not off:
        rest = money.held.get((Account.ADVANCE, ""), 0)
        moving = any(one.state == "succeeded" and one.applied is None for one in paid)
        if rest and not moving and not _more(paid):
            wrong.append(f"order {order.number} is over and {-rest} fen are neither used nor back")
    return wrong


def _more(paid: Sequence[PaymentAttempt]) -> bool:
    """Whether money of kinds that keep their own advance (not the order's price) is left of it."""
    known = PRICE | {"overtime"}
    return any(kind_of(one.pays) not in known for one in paid if one.state == "succeeded")
