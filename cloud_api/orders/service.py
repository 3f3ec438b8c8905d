"""Reading orders, for whoever may: their customer, staff of their stores, the system."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.spans import Span, spans
from cloud_api.kit.actor import Actor, Customer, Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import NotFound
from cloud_api.orders import schemas
from cloud_api.orders.models import Order
from cloud_api.orders.views import phone_tails
from cloud_api.orders.words import word, words
from cloud_api.staff.permissions import ORDER_READ
from cloud_api.stores.models import Room
from cloud_api.stores.service import get_store, rooms_of

PAGE = 20


async def get_order(session: AsyncSession, actor: Actor, order_id: str) -> Order:
    """One order. Raises NotFound, Forbidden for staff without ``order.read``."""
    if isinstance(actor, Staff):
        actor.need(ORDER_READ)
    found = (await session.exec(scoped(actor, Order).where(col(Order.id) == order_id))).first()
    if found is None:
        raise NotFound("order", "没有这个订单")
    return found


async def list_orders(
    session: AsyncSession,
    actor: Actor,
    *,
    cursor: str | None = None,
    limit: int = PAGE,
    status: Sequence[str] = (),
    store_id: str | None = None,
) -> tuple[list[Order], str | None]:
    """Orders newest first, and the cursor of the next page or None."""
    if isinstance(actor, Staff):
        actor.need(ORDER_READ)
    query = scoped(actor, Order)
    if cursor is not None:
        query = query.where(col(Order.id) < cursor)
    if status:
        query = query.where(col(Order.status).in_(status))
    if store_id is not None:
        query = query.where(col(Order.store_id) == store_id)
    found = (await session.exec(query.order_by(col(Order.id).desc()).limit(limit + 1))).all()
    page = list(found[:limit])
    return page, page[-1].id if len(found) > limit else None


async def counts(session: AsyncSession, actor: Customer) -> dict[str, int]:
    """How many orders one has in each status."""
    mine = scoped(actor, Order).subquery()
    query = select(mine.c.status, func.count()).group_by(mine.c.status)
    return dict((await session.exec(query)).all())


async def live_orders(session: AsyncSession, actor: Actor, store_id: str) -> list[Order]:
    """Orders of a store that stand now: unpaid, paid, ready or in use; by start."""
    live = ("pending_payment", "paid", "ready", "in_use")
    query = scoped(actor, Order).where(col(Order.store_id) == store_id, col(Order.status).in_(live))
    return list((await session.exec(query.order_by(col(Order.starts_at)))).all())


def local_day(tz: str, day: date) -> tuple[datetime, datetime]:
    """Local midnight to midnight as instants (23 or 25 hours where clocks change)."""
    zone = ZoneInfo(tz)
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    following = day + timedelta(days=1)
    end = datetime(following.year, following.month, following.day, tzinfo=zone)
    return start.astimezone(ZoneInfo("UTC")), end.astimezone(ZoneInfo("UTC"))


async def timeline(
    session: AsyncSession, actor: Staff, store_id: str, day: date | None, clocks: Clocks
) -> schemas.TimelineOut:
    """A store's day for staff: every room's spans with the orders behind them."""
    actor.need(ORDER_READ)
    store = await get_store(session, actor, store_id)
    rooms = await rooms_of(session, actor, store_id)
    day = day or clocks.now.astimezone(ZoneInfo(store.tz)).date()
    start, end = local_day(store.tz, day)
    by_room = await spans(session, store, rooms, start, end)
    ids = {
        span.claim.order_id
        for row in by_room.values()
        for span in row
        if span.claim is not None and span.claim.order_id is not None
    }
    found = (await session.exec(select(Order).where(col(Order.id).in_(ids)))).all()
    tails = await phone_tails(session, {order.account_id for order in found})
    orders = {order.id: _brief(order, tails) for order in found}
    return schemas.TimelineOut(
        store_id=store.id,
        day=day,
        tz=store.tz,
        starts_at=start,
        ends_at=end,
        now=clocks.now,
        rooms=[_row(room, by_room[room.id], orders) for room in rooms],
    )


def _row(
    room: Room, row: Sequence[Span], orders: dict[str, schemas.SpanOrderOut]
) -> schemas.TimelineRoomOut:
    return schemas.TimelineRoomOut(
        id=room.id,
        name=room.name,
        mode=room.mode,
        art=room.art,
        capacity=room.capacity,
        spans=[
            schemas.TimelineSpanOut(
                starts_at=span.starts_at,
                ends_at=span.ends_at,
                state=span.state,
                order=orders.get(span.claim.order_id or "") if span.claim is not None else None,
            )
            for span in row
        ],
    )


def _brief(order: Order, tails: dict[str, str]) -> schemas.SpanOrderOut:
    return schemas.SpanOrderOut(
        id=order.id,
        number=order.number,
        state=order.status,
        word=word(order),
        words=words(order),
        total_fen=order.total_fen,
        phone_tail=tails.get(order.account_id, ""),
        starts_at=order.starts_at,
        ends_at=order.ends_at,
    )
