"""Paying an order: one open attempt at a time, however many taps; its number written before the call."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.kit.actor import Customer
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict
from cloud_api.kit.i18n import gettext as _
from cloud_api.orders import differences, overtime
from cloud_api.orders.deposits import to_pay
from cloud_api.orders.models import Order, OvertimeCharge
from cloud_api.orders.money import pays
from cloud_api.orders.service import get_order
from cloud_api.orders.transitions import lock_order
from cloud_api.payments import dispatch
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.payer_codes import with_code
from cloud_api.payments.providers.base import Payer
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
    payer: Payer | None = None,
    payer_code: str | None = None,
    balance_fen: int = 0,
) -> PaymentAttempt:
    """Open a payment at a provider, or give back the one that is open; returns where it stands.

    An order that is over is paid for its overtime, where that is due. ``balance`` as provider pays out
    of the guest's balance at once; ``balance_fen`` of it pays a part beside another provider.

    ``pending`` has a ``redirect_url``; ``unknown`` means that the provider did not answer and we keep
    asking under the same number. Raises NotFound, Conflict ``order.not_payable`` (with
    ``status_now``), ``order.hold_over``, ``payment.pending_elsewhere``, and what opening raises.
    """
    if payer_code:
        async with cloud.db.read() as session:
            store_id = (await get_order(session, customer, order_id)).store_id
        payer = await with_code(cloud, store_id, provider, channel, payer or Payer(), payer_code)
    async with cloud.db.write() as session:
        order = await lock_order(session, customer, order_id)
        owed = await overtime.due(session, customer, order.id)
        if order.status != "pending_payment" and owed is None:
            raise Conflict(
                "order.not_payable",
                "订单已取消，请重新预订" if order.status == "cancelled" else "订单已经支付过了",
                status_now=order.status,
            )
        bill = await _bill(session, order, owed, cloud.clocks.now)
        payment = await differences.collect(
            session,
            cloud,
            order,
            pays=bill.pays,
            amount_fen=bill.amount_fen,
            subject=bill.subject,
            expires_at=bill.expires_at,
            provider=provider,
            channel=channel,
            return_path=return_path,
            payer=payer,
            balance_fen=balance_fen,
        )
    return await payments.begin(cloud, payment.id)


async def close(cloud: Cloud, customer: Customer, order_id: str) -> None:
    """The guest wants to pay in another way: first the open payment is made sure never to be paid.

    Where the money has come meanwhile, the order is paid. Raises Conflict ``payment.not_closed`` (with
    ``provider`` and ``until``) while nobody can promise it: a second way now could be paid twice.
    """
    async with cloud.db.write() as session:
        order = await lock_order(session, customer, order_id)
        attempts = await payments.payments_in(session, pays(order.id))
    for attempt in attempts:
        if attempt.state not in OPEN_PAYMENT:
            continue
        outcome = await payments.settle_or_close(cloud, attempt.id)
        if outcome == "unknown":
            raise Conflict(
                "payment.not_closed",
                "上一次支付还没有结果，现在也关不掉。先别再付一次，有结果这里会自己更新",
                provider=attempt.provider,
                until=attempt.expires_at.isoformat(),
            )
        if outcome == "succeeded":
            async with cloud.db.write() as session:
                await dispatch.settle(session, attempt.id, cloud.clocks)


async def check(cloud: Cloud, customer: Customer, order_id: str) -> None:
    """The guest came back from the provider's page: ask now instead of waiting for a message."""
    async with cloud.db.write() as session:
        order = await lock_order(session, customer, order_id)
        attempts = await payments.payments_in(session, pays(order.id))
    for attempt in attempts:
        if attempt.state in OPEN_PAYMENT:
            attempt = await payments.look(cloud, attempt.id)
        if attempt.state == "succeeded" and attempt.applied is None:
            async with cloud.db.write() as session:
                await dispatch.settle(session, attempt.id, cloud.clocks)


@dataclass(frozen=True, slots=True)
class _Bill:
    """What a payment is opened for."""

    pays: str
    amount_fen: int
    subject: str
    expires_at: datetime


async def _bill(
    session: AsyncSession, order: Order, owed: OvertimeCharge | None, now: datetime
) -> _Bill:
    """The order's price, to be paid while its hold runs; or its overtime, in a quarter of an hour."""
    store = await session.get_one(Store, order.store_id)
    room = await session.get_one(Room, order.room_id)
    zone = ZoneInfo(store.tz)
    here, there = order.starts_at.astimezone(zone), order.ends_at.astimezone(zone)
    about = _("{room} {here:%m月%d日 %H:%M}–{there:%H:%M}").format(
        room=room.name, here=here, there=there
    )
    if owed is not None:
        subject = _("{about} 超时 {minutes} 分钟").format(about=about, minutes=owed.minutes)
        return _Bill(overtime.pays(order.id), owed.owed_fen, subject, now + _OVERTIME_OPEN)
    if order.hold_expires_at - now < _LEAST:
        raise Conflict("order.hold_over", "保留时间已到，请重新预订")
    return _Bill(pays(order.id), await to_pay(session, order), about, order.hold_expires_at)
