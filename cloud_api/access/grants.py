"""Grants: the right to enter that a paid order gives, with its PIN; and taking it back."""

from __future__ import annotations

from sqlalchemy.exc import IntegrityError
from sqlmodel import col, update
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access.models import Grant
from cloud_api.claims.models import RoomClaim
from cloud_api.claims.window import opens_at, previous_until
from cloud_api.kit import outbox
from cloud_api.kit.actor import Actor, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.ids import new_digits, new_id
from cloud_api.orders.models import Order
from cloud_api.stores.models import Store

LIVE = frozenset({"paid", "ready", "in_use"})


async def grant_of(session: AsyncSession, actor: Actor, order_id: str) -> Grant | None:
    """The order's grant that is not revoked."""
    query = scoped(actor, Grant).where(
        col(Grant.order_id) == order_id, col(Grant.revoked_at).is_(None)
    )
    return (await session.exec(query)).one_or_none()


async def ensure_grant(session: AsyncSession, order: Order, clocks: Clocks) -> Grant | None:
    """The grant of a paid order, made or brought up to date; the store is told of any change.

    One grant per order (the database says so), however often and from wherever this is called. None
    for an order that gives no right. A revoked grant of an order that lives again gets a new PIN.
    """
    if order.status not in LIVE:
        return None
    store = await session.get_one(Store, order.store_id)
    claim = await session.get_one(RoomClaim, order.claim_id)
    before = await previous_until(session, claim.room_id, claim.id, claim.starts_at)
    opens, ends = opens_at(store, claim.starts_at, before), claim.ends_at
    query = scoped(System(), Grant).where(col(Grant.order_id) == order.id)
    grant = (await session.exec(query)).one_or_none()
    if grant is None:
        grant = await _insert(
            session,
            Grant(
                id=new_id(),
                merchant_id=order.merchant_id,
                store_id=order.store_id,
                account_id=order.account_id,
                order_id=order.id,
                claim_id=order.claim_id,
                rooms=[order.room_id],
                not_before=opens,
                expires_at=ends,
                pin=await _free_pin(session, order.store_id, clocks),
                created_at=clocks.now,
            ),
        )
    elif grant.revoked_at is None and (
        (grant.not_before, grant.expires_at, grant.rooms) == (opens, ends, [order.room_id])
    ):
        return grant
    else:
        if grant.revoked_at is not None:
            grant.revoked_at = None
            grant.pin = await _free_pin(session, order.store_id, clocks)
        grant.not_before, grant.expires_at, grant.rooms = opens, ends, [order.room_id]
        session.add(grant)
        await session.flush()
    await outbox.desired_changed(
        session, merchant_id=order.merchant_id, store_id=order.store_id, now=clocks.real
    )
    return grant


async def revoke(session: AsyncSession, order: Order, clocks: Clocks) -> bool:
    """Take the order's right to enter back; the store is told. False if it had none any more."""
    done = (
        await session.exec(
            update(Grant)
            .where(col(Grant.order_id) == order.id, col(Grant.revoked_at).is_(None))
            .values(revoked_at=clocks.now)
            .returning(col(Grant.id))
            .execution_options(synchronize_session=False)
        )
    ).scalar_one_or_none()
    if done is None:
        return False
    await outbox.desired_changed(
        session, merchant_id=order.merchant_id, store_id=order.store_id, now=clocks.real
    )
    return True


async def _insert(session: AsyncSession, grant: Grant) -> Grant:
    """Insert; if another process was first, theirs is the grant."""
    try:
        async with session.begin_nested():
            session.add(grant)
            await session.flush()
    except IntegrityError:
        query = scoped(System(), Grant).where(col(Grant.order_id) == grant.order_id)
        return (await session.exec(query)).one()
    return grant


async def _free_pin(session: AsyncSession, store_id: str, clocks: Clocks) -> str:
    """Six digits that no live grant of the store has, so that a PIN names one booking.

    PINs are encrypted, so live ones are opened and compared here: a store has a few hundred at most.
    """
    query = scoped(System(), Grant).where(
        col(Grant.store_id) == store_id,
        col(Grant.revoked_at).is_(None),
        col(Grant.expires_at) > clocks.now,
    )
    taken = {grant.pin for grant in (await session.exec(query)).all()}
    while True:
        pin = new_digits(6)
        if pin not in taken and len(set(pin)) > 2:
            return pin
