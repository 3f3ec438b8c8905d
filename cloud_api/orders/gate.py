"""What stands in a person's way to another order, asked in one query; what says no is looked at closely."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import bindparam, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.auth.models import Account
from cloud_api.claims.booking_rules import rules_of
from cloud_api.kit.actor import Customer, stand_in
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.statements import built
from cloud_api.merchants.models import Merchant
from cloud_api.orders import deposits, limits, overtime
from cloud_api.orders.models import Order
from cloud_api.stores.models import Room, Store

MAX_UNPAID: Final = 3  # a person cannot block a house without paying


async def admit(
    session: AsyncSession,
    customer: Customer,
    store: Store,
    room: Room,
    merchant: Merchant,
    clocks: Clocks,
    *,
    number: str = "",
    unpaid: bool = True,
) -> Gate:
    """Raise what forbids this customer an order here, whatever its time; else what an order needs to know.

    ``unpaid``: count what they have not paid yet; they queue here until the transaction ends.
    ``number``: one that the order would like to have. Raises ``room.maintenance``, Conflict
    ``merchant.suspended``, ``order.too_many_unpaid``, ``booking.customer_blocked``,
    ``booking.too_many_open``, ``order.overtime_due``.
    """
    if room.mode == "maintenance":
        raise KaimenError("room.maintenance", "这个包间正在维护，请选别的包间", status=409)
    if merchant.suspended_at is not None:
        raise Conflict("merchant.suspended", "这家店暂停接单，请换一家")
    rules = await rules_of(session, store, room.id)
    if unpaid:
        await _queue(session, customer)
    who, theirs = stand_in(customer)
    facts = {
        "merchant_id": store.merchant_id,
        "store_id": store.id,
        "number": number,
        "now": clocks.now,
        **theirs,
    }
    seen = Gate(*(await session.execute(_gate(who), facts)).one())
    if unpaid and seen.unpaid >= MAX_UNPAID:
        raise _too_many_unpaid()
    if seen.blocked or rules.max_open:
        await limits.check(session, customer, store, rules, clocks.now)
    if seen.owing:
        await overtime.check_nothing_due(session, customer, store.merchant_id)
    return seen


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
    await admit(session, customer, store, room, merchant, clocks, unpaid=unpaid)


@dataclass(frozen=True, slots=True)
class Gate:
    """What was seen."""

    unpaid: int
    blocked: bool
    owing: bool
    number_taken: bool
    deposits: bool  # whether the store asks for any


async def check_unpaid(session: AsyncSession, customer: Customer) -> None:
    """Raise Conflict ``order.too_many_unpaid``; a series counts once, before its first order."""
    await _queue(session, customer)
    if (await session.exec(_unpaid(customer))).one() >= MAX_UNPAID:
        raise _too_many_unpaid()


async def _queue(session: AsyncSession, customer: Customer) -> None:
    """Orders of one person at the same time queue here, or each would count before the others insert."""
    await session.exec(_account(), params={"account_id": customer.account_id})


@built
def _account() -> SelectOfScalar[str]:
    mine = select(col(Account.id)).where(col(Account.id) == bindparam("account_id"))
    return mine.with_for_update()


@built
def _gate(who: Customer) -> Any:
    return sa.select(
        _unpaid(who).scalar_subquery(),
        limits.blocking(who, bindparam("merchant_id"), bindparam("now")).exists(),
        overtime.owed(who, bindparam("merchant_id")).exists(),
        select(col(Order.id)).where(col(Order.number) == bindparam("number")).exists(),
        deposits.of_store(bindparam("store_id")).exists(),
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
