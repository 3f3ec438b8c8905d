"""Paying an order: one open attempt at a time, however many taps; its number written before the call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.orders import overtime
from cloud_api.orders.models import Order, OvertimeCharge
from cloud_api.orders.money import pays, settle
from cloud_api.orders.transitions import lock_order, note
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.transitions import OPEN_PAYMENT
from cloud_api.stores.models import Room, Store

_OVERTIME_OPEN: Final = timedelta(minutes=15)  # so long one try to pay overtime stays open
_LEAST: Final = timedelta(seconds=5)  # less than that is no time to pay in


async def pay(
    cloud: Cloud,
    customer: Customer,
    order_id: str,
    *,
    provider: str,
    channel: str = "page",
    return_path: str | None = None,
) -> PaymentAttempt:
    """Open a payment at a provider, or give back the one that is open; returns where it stands.

    An order that is over is paid for its overtime, where that is due.

    ``pending`` has a ``redirect_url``; ``unknown`` means that the provider did not answer and we keep
    asking under the same number. Raises NotFound, Conflict ``order.not_payable`` (with
    ``status_now``), ``order.hold_over``, ``payment.pending_elsewhere``, and what opening raises.
    """
    path = _local(return_path) or f"/orders/{order_id}/pay"
    async with cloud.db.write() as session:
        order = await lock_order(session, customer, order_id)
        owed = await overtime.due(session, customer, order.id)
        if order.status != "pending_payment" and owed is None:
            raise Conflict(
                "order.not_payable",
                "订单已取消，请重新预订" if order.status == "cancelled" else "订单已经支付过了",
                status_now=order.status,
            )
        what = pays(order.id) if owed is None else overtime.pays(order.id)
        attempts = await payments.payments_of(session, what)
        if any(attempt.state == "succeeded" for attempt in attempts):
            raise Conflict("order.not_payable", "钱已到账，正在确认订单", status_now="paid")
        open_ones = [attempt for attempt in attempts if attempt.state in OPEN_PAYMENT]
        if open_ones:
            payment = open_ones[0]
            if payment.provider != provider:
                raise Conflict(
                    "payment.pending_elsewhere",
                    "上一次支付还没有结果，请先完成它，或等它关闭",
                    provider=payment.provider,
                )
        else:
            bill = await _bill(session, order, owed, len(attempts) + 1, cloud.clocks.now)
            payment = await _open(session, cloud, order, bill, provider, channel, path)
    return await payments.begin(cloud, payment.id)


async def check(cloud: Cloud, customer: Customer, order_id: str) -> None:
    """The guest came back from the provider's page: ask now instead of waiting for a message."""
    async with cloud.db.write() as session:
        order = await lock_order(session, customer, order_id)
        attempts = [
            *await payments.payments_of(session, pays(order.id)),
            *await payments.payments_of(session, overtime.pays(order.id)),
        ]
    for attempt in attempts:
        if attempt.state in OPEN_PAYMENT:
            attempt = await payments.look(cloud, attempt.id)
        if attempt.state == "succeeded" and attempt.applied is None:
            async with cloud.db.write() as session:
                await settle(session, attempt.id, cloud.clocks)


@dataclass(frozen=True, slots=True)
class _Bill:
    """What a payment is opened for."""

    pays: str
    number: str
    amount_fen: int
    subject: str
    expires_at: datetime


async def _bill(
    session: AsyncSession, order: Order, owed: OvertimeCharge | None, count: int, now: datetime
) -> _Bill:
    """The order's price, to be paid while its hold runs; or its overtime, in a quarter of an hour."""
    store = await session.get_one(Store, order.store_id)
    room = await session.get_one(Room, order.room_id)
    zone = ZoneInfo(store.tz)
    here, there = order.starts_at.astimezone(zone), order.ends_at.astimezone(zone)
    about = f"{room.name} {here:%m月%d日 %H:%M}–{there:%H:%M}"
    if owed is not None:
        number = f"{order.number}-T{count}"
        subject = f"{about} 超时 {owed.minutes} 分钟"
        return _Bill(
            overtime.pays(order.id), number, owed.amount_fen, subject, now + _OVERTIME_OPEN
        )
    if order.hold_expires_at - now < _LEAST:
        raise Conflict("order.hold_over", "保留时间已到，请重新预订")
    return _Bill(
        pays(order.id), f"{order.number}-{count}", order.total_fen, about, order.hold_expires_at
    )


async def _open(
    session: AsyncSession,
    cloud: Cloud,
    order: Order,
    bill: _Bill,
    provider: str,
    channel: str,
    path: str,
) -> PaymentAttempt:
    clocks = cloud.clocks
    payment = await payments.open_payment(
        session,
        store=await session.get_one(Store, order.store_id),
        account_id=order.account_id,
        pays=bill.pays,
        number=bill.number,
        amount_fen=bill.amount_fen,
        subject=bill.subject,
        return_url=cloud.settings.public_url.rstrip("/") + path,
        expires_at=bill.expires_at,
        provider=provider,
        channel=channel,
        clocks=clocks,
    )
    await note(
        session,
        order,
        "payment_opened",
        by=f"customer:{order.account_id}",
        clocks=clocks,
        body={"payment": payment.number, "provider": provider},
    )
    return payment


def _local(path: str | None) -> str | None:
    """A path of this site to come back to. Raises KaimenError ``pay.return_path`` for anything else."""
    if path is None:
        return None
    if not path.startswith("/") or path.startswith("//") or "\\" in path or not path.isprintable():
        raise KaimenError(
            "pay.return_path", "返回地址要是本站的路径", status=422, field="return_path"
        )
    return path
