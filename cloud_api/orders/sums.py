"""An order's sums are what the payments for its price and their refunds say; its deposit is counted apart."""

from __future__ import annotations

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.orders.books import deposit_of, of_price, part_of
from cloud_api.orders.models import Order
from cloud_api.orders.transitions import change
from cloud_api.payments import service as payments


async def recount(session: AsyncSession, order: Order) -> None:
    """Make the order's sums what they are; the caller holds its lock."""
    everything = part_of(order.id)
    sums = of_price(
        await payments.payments_in(session, everything),
        await payments.refunds_in(session, everything),
        await deposit_of(session, order.id),
    )
    now = (order.paid_fen, order.refunded_fen, order.refunding_fen)
    if now != (sums.paid, sums.refunded, sums.refunding):
        await change(
            session,
            order,
            paid_fen=sums.paid,
            refunded_fen=sums.refunded,
            refunding_fen=sums.refunding,
        )
