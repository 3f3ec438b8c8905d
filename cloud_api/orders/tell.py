"""Which changes of an order people hear of: called by transitions.py, in the change's transaction."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.ids import new_id
from cloud_api.kit.notices import notify
from cloud_api.orders.models import Order
from cloud_api.staff.permissions import ORDER_READ, ORDER_REFUND

STARTING: Final = timedelta(minutes=30)
ENDING: Final = timedelta(minutes=15)

_REASONS: Final = {
    "hold_expired": "没有按时付款",
    "customer": "你取消了订单",
    "staff": "门店取消了订单",
    "no_show": "没有到店",
    "not_confirmed": "店家没有及时确认",
}

_HOUSE_REASONS: Final = {"customer": "顾客取消", "no_show": "顾客没有到店", "staff": "门店取消"}


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
        await _staff(session, order, "order.ended_house", ORDER_READ, "", clocks.now)
    elif now == "cancelled":
        reason = _REASONS.get(order.cancel_why or "", why)
        if order.cancel_why == "staff" and why != "staff":
            reason = why
        await _customer(
            session, order, "order.cancelled", str(order.version), clocks.now, reason=reason
        )
        if order.paid_fen:
            await _staff(
                session,
                order,
                "order.cancelled_house",
                ORDER_READ,
                str(order.version),
                clocks.now,
                reason=_HOUSE_REASONS.get(order.cancel_why or "", reason),
            )


async def confirm_wanted(session: AsyncSession, order: Order, minutes: int, clocks: Clocks) -> None:
    """Staff have ``minutes`` to confirm a paid order."""
    await _staff(
        session, order, "order.confirm_wanted", ORDER_READ, "", clocks.now, minutes=minutes
    )


async def no_show_soon(
    session: AsyncSession, order: Order, until: datetime, clocks: Clocks
) -> None:
    """The guest is late, and the room is kept for them until ``until``."""
    minutes = max(1, round((until - clocks.now).total_seconds() / 60))
    await _customer(session, order, "order.no_show_soon", "", clocks.now, minutes=minutes)


async def pay_link(session: AsyncSession, order: Order, clocks: Clocks) -> None:
    """Staff booked; the customer pays by the link."""
    minutes = max(1, round((order.hold_expires_at - clocks.now).total_seconds() / 60))
    await _customer(
        session,
        order,
        "order.pay_link",
        "",
        clocks.now,
        minutes=minutes,
        amount_fen=order.total_fen,
    )


async def by_house(
    session: AsyncSession, staff: Staff, order: Order, text: str, clocks: Clocks
) -> None:
    """The house has a few words for the guest; who wrote them stands in the log of acts."""
    await _customer(session, order, "order.message", new_id(), clocks.now, reason=text)
    await audit.record(
        session, staff, "order.message", merchant_id=order.merchant_id, store_id=order.store_id,
        subject=f"order:{order.id}", after={"number": order.number, "text": text}, clocks=clocks,
    )  # fmt: skip


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
    "moved": "order.changed",
    "money_back_change": "refund.asked",
    "extension_unused": "refund.asked",
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
    elif kind in {"extension_applied", "move_applied", "extended", "moved"}:
        await timed(session, order, clocks)
        if kind in {"extension_applied", "move_applied"}:
            await _staff(session, order, "order.changed_house", ORDER_READ, key, clocks.now)


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
