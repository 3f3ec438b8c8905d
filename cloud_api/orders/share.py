"""Sharing an order: friends who join by its link may open its doors, and nothing else of it."""

from __future__ import annotations

from typing import Final

from sqlalchemy import func, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.claims.booking_rules import rules_of
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.ids import new_token
from cloud_api.orders.models import Order, OrderGuest, OrderShare
from cloud_api.orders.transitions import lock_order, note, system_lock
from cloud_api.stores.models import Store

_LIVE: Final = frozenset({"paid", "ready", "in_use"})


async def open_link(
    session: AsyncSession, customer: Customer, order_id: str, clocks: Clocks
) -> OrderShare:
    """The link of one's paid order, made or as it is; one that was revoked is replaced by another.

    Raises NotFound, Conflict ``share.not_live``, ``share.off``.
    """
    order = await lock_order(session, customer, order_id)
    if order.status not in _LIVE:
        raise Conflict("share.not_live", "付好款、还没结束的订单才能邀请牌友")
    store = await session.get_one(Store, order.store_id)
    most = (await rules_of(session, store, order.room_id)).friends
    if not most:
        raise Conflict("share.off", "这家店一单只能一个人开门")
    found = await link_of(session, customer, order_id)
    if found is None:
        found = OrderShare(
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            account_id=order.account_id,
            order_id=order.id,
            token=new_token(),
            most=most,
            created_at=clocks.now,
        )
    elif found.revoked_at is not None:
        found.token, found.revoked_at, found.most = new_token(), None, most
    else:
        return found
    session.add(found)
    await session.flush()
    await note(session, order, "shared", by=customer.ref, clocks=clocks)
    return found


async def revoke(session: AsyncSession, customer: Customer, order_id: str, clocks: Clocks) -> None:
    """Take the link back, and everybody who joined by it. Raises NotFound."""
    order = await lock_order(session, customer, order_id)
    await session.exec(
        update(OrderShare)
        .where(col(OrderShare.order_id) == order.id, col(OrderShare.revoked_at).is_(None))
        .values(revoked_at=clocks.now)
        .execution_options(synchronize_session=False)
    )
    await session.exec(
        update(OrderGuest)
        .where(col(OrderGuest.order_id) == order.id, col(OrderGuest.removed_at).is_(None))
        .values(removed_at=clocks.now)
        .execution_options(synchronize_session=False)
    )
    await note(session, order, "share_revoked", by=customer.ref, clocks=clocks)


async def remove(
    session: AsyncSession, customer: Customer, order_id: str, guest_id: str, clocks: Clocks
) -> None:
    """Take one friend's right back. Raises NotFound."""
    order = await lock_order(session, customer, order_id)
    done = await session.exec(
        update(OrderGuest)
        .where(
            col(OrderGuest.id) == guest_id,
            col(OrderGuest.order_id) == order.id,
            col(OrderGuest.removed_at).is_(None),
        )
        .values(removed_at=clocks.now)
        .returning(col(OrderGuest.id))
        .execution_options(synchronize_session=False)
    )
    if done.first() is None:
        raise NotFound("guest", "这位牌友不在名单里")


async def join(session: AsyncSession, customer: Customer, token: str, clocks: Clocks) -> Order:
    """Join an order by its link; again changes nothing. Who was removed stays out until a new link.

    Raises NotFound ``share.not_found`` (also for a revoked link), Conflict ``share.not_live``,
    ``share.full``, ``share.removed``.
    """
    link, order = await look(session, token)
    order = await system_lock(session, order.id)
    await session.refresh(link)
    if link.revoked_at is not None:
        raise NotFound("share", "邀请链接已经收回了，请朋友再发一次")
    if order.account_id == customer.account_id:
        return order
    if over(order, clocks):
        raise Conflict("share.not_live", "这场已经结束或取消了")
    known = scoped(System(), OrderGuest).where(
        col(OrderGuest.order_id) == order.id, col(OrderGuest.account_id) == customer.account_id
    )
    mine = (await session.exec(known)).first()
    if mine is not None and mine.removed_at is None:
        return order
    if mine is not None and mine.removed_at is not None and mine.removed_at >= link.created_at:
        raise Conflict("share.removed", "朋友把你移出了这一场，请找他再邀请一次")
    count = await session.exec(
        select(func.count())
        .select_from(OrderGuest)
        .where(col(OrderGuest.order_id) == order.id, col(OrderGuest.removed_at).is_(None))
    )
    if count.one() >= link.most:
        raise Conflict(
            "share.full",
            _("这一场最多 {most} 位牌友，已经满了").format(most=link.most),
            limit=link.most,
        )
    if mine is None:
        mine = OrderGuest(
            merchant_id=order.merchant_id,
            store_id=order.store_id,
            order_id=order.id,
            account_id=customer.account_id,
            joined_at=clocks.now,
        )
    mine.removed_at, mine.joined_at = None, clocks.now
    session.add(mine)
    await session.flush()
    await note(session, order, "friend_joined", by=customer.ref, clocks=clocks)
    return order


async def look(session: AsyncSession, token: str) -> tuple[OrderShare, Order]:
    """The link and its order. Raises NotFound; a revoked link is found by nobody."""
    query = scoped(System(), OrderShare).where(
        col(OrderShare.token) == token, col(OrderShare.revoked_at).is_(None)
    )
    link = (await session.exec(query)).first()
    if link is None:
        raise NotFound("share", "邀请链接已经收回了，请朋友再发一次")
    return link, await session.get_one(Order, link.order_id)


def over(order: Order, clocks: Clocks) -> bool:
    """Whether nobody can join any more: it was cancelled, given up, or its time is over."""
    return order.status not in _LIVE or clocks.now >= order.ends_at


async def link_of(session: AsyncSession, customer: Customer, order_id: str) -> OrderShare | None:
    """The link of one's order, revoked or not."""
    query = scoped(customer, OrderShare).where(col(OrderShare.order_id) == order_id)
    return (await session.exec(query)).first()


async def most_of(session: AsyncSession, store: Store, order: Order) -> int:
    """How many friends may join an order that may be read: its link's number, or what a new link would get."""
    query = scoped(System(), OrderShare).where(
        col(OrderShare.order_id) == order.id, col(OrderShare.revoked_at).is_(None)
    )
    found = (await session.exec(query)).first()
    return found.most if found else (await rules_of(session, store, order.room_id)).friends


async def friends_of(session: AsyncSession, order_id: str) -> list[OrderGuest]:
    """Who joined an order that may be read, in the order they came."""
    query = scoped(System(), OrderGuest).where(
        col(OrderGuest.order_id) == order_id, col(OrderGuest.removed_at).is_(None)
    )
    return list((await session.exec(query.order_by(col(OrderGuest.joined_at)))).all())


async def may_enter(session: AsyncSession, account_id: str, order: Order) -> bool:
    """Whether somebody may open the doors of an order: its customer, or a friend who joined."""
    if order.account_id == account_id:
        return True
    return any(one.account_id == account_id for one in await friends_of(session, order.id))
