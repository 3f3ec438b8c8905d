"""Staff book for a customer who calls: for their phone number, held longer, paid by a link or at the desk."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.auth import phones
from cloud_api.auth.service import account_of_phone, make_account
from cloud_api.claims.booking_rules import rules_of
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.clocks import Clocks
from cloud_api.orders import place, tell
from cloud_api.orders.models import Order
from cloud_api.pricing.service import quote
from cloud_api.staff.permissions import ORDER_CREATE
from cloud_api.stores.models import Store
from cloud_api.stores.service import get_room


async def book(
    session: AsyncSession,
    staff: Staff,
    *,
    phone: str,
    room_id: str,
    starts_at: datetime,
    ends_at: datetime,
    note: str,
    clocks: Clocks,
) -> Order:
    """Hold a room for whoever has ``phone``; they are told where to pay. Needs order.create.

    Raises what a quote and an order raise, KaimenError ``phone.bad``.
    """
    staff.need(ORDER_CREATE)
    number = phones.normal(phone)
    room = await get_room(session, staff, room_id)
    store = await session.get_one(Store, room.store_id)
    account = await account_of_phone(session, number)
    if account is None:
        account = await make_account(session, number, "zh_Hans", clocks.real)
    customer = Customer(account.id)
    priced = await quote(session, customer, room.id, starts_at, ends_at, clocks)
    rules = await rules_of(session, store, room.id)
    order = await place.place(
        session,
        customer,
        priced.id,
        clocks,
        by=staff,
        hold_for=timedelta(minutes=rules.staff_hold_minutes),
        staff_note=note.strip(),
    )
    await audit.record(
        session,
        staff,
        "order.create",
        merchant_id=order.merchant_id,
        store_id=order.store_id,
        subject=f"order:{order.id}",
        after={"number": order.number, "amount_fen": order.total_fen},
        clocks=clocks,
    )
    if order.status == "pending_payment":
        await tell.pay_link(session, order, clocks)
    return order
