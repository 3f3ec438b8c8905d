"""What stands in a person's way to another order, asked in one query; what says no is looked at closely."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.auth.models import Account
from cloud_api.claims.booking_rules import rules_of
from cloud_api.claims.window import until_before
from cloud_api.kit.actor import Customer, stand_in
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.statements import built
from cloud_api.merchants.models import Merchant
from cloud_api.orders import deposits, limits, overtime
from cloud_api.orders.models import Order
from cloud_api.stored_value.service import balance_of
from cloud_api.stores.models import Room, Store

MAX_UNPAID: Final = 3  # a person cannot block a house without paying


async def look(
    session: AsyncSession,
    customer: Customer,
    room: Room,
    clocks: Clocks,
    *,
    number: str = "",
    quote_id: str = "",
    starts_at: datetime | None = None,
) -> Gate:
    """What an order of this customer in this room has to know, in one query.

    ``number``: one that it would like to have. ``quote_id`` and ``starts_at``: what it is made from.
    """
    who, theirs = stand_in(customer)
    facts = {
        "merchant_id": room.merchant_id,
        "store_id": room.store_id,
        "room_id": room.id,
        "number": number,
        "quote_id": quote_id,
        "starts_at": starts_at or clocks.now,
        "now": clocks.now,
        **theirs,
    }
    return Gate(*(await session.execute(_gate(who), facts)).one())


async def admit(
    session: AsyncSession,
    customer: Customer,
    store: Store,
    room: Room,
    merchant: Merchant,
    seen: Gate,
    clocks: Clocks,
    *,
    unpaid: bool = True,
) -> None:
    """Raise what forbids this customer an order here, whatever its time.

    ``seen``: what ``look`` told; with ``unpaid``, which counts what they have not paid yet, it looked while
    they were queueing (``queue``). Raises ``room.maintenance``, Conflict ``merchant.suspended``,
    ``order.too_many_unpaid``, ``booking.customer_blocked``, ``booking.too_many_open``,
    ``order.overtime_due``.
    """
    if room.mode == "maintenance":
        raise KaimenError("room.maintenance", "这个包间正在维护，请选别的包间", status=409)
    if merchant.suspended_at is not None:
        raise Conflict("merchant.suspended", "这家店暂停接单，请换一家")
    rules = await rules_of(session, store, room.id)
    if unpaid and seen.unpaid >= MAX_UNPAID:
        raise _too_many_unpaid()
    if seen.blocked or rules.max_open:
        await limits.check(session, customer, store, rules, clocks.now)
    if seen.owing:
        await overtime.check_nothing_due(session, customer, store.merchant_id)


async def check_may_order(
    session: AsyncSession,
    customer: Customer,
    store: Store,
    room: Room,
    clocks: Clocks,
    *,
    unpaid: bool = True,
) -> None:
    """``admit`` for who has no merchant at hand and orders nothing by it."""
    merchant = await session.get_one(Merchant, store.merchant_id)
    if unpaid:
        await queue(session, customer)
    seen = await look(session, customer, room, clocks)
    await admit(session, customer, store, room, merchant, seen, clocks, unpaid=unpaid)


@dataclass(frozen=True, slots=True)
class Gate:
    """What was seen."""

    unpaid: int
    blocked: bool
    owing: bool
    number_taken: bool
    deposits: bool  # whether the store asks for any
    ordered: bool  # whether the quote was ordered from already
    balance_fen: int  # what the customer has at the merchant, to pay with
    before_until: datetime | None  # when the stay before it gives the room free


async def check_unpaid(session: AsyncSession, customer: Customer) -> None:
    """Raise Conflict ``order.too_many_unpaid``; a series counts once, before its first order."""
    await queue(session, customer)
    if (await session.exec(_unpaid(customer))).one() >= MAX_UNPAID:
        raise _too_many_unpaid()


async def queue(session: AsyncSession, customer: Customer) -> None:
    """Orders of one person at the same time queue here, or each would count before the others insert."""
    who, theirs = stand_in(customer)
    await session.exec(_account(who), params=theirs)


def queueing(query: Any, customer: Customer) -> Any:
    """``query``, which makes who asks it queue as ``queue`` does, for as long as its transaction lasts."""
    me = col(Account.id) == customer.account_id
    return query.join(Account, me).with_for_update(of=Account)


@built
def _account(who: Customer) -> SelectOfScalar[str]:
    return select(col(Account.id)).where(col(Account.id) == who.account_id).with_for_update()


@built
def _gate(who: Customer) -> Any:
    return sa.select(
        _unpaid(who).scalar_subquery(),
        limits.blocking(who, bindparam("merchant_id"), bindparam("now")).exists(),
        overtime.owed(who, bindparam("merchant_id")).exists(),
        select(col(Order.id)).where(col(Order.number) == bindparam("number")).exists(),
        deposits.of_store(bindparam("store_id")).exists(),
        select(col(Order.id)).where(col(Order.quote_id) == bindparam("quote_id")).exists(),
        func.coalesce(balance_of(who, bindparam("merchant_id")).scalar_subquery(), 0),
        until_before(bindparam("room_id"), bindparam("starts_at")).scalar_subquery(),
    )


def _unpaid(customer: Customer) -> SelectOfScalar[int]:
    return (
        select(func.count())
        .select_from(Order)
        .where(col(Order.account_id) == customer.account_id, col(Order.status) == "pending_payment")
    )


def _too_many_unpaid() -> Conflict:
    return Conflict(
        "order.too_many_unpaid",
        _("你有 {max_unpaid} 个订单还没支付，请先支付或取消").format(max_unpaid=MAX_UNPAID),
    )
