"""Which changes of an order people hear of: called by transitions.py, in the change's transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.clocks import Clocks
from cloud_api.kit.notices import notify
from cloud_api.orders.models import Order
from cloud_api.staff.permissions import ORDER_READ, ORDER_REFUND

STARTING: Final = timedelta(minutes=30)
ENDING: Final = timedelta(minutes=15)

_REASONS: Final = {
    "hold_expired": "没有按时付款",
    "customer": "你取消了订单",
    "staff": "门店取消了订单",
}


async def changed(session: AsyncSession, order: Order, now: str, why: str, clocks: Clocks) -> None:
    """The order got status ``now``."""
    if now == "paid":
        if order.total_fen:
            await _customer(
                session, order, "order.paid", "", clocks.now, amount_fen=order.total_fen
            )
    elif now == "ready":
        await _customer(session, order, "order.ready", "", clocks.now)
        await _staff(
            session, order, "order.new", ORDER_READ, "", clocks.now, amount_fen=order.total_fen
        )
        await timed(session, order, clocks)
    elif now == "completed":
        await _customer(session, order, "order.ended", "", clocks.now)
    elif now == "cancelled":
        reason = _REASONS.get(order.cancel_why or "", why)
        if order.cancel_why == "staff" and why != "staff":
            reason = why
        await _customer(
            session, order, "order.cancelled", str(order.version), clocks.now, reason=reason
        )


async def timed(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """What is told before the start and before the end; void once these times change.

    Call it again when an order's times changed.
    """
    for event, at, ahead in (
        ("order.starting_soon", order.starts_at, STARTING),
        ("order.ending_soon", order.ends_at, ENDING),
    ):
        due = at - ahead
        if due >= clocks.now:
            minutes = round(ahead.total_seconds() / 60)
            await _customer(session, order, event, at.isoformat(), due, minutes=minutes)


_NOTED: Final = {
    "refund_asked": "refund.asked",
    "money_back_late": "refund.asked",
    "money_back_dup": "refund.asked",
    "refund_succeeded": "refund.succeeded",
    "refund_by_hand": "refund.succeeded",
    "refund_failed": "refund.failed",
    "refund_declined": "refund.declined",
    "extended": "order.extended",
}


async def noted(
    session: AsyncSession, order: Order, kind: str, why: str, body: dict[str, Any], clocks: Clocks
) -> None:
    """Something was written down about an order."""
    fields = {name: body[name] for name in ("amount_fen", "minutes") if name in body}
    key = str(body.get("number") or body.get("payment") or order.version)
    event = _NOTED.get(kind)
    if event is not None:
        await _customer(session, order, event, key, clocks.now, reason=why, **fields)
    if kind == "refund_failed":
        await _staff(session, order, "refund.refused", ORDER_REFUND, key, clocks.now, **fields)
    elif kind == "refund_requested":
        await _staff(
            session, order, "refund.requested", ORDER_REFUND, key, clocks.now, reason=why, **fields
        )
    elif kind == "extended":
        await timed(session, order, clocks)


async def _customer(
    session: AsyncSession, order: Order, event: str, key: str, at: datetime, **data: Any
) -> None:
    await _notify(session, order, event, f"account:{order.account_id}", key, at, data)


async def _staff(
    session: AsyncSession,
    order: Order,
    event: str,
    permission: str,
    key: str,
    at: datetime,
    **data: Any,
) -> None:
    await _notify(session, order, event, f"staff:{permission}", key, at, data)


async def _notify(
    session: AsyncSession,
    order: Order,
    event: str,
    to: str,
    key: str,
    at: datetime,
    data: dict[str, Any],
) -> None:
    await notify(
        session,
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        event=event,
        to=to,
        subject=f"order:{order.id}",
        data={
            "room_id": order.room_id,
            "number": order.number,
            "starts_at": order.starts_at.isoformat(),
            "ends_at": order.ends_at.isoformat(),
            **data,
        },
        key=f"{order.id}.{key}",
        at=at,
    )
