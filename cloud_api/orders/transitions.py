"""Every status an order may change to, in one table, and the one function that changes it.

A change is a conditional UPDATE (status and version), an event row, a line for the live feed, and a
new desired document where the store must know: all in the caller's transaction.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.coupons import service as coupons
from cloud_api.kit import feed
from cloud_api.kit.actor import Actor, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.due_jobs import schedule
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.outbox import desired_changed
from cloud_api.kit.writing import made
from cloud_api.orders import books, followers, tell
from cloud_api.orders.models import Order, OrderEvent

TABLE: Final[dict[str, frozenset[str]]] = {
    "pending_payment": frozenset({"paid", "cancelled"}),
    "paid": frozenset({"ready", "cancelled"}),
    "ready": frozenset({"in_use", "completed", "cancelled"}),
    "in_use": frozenset({"completed"}),
    "completed": frozenset(),
    # Money came late, or its guests were in before their store heard; and the room was still free.
    "cancelled": frozenset({"paid", "in_use"}),
}
STORE_KNOWS: Final = frozenset({"ready", "in_use", "completed"})
"""Statuses whose stay stands (or stood) in the store's desired document."""


WAITLIST: Final = "waitlist.look"  # the job that looks who waits in a store; ref: store id


async def lock_order(session: AsyncSession, actor: Actor, order_id: str) -> Order:
    """The order, read again and held until the transaction ends. Raises NotFound.

    Locks are always taken in this order: order, payment, room.
    """
    query = scoped(actor, Order).where(col(Order.id) == order_id).with_for_update()
    found = (await session.exec(query.execution_options(populate_existing=True))).first()
    if found is None:
        raise NotFound("order", "没有这个订单")
    return found


async def move(
    session: AsyncSession,
    order: Order,
    to: str,
    *,
    by: str,
    clocks: Clocks,
    why: str = "",
    body: dict[str, Any] | None = None,
    **values: Any,
) -> None:
    """Change ``order`` to status ``to`` and write down who and why.

    Raises Conflict ``order.wrong_state`` if the table has no such change, ``order.moved`` if somebody
    else changed the order since it was read.
    """
    was = order.status
    if to not in TABLE[was]:
        raise Conflict("order.wrong_state", "订单的状态已经变了，请刷新再看", status_now=was)
    await change(session, order, status=to, **values)
    if to == "cancelled":
        await coupons.give_back(session, order.id, clocks)
    session.add(
        OrderEvent(
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            order_id=order.id,
            kind="status",
            was=was,
            now=to,
            by=by,
            why=why,
            body=body or {},
            at=clocks.now,
        )
    )
    books.follow_later(session, order, clocks)
    if to in {"completed", "cancelled"}:
        await books.deposit_later(session, order, clocks)
    await _tell(session, order, clocks)
    if to in {"cancelled", "completed"}:
        await freed(session, order, clocks)
    await tell.changed(session, order, to, why, clocks)
    await followers.changed(session, order, was, by, clocks)
    if was in STORE_KNOWS or to in STORE_KNOWS:
        await desired_changed(
            session, merchant_id=order.merchant_id, store_id=order.store_id, now=clocks.real
        )


async def freed(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """Room time came back on sale: whoever waits for it is looked for once this is committed."""
    await schedule(
        session,
        merchant_id=order.merchant_id,
        kind=WAITLIST,
        ref=order.store_id,
        run_at=clocks.now,
    )


async def note(
    session: AsyncSession,
    order: Order,
    kind: str,
    *,
    by: str,
    clocks: Clocks,
    why: str = "",
    body: dict[str, Any] | None = None,
) -> OrderEvent:
    """Write down something that happened to an order without changing its status.

    With ``amount_fen`` in ``body`` it is about money: the books follow (orders/books.py).
    """
    event = made(
        OrderEvent,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        order_id=order.id,
        kind=kind,
        by=by,
        why=why,
        body=body or {},
        at=clocks.now,
    )
    session.add(event)
    if "amount_fen" in (body or {}):
        books.follow_later(session, order, clocks)
    await _tell(session, order, clocks)
    await tell.noted(session, order, kind, why, body or {}, clocks)
    return event


async def change(session: AsyncSession, order: Order, **values: Any) -> None:
    """The conditional UPDATE. Raises Conflict ``order.moved``."""
    changed = await session.exec(
        update(Order)
        .where(
            col(Order.id) == order.id,
            col(Order.status) == order.status,
            col(Order.version) == order.version,
        )
        .values(version=order.version + 1, **values)
        .returning(col(Order.id))
        .execution_options(synchronize_session=False)
    )
    if changed.first() is None:
        raise Conflict("order.moved", "订单刚刚有变化，请刷新再试")
    await session.refresh(order)


async def events_of(session: AsyncSession, order_ids: list[str]) -> list[OrderEvent]:
    """The events of orders, oldest first."""
    query = select(OrderEvent).where(col(OrderEvent.order_id).in_(order_ids))
    return list((await session.exec(query.order_by(col(OrderEvent.seq)))).all())


async def system_lock(session: AsyncSession, order_id: str) -> Order:
    """``lock_order`` for jobs and store events."""
    return await lock_order(session, System(), order_id)


async def _tell(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    await feed.tell(
        session,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        account_id=order.account_id,
        topic="order",
        body={
            "order_id": order.id,
            "number": order.number,
            "room_id": order.room_id,
            "status": order.status,
        },
        now=clocks.real,
    )
