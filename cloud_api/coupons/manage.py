"""What staff do with coupons: make, issue, list, stop. Needs coupon.edit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.audit import service as audit
from cloud_api.coupons.models import Coupon, CouponGrant
from cloud_api.coupons.service import grant
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.errors import Conflict, NotFound
from cloud_api.kit.paging import page_of
from cloud_api.staff.permissions import COUPON_EDIT


@dataclass(frozen=True, slots=True)
class Issued:
    """What became of an issue."""

    given: int
    had: int
    sold_out: bool


async def make(
    session: AsyncSession, actor: Staff, values: dict[str, Any], clocks: Clocks
) -> Coupon:
    """A new kind of coupon. Raises Conflict ``coupon.code_taken``."""
    actor.need(COUPON_EDIT)
    code = values.get("code")
    if code is not None:
        # Codes are typed without saying where: one code, one coupon of the installation.
        taken = await session.exec(select(col(Coupon.id)).where(col(Coupon.code) == code))
        if taken.first() is not None:
            raise Conflict("coupon.code_taken", "这个领券码已经有人用了，换一个", field="code")
    made = Coupon(merchant_id=actor.merchant_id, created_at=clocks.now, **values)
    session.add(made)
    await session.flush()
    told = {name: value for name, value in values.items() if value not in (None, [], 0, 1)}
    await _record(session, actor, made, "coupon.make", clocks, after=_plain(told))
    return made


async def one(session: AsyncSession, actor: Staff, coupon_id: str) -> Coupon:
    """One of the merchant's. Raises NotFound."""
    actor.need(COUPON_EDIT)
    found = (
        await session.exec(scoped(actor, Coupon).where(col(Coupon.id) == coupon_id))
    ).one_or_none()
    if found is None:
        raise NotFound("coupon")
    return found


async def listed(
    session: AsyncSession, actor: Staff, cursor: str, limit: int
) -> tuple[list[Coupon], str | None]:
    """The merchant's, newest first, and the cursor of the next page."""
    actor.need(COUPON_EDIT)
    return await page_of(
        session,
        scoped(actor, Coupon),
        by=Coupon.created_at,
        key=Coupon.id,
        cursor=cursor or None,
        limit=limit,
    )


async def used_counts(session: AsyncSession, coupon_ids: Sequence[str]) -> dict[str, int]:
    """How many of each were used; one query."""
    query = (
        select(col(CouponGrant.coupon_id), func.count())
        .where(col(CouponGrant.coupon_id).in_(list(coupon_ids)), col(CouponGrant.state) == "used")
        .group_by(col(CouponGrant.coupon_id))
    )
    return {coupon_id: int(count) for coupon_id, count in (await session.exec(query)).all()}


async def stop(session: AsyncSession, actor: Staff, coupon_id: str, clocks: Clocks) -> Coupon:
    """Give out no more of it. What customers hold already stays good."""
    coupon = await one(session, actor, coupon_id)
    if coupon.stopped_at is None:
        coupon.stopped_at = clocks.now
        session.add(coupon)
        await _record(session, actor, coupon, "coupon.stop", clocks)
    return coupon


async def issue(
    session: AsyncSession,
    actor: Staff,
    coupon: Coupon,
    account_ids: Sequence[str],
    segment: str,
    clocks: Clocks,
) -> Issued:
    """One for each account, until there are no more. Raises as ``service.grant`` if none is given at all."""
    actor.need(COUPON_EDIT)
    given = had = 0
    sold_out = False
    for account_id in account_ids:
        try:
            made = await grant(session, coupon, account_id, actor.ref, clocks)
        except Conflict as refusal:
            if refusal.code != "coupon.sold_out" or not given:
                raise
            sold_out = True
            break
        given += made is not None
        had += made is None
    await _record(
        session, actor, coupon, "coupon.issue", clocks,
        after={"segment": segment, "given": given, "had": had},
    )  # fmt: skip
    return Issued(given, had, sold_out)


async def _record(
    session: AsyncSession,
    actor: Staff,
    coupon: Coupon,
    action: str,
    clocks: Clocks,
    after: dict[str, Any] | None = None,
) -> None:
    await audit.record(
        session,
        actor,
        action,
        merchant_id=coupon.merchant_id,
        subject=f"coupon:{coupon.id}",
        after={"name": coupon.name, **(after or {})},
        clocks=clocks,
    )


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else value
        for name, value in values.items()
    }
