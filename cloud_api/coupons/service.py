"""Coupons in customers' hands: given, used by exactly one order, given back when it is cancelled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, func, update
from sqlmodel import col, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession
from sqlmodel.sql.expression import SelectOfScalar

from cloud_api.coupons.models import Coupon, CouponGrant
from cloud_api.kit.actor import Customer, System, scoped, stand_in
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.statements import Bound, built
from cloud_api.pricing.offers import Offer

HOME_ZONE: Final = (
    "Asia/Shanghai"  # a merchant's coupons have no store: their days are those of home
)
_MOST_WEIGHED: Final = 50


async def offers_for(
    session: AsyncSession, customer: Customer, merchant_id: str, now: datetime
) -> list[Offer]:
    """What the customer could take off an order at a merchant now; the soonest to expire first."""
    who, theirs = stand_in(customer)
    values = {"merchant_id": merchant_id, "now": now, **theirs}
    found = (await session.execute(_weighed(who), values)).all()
    today = now.astimezone(ZoneInfo(HOME_ZONE)).date()
    return [
        offer_of(grant.id, coupon)
        for grant, coupon in found
        if coupon.valid_from is None or coupon.valid_from <= today
    ]


def unused(
    customer: Customer, merchant_id: Bound[str], now: Bound[datetime]
) -> SelectOfScalar[CouponGrant]:
    """What a customer has of a merchant's coupons that could still be used."""
    return scoped(customer, CouponGrant).where(
        col(CouponGrant.merchant_id) == merchant_id,
        col(CouponGrant.state) == "unused",
        or_(col(CouponGrant.expires_at).is_(None), col(CouponGrant.expires_at) > now),
    )


@built
def _weighed(who: Customer) -> Any:
    return (
        unused(who, bindparam("merchant_id"), bindparam("now"))
        .join(Coupon, col(Coupon.id) == col(CouponGrant.coupon_id))
        .add_columns(Coupon)
        .order_by(col(CouponGrant.expires_at), col(CouponGrant.id))
        .limit(_MOST_WEIGHED)
    )


def offer_of(grant_id: str, coupon: Coupon) -> Offer:
    """A coupon in a hand, as prices know it."""
    return Offer(
        id=grant_id,
        name=coupon.name,
        kind=coupon.kind,
        off_fen=coupon.off_fen,
        per_cent=coupon.per_cent,
        cap_fen=coupon.cap_fen,
        minutes=coupon.minutes,
        min_fen=coupon.min_fen,
        min_minutes=coupon.min_minutes,
        stores=tuple(coupon.stores),
        room_kinds=tuple(coupon.room_kinds),
        products=tuple(coupon.products),
        weekdays=coupon.weekdays,
        holidays=coupon.holidays,
        from_minute=coupon.from_minute,
        until_minute=coupon.until_minute,
    )


async def use(
    session: AsyncSession, account_id: str, grant_id: str, order_id: str, clocks: Clocks
) -> None:
    """Use a coupon for an order, in the order's own transaction; of two that try, one does.

    Raises Conflict ``coupon.used`` if it is used, revoked, expired or another's.
    """
    taken = await session.exec(
        update(CouponGrant)
        .where(
            col(CouponGrant.id) == grant_id,
            col(CouponGrant.account_id) == account_id,
            col(CouponGrant.state) == "unused",
            or_(col(CouponGrant.expires_at).is_(None), col(CouponGrant.expires_at) > clocks.now),
        )
        .values(state="used", order_id=order_id, used_at=clocks.now)
        .returning(col(CouponGrant.id))
        .execution_options(synchronize_session=False)
    )
    if taken.first() is None:
        raise Conflict(
            "coupon.used", "这张券刚用过或已过期，回去重新选时间，价格会重新算", coupon_id=grant_id
        )


async def give_back(session: AsyncSession, order_id: str, clocks: Clocks) -> bool:
    """What an order used goes back into its customer's hand; again changes nothing.

    It keeps its expiry, but lives a day longer than now, so that it is worth something. True where
    there was one.
    """
    grant = await _held_by(session, col(CouponGrant.order_id) == order_id)
    if grant is None or grant.state != "used":
        return False
    grant.state, grant.order_id, grant.last_order_id, grant.used_at = "unused", None, order_id, None
    if grant.expires_at is not None:
        grant.expires_at = max(grant.expires_at, clocks.now + timedelta(days=1))
    session.add(grant)
    await session.flush()
    return True


async def take_again(session: AsyncSession, order_id: str, clocks: Clocks) -> bool:
    """An order that was given up lives again: its coupon with it. False if that was used elsewhere."""
    grant = await _held_by(session, col(CouponGrant.last_order_id) == order_id)
    if grant is None:
        return True
    if grant.state != "unused":
        return grant.order_id == order_id
    grant.state, grant.order_id, grant.last_order_id, grant.used_at = (
        "used", order_id, None, clocks.now,
    )  # fmt: skip
    session.add(grant)
    await session.flush()
    return True


async def grant(
    session: AsyncSession, coupon: Coupon, account_id: str, by: str, clocks: Clocks
) -> CouponGrant | None:
    """One more of ``coupon`` into a customer's hand; None where they have as many as one may.

    Raises Conflict ``coupon.stopped``, ``coupon.over``, ``coupon.sold_out``. The stock is counted by one
    conditional UPDATE, so it is never exceeded.
    """
    expires_at = _check_open(coupon, clocks.now)
    counted = await session.exec(
        update(Coupon)
        .where(
            col(Coupon.id) == coupon.id,
            col(Coupon.stopped_at).is_(None),
            or_(col(Coupon.stock).is_(None), col(Coupon.issued) < col(Coupon.stock)),
        )
        .values(issued=col(Coupon.issued) + 1)
        .returning(col(Coupon.issued))
        .execution_options(synchronize_session=False)
    )
    if counted.first() is None:
        raise Conflict("coupon.sold_out", "这张券已经领完了")
    # The UPDATE holds the coupon's row, so whoever gives out the same one counts after us.
    held = (
        await session.exec(
            select(func.count())
            .select_from(CouponGrant)
            .where(
                col(CouponGrant.coupon_id) == coupon.id, col(CouponGrant.account_id) == account_id
            )
        )
    ).one()
    if held >= coupon.per_person:
        await session.exec(
            update(Coupon)
            .where(col(Coupon.id) == coupon.id)
            .values(issued=col(Coupon.issued) - 1)
            .execution_options(synchronize_session=False)
        )
        return None
    made = CouponGrant(
        merchant_id=coupon.merchant_id,
        coupon_id=coupon.id,
        account_id=account_id,
        nth=held + 1,
        expires_at=expires_at,
        by=by,
        created_at=clocks.now,
    )
    session.add(made)
    await session.flush()
    return made


async def claim(
    session: AsyncSession, customer: Customer, code: str, clocks: Clocks
) -> tuple[CouponGrant, Coupon]:
    """Fetch a coupon by its code. Raises NotFound ``coupon.not_found``, Conflict ``coupon.*``."""
    query = scoped(System(), Coupon).where(col(Coupon.code) == code.strip().upper())
    found = (await session.exec(query.order_by(col(Coupon.id)))).first()
    if found is None:
        raise NotFound("coupon", "没有这个领券码，检查一下有没有输错")
    made = await grant(session, found, customer.account_id, "code", clocks)
    if made is None:
        raise Conflict(
            "coupon.had", _("你已经领过“{name}”了，在“我的优惠券”里").format(name=found.name)
        )
    return made, found


async def mine(session: AsyncSession, customer: Customer) -> Sequence[tuple[CouponGrant, Coupon]]:
    """The customer's coupons, unused first, then the newest; at most 200."""
    query = (
        select(CouponGrant, Coupon)
        .join(Coupon, col(Coupon.id) == col(CouponGrant.coupon_id))
        .where(col(CouponGrant.account_id) == customer.account_id)
        .order_by(col(CouponGrant.state).desc(), col(CouponGrant.id).desc())
        .limit(200)
    )
    return (await session.exec(query)).all()


async def _held_by(session: AsyncSession, which: Any) -> CouponGrant | None:
    """The coupon as it is now, held until the transaction ends."""
    query = scoped(System(), CouponGrant).where(which).with_for_update()
    return (await session.exec(query.execution_options(populate_existing=True))).first()


def _check_open(coupon: Coupon, now: datetime) -> datetime | None:
    """Until when one given now lives. Raises Conflict if none may be given any more."""
    if coupon.stopped_at is not None:
        raise Conflict("coupon.stopped", "这张券已经停发")
    zone = ZoneInfo(HOME_ZONE)
    ends = []
    if coupon.valid_until is not None:
        last = datetime.combine(coupon.valid_until + timedelta(days=1), time(0), zone)
        if last <= now:
            raise Conflict("coupon.over", "这张券的有效期已经过了")
        ends.append(last)
    if coupon.valid_days is not None:
        day = now.astimezone(zone).date() + timedelta(days=coupon.valid_days + 1)
        ends.append(datetime.combine(day, time(0), zone))
    return min(ends) if ends else None
