"""What goes back to guests who leave before their end: told before they agree, paid when the stay ended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.booking_rules import rules_of
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.i18n import later
from cloud_api.orders.cancel_rules import left_fen
from cloud_api.orders.change_price import unused_fen
from cloud_api.orders.models import Order, OrderLine
from cloud_api.orders.money import refund_part
from cloud_api.orders.transitions import change, events_of
from cloud_api.pricing.lines import price_used
from cloud_api.pricing.models import Quote
from cloud_api.stores.models import Store

PAYG: Final = "payg"
ASKED: Final = "finish_asked"
UNDELIVERED: Final = "extension_back"  # the line of an extension that did not reach the store


async def early_back(session: AsyncSession, order: Order, now: datetime) -> int:
    """What goes back if the stay ends at ``now``, in fen: whole unused units by the room's rule."""
    store = await session.get_one(Store, order.store_id)
    rules = await rules_of(session, store, order.room_id)
    if not rules.early_unit_minutes or now >= order.ends_at:
        return 0
    unit = timedelta(minutes=rules.early_unit_minutes)
    units = (order.ends_at - max(now, order.starts_at)) // unit
    since = order.ends_at - units * unit
    back = unused_fen(await _lines(session, order.id), since, rules.early_per_cent)
    return min(back, left_fen(order))


async def settle(session: AsyncSession, order: Order, ended_at: datetime, clocks: Clocks) -> None:
    """The stay is over: give back what was promised, or what pay-as-you-go did not use. Once."""
    quote = await session.get_one(Quote, order.quote_id)
    if quote.kind == PAYG:
        await _as_used(session, order, quote, ended_at, clocks)
        return
    if not order.finished_early:
        return
    asked = [e for e in await events_of(session, [order.id]) if e.kind == ASKED]
    promised = int(asked[-1].body.get("back_fen", 0)) if asked else 0
    # Of it, an extension that no store heard of has just gone back on its own (changes.undelivered).
    lines = await _lines(session, order.id)
    promised += sum(line.amount_fen for line in lines if line.kind == UNDELIVERED)
    back = min(promised, left_fen(order))
    if back > 0:
        await take_off(session, order, "early", later("提前结束退回"), back)
        await refund_part(
            session,
            order,
            back,
            by="system",
            reason=later("提前结束，退回没用完的时间"),
            clocks=clocks,
        )


async def take_off(
    session: AsyncSession, order: Order, kind: str, text: str, amount_fen: int
) -> None:
    """A line that takes ``amount_fen`` off an order's price: its lines still sum to its total (I9)."""
    lines = await _lines(session, order.id)
    session.add(
        OrderLine(
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            order_id=order.id,
            position=max((line.position for line in lines), default=-1) + 1,
            kind=kind,
            text=text,
            amount_fen=-amount_fen,
        )
    )
    await session.flush()
    await change(session, order, total_fen=order.total_fen - amount_fen)


async def _as_used(
    session: AsyncSession, order: Order, quote: Quote, ended_at: datetime, clocks: Clocks
) -> None:
    store = await session.get_one(Store, order.store_id)
    told = quote.detail.get("payg", {})
    lines = await _lines(session, order.id)
    _used, used_fen = price_used(
        [{**line.detail, "kind": line.kind, "amount_fen": line.amount_fen} for line in lines],
        store.tz,
        order.starts_at,
        min(ended_at, order.ends_at),
        unit_minutes=int(told.get("unit_minutes", 1)),
        least_minutes=int(told.get("least_minutes", 0)),
    )
    back = min(order.total_fen - used_fen, left_fen(order))
    if back > 0:
        await take_off(session, order, "unused", later("没用完的时间退回"), back)
        await refund_part(
            session,
            order,
            back,
            by="system",
            reason=later("按实际使用计费，退回没用完的"),
            clocks=clocks,
        )


async def _lines(session: AsyncSession, order_id: str) -> list[OrderLine]:
    query = select(OrderLine).where(col(OrderLine.order_id) == order_id)
    return list((await session.exec(query.order_by(col(OrderLine.position)))).all())
