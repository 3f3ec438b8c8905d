"""Who may book: not whom a merchant takes nothing from, nor who has too many open orders already."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.audit import service as audit
from cloud_api.claims.booking_rules import Rules
from cloud_api.kit.actor import Customer, Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, KaimenError, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.statements import Bound
from cloud_api.orders.models import BlockedCustomer, Order
from cloud_api.orders.service import get_order
from cloud_api.staff.permissions import ORDER_CANCEL
from cloud_api.stores.models import Store

MOST = 200
_OPEN = ("pending_payment", "paid", "ready", "in_use")


async def check(
    session: AsyncSession, customer: Customer, store: Store, rules: Rules, now: datetime
) -> None:
    """Raise Conflict ``booking.customer_blocked`` or ``booking.too_many_open``."""
    if (
        await session.exec(blocking(customer, store.merchant_id, now).limit(1))
    ).first() is not None:
        raise Conflict(
            "booking.customer_blocked",
            "这家店暂不接受你的预订，有疑问请打给店家",
            phone=store.phone,
        )
    if not rules.max_open:
        return
    count = await session.exec(
        select(func.count())
        .select_from(Order)
        .where(
            col(Order.account_id) == customer.account_id,
            col(Order.store_id) == store.id,
            col(Order.status).in_(_OPEN),
        )
    )
    if count.one() >= rules.max_open:
        raise Conflict(
            "booking.too_many_open",
            _("这家店一个人最多同时有 {max_open} 单没用完，用完或取消后再订").format(
                max_open=rules.max_open
            ),
            limit=rules.max_open,
        )


def blocking(
    customer: Customer, merchant_id: Bound[str], now: Bound[datetime]
) -> SelectOfScalar[str]:
    """The entries of the merchant's black list that keep this customer out now."""
    return select(col(BlockedCustomer.id)).where(
        col(BlockedCustomer.merchant_id) == merchant_id,
        col(BlockedCustomer.account_id) == customer.account_id,
        BlockedCustomer.in_force(now),
    )


async def block(
    session: AsyncSession,
    staff: Staff,
    order_id: str,
    why: str,
    until: datetime | None,
    clocks: Clocks,
) -> BlockedCustomer:
    """Take no more bookings from who made an order. Needs order.cancel, and a reason."""
    staff.need(ORDER_CANCEL)
    if not why.strip():
        raise KaimenError("why.missing", "写一句为什么拉黑，之后查得到", status=422, field="why")
    order = await get_order(session, staff, order_id)
    return await block_account(session, staff, order.account_id, why, until, clocks)


async def block_account(
    session: AsyncSession,
    staff: Staff,
    account_id: str,
    why: str,
    until: datetime | None,
    clocks: Clocks,
) -> BlockedCustomer:
    """Take no more bookings from somebody who is known here. Needs order.cancel, and a reason."""
    staff.need(ORDER_CANCEL)
    if not why.strip():
        raise KaimenError("why.missing", "写一句为什么拉黑，之后查得到", status=422, field="why")
    known = scoped(staff, BlockedCustomer).where(
        col(BlockedCustomer.account_id) == account_id, BlockedCustomer.in_force(clocks.now)
    )
    if (found := (await session.exec(known)).first()) is not None:
        return found
    made = BlockedCustomer(
        merchant_id=staff.merchant_id,
        account_id=account_id,
        why=why.strip(),
        by=staff.ref,
        until=until,
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    await _write(session, staff, made, "customer.block", why.strip(), clocks)
    return made


async def lift(session: AsyncSession, staff: Staff, blocked_id: str, clocks: Clocks) -> None:
    """Take a block back. Needs order.cancel. Raises NotFound."""
    staff.need(ORDER_CANCEL)
    query = scoped(staff, BlockedCustomer).where(col(BlockedCustomer.id) == blocked_id)
    found = (await session.exec(query)).first()
    if found is None:
        raise NotFound("block", "没有这条黑名单")
    await session.exec(
        update(BlockedCustomer)
        .where(col(BlockedCustomer.id) == found.id, col(BlockedCustomer.lifted_at).is_(None))
        .values(lifted_at=clocks.now, lifted_by=staff.ref)
    )
    await _write(session, staff, found, "customer.unblock", "", clocks)


async def blocked(session: AsyncSession, staff: Staff, now: datetime) -> list[BlockedCustomer]:
    """Who is blocked now, newest first, at most 200. Needs order.cancel."""
    staff.need(ORDER_CANCEL)
    query = (
        scoped(staff, BlockedCustomer)
        .where(BlockedCustomer.in_force(now))
        .order_by(col(BlockedCustomer.id).desc())
        .limit(MOST)
    )
    return list((await session.exec(query)).all())


async def _write(
    session: AsyncSession,
    staff: Staff,
    one: BlockedCustomer,
    act: str,
    why: str,
    clocks: Clocks,
) -> None:
    await audit.record(
        session,
        staff,
        act,
        merchant_id=one.merchant_id,
        subject=f"account:{one.account_id}",
        after={"why": one.why},
        why=why,
        clocks=clocks,
    )
