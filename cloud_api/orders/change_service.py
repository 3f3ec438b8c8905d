"""The acts behind the routes of changes: who may, the price that was shown, the payment."""

from __future__ import annotations

from datetime import datetime

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.money import yuan
from cloud_api.orders import changes, offers
from cloud_api.orders.differences import collect
from cloud_api.orders.models import Order, OrderChange
from cloud_api.orders.offers import EXTENSION, Offer
from cloud_api.orders.service import get_order
from cloud_api.orders.transitions import lock_order
from cloud_api.payments import service as payments
from cloud_api.payments.models import PaymentAttempt
from cloud_api.payments.providers.base import Payer
from cloud_api.staff.permissions import ORDER_CREATE, ORDER_WAIVE
from cloud_api.stores.models import Room


async def offer_move(
    session: AsyncSession,
    actor: Customer | Staff,
    order_id: str,
    room_id: str | None,
    starts_at: datetime | None,
    ends_at: datetime | None,
    clocks: Clocks,
) -> Offer:
    """What another time or room would be. Staff need order.create."""
    _may(actor)
    order = await get_order(session, actor, order_id)
    return await offers.move(
        session,
        actor,
        order,
        room_id=room_id,
        starts_at=starts_at,
        ends_at=ends_at,
        clocks=clocks,
    )


async def offer_extension(
    session: AsyncSession,
    actor: Customer | Staff,
    order_id: str,
    minutes: int,
    clocks: Clocks,
) -> Offer:
    """What more time would be. Staff need order.create."""
    _may(actor)
    order = await get_order(session, actor, order_id)
    return await offers.extend(session, actor, order, minutes, clocks)


async def move(
    cloud: Cloud,
    actor: Customer | Staff,
    order_id: str,
    room_id: str | None,
    starts_at: datetime | None,
    ends_at: datetime | None,
    *,
    expect_fen: int | None = None,
    free: bool = False,
    why: str = "",
) -> OrderChange:
    """Hold or apply another time or room. Raises what ``offers.move`` does, ``change.price_changed``."""
    _may(actor)
    async with cloud.db.write() as session:
        order = await lock_order(session, actor, order_id)
        offer = await offers.move(
            session,
            actor,
            order,
            room_id=room_id,
            starts_at=starts_at,
            ends_at=ends_at,
            clocks=cloud.clocks,
        )
        return await _take(session, actor, order, offer, cloud.clocks, expect_fen, free, why)


async def extend(
    cloud: Cloud,
    actor: Customer | Staff,
    order_id: str,
    minutes: int,
    *,
    expect_fen: int | None = None,
    free: bool = False,
    why: str = "",
) -> OrderChange:
    """Hold or apply more time. Raises what ``offers.extend`` does, ``change.price_changed``."""
    _may(actor)
    async with cloud.db.write() as session:
        order = await lock_order(session, actor, order_id)
        offer = await offers.extend(session, actor, order, minutes, cloud.clocks)
        return await _take(session, actor, order, offer, cloud.clocks, expect_fen, free, why)


async def _take(
    session: AsyncSession,
    actor: Customer | Staff,
    order: Order,
    offer: Offer,
    clocks: Clocks,
    expect_fen: int | None,
    free: bool,
    why: str,
) -> OrderChange:
    if expect_fen is not None and expect_fen != offer.diff_fen and not free:
        raise Conflict(
            "change.price_changed",
            _("价格刚变了，现在要付 {money}，请再看一眼").format(
                money=yuan(max(0, offer.diff_fen))
            ),
            diff_fen=offer.diff_fen,
        )
    if isinstance(actor, Staff) and free:
        actor.need(ORDER_WAIVE)
        actor.need_waiver(max(0, offer.diff_fen))
        if not why.strip():
            raise KaimenError("why.missing", "写一句为什么不收钱", status=422, field="why")
    was = audit.facts(order, "room_id", "starts_at", "ends_at", "total_fen")
    made = await changes.hold(session, actor, order, offer, clocks, why=why.strip(), free=free)
    if isinstance(actor, Staff):
        await audit.record(
            session,
            actor,
            "order.extend" if offer.kind == EXTENSION else "order.change",
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            subject=f"order:{order.id}",
            before=was,
            after={
                "number": order.number,
                "room_id": offer.room.id,
                "starts_at": offer.starts_at.isoformat(),
                "ends_at": offer.ends_at.isoformat(),
                "amount_fen": made.diff_fen,
            },
            why=why,
            clocks=clocks,
        )
    return made


async def pay(
    cloud: Cloud,
    customer: Customer,
    order_id: str,
    change_id: str,
    *,
    provider: str,
    channel: str,
    return_path: str | None,
    payer: Payer | None = None,
) -> PaymentAttempt:
    """Open the payment of a change that is held. Raises NotFound, Conflict ``change.not_held``."""
    async with cloud.db.write() as session:
        order = await lock_order(session, customer, order_id)
        one = await changes.find(session, customer, order.id, change_id)
        if one.state != "held" or one.hold_expires_at <= cloud.clocks.now:
            raise Conflict("change.not_held", "保留时间已到，请重新选一次", state_now=one.state)
        room = await session.get_one(Room, one.room_id)
        what = _("续时") if one.kind == EXTENSION else _("改订单差价")
        payment = await collect(
            session,
            cloud,
            order,
            pays=changes.pays(one),
            amount_fen=one.diff_fen,
            subject=f"{room.name} {what}",
            expires_at=one.hold_expires_at,
            provider=provider,
            channel=channel,
            return_path=return_path or f"/orders/{order.id}/changes/{one.id}",
            payer=payer,
        )
    return await payments.begin(cloud, payment.id)


async def drop(cloud: Cloud, customer: Customer, order_id: str, change_id: str) -> OrderChange:
    """Give up what is held. Raises NotFound, Conflict ``change.applied``."""
    async with cloud.db.write() as session:
        order = await lock_order(session, customer, order_id)
        await changes.drop(session, customer, order, change_id, cloud.clocks)
        return await changes.find(session, customer, order.id, change_id)


def _may(actor: Customer | Staff) -> None:
    if isinstance(actor, Staff):
        actor.need(ORDER_CREATE)
