"""What coupons keep of a person."""

from __future__ import annotations

from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.coupons.models import CouponGrant
from cloud_api.coupons.service import mine
from cloud_api.kit import merging
from cloud_api.kit.actor import Customer, System, scoped
from cloud_api.kit.clocks import Clocks
from cloud_api.kit.personal import Blocker, Section, register


class _Coupons:
    async def export(self, session: AsyncSession, account_id: str) -> list[Section]:
        found = await mine(session, Customer(account_id))
        rows = [
            {"券": coupon.name, "状态": grant.state, "到期": grant.expires_at}
            for grant, coupon in found
        ]
        return [Section("coupons", "优惠券", rows)]

    async def blockers(self, session: AsyncSession, account_id: str) -> list[Blocker]:
        del session, account_id
        return []

    async def forget(self, session: AsyncSession, account_id: str, clocks: Clocks) -> None:
        del clocks
        query = scoped(System(), CouponGrant).where(
            col(CouponGrant.account_id) == account_id, col(CouponGrant.state) == "unused"
        )
        for grant in (await session.exec(query)).all():
            grant.state = "revoked"
            session.add(grant)


register("coupons", _Coupons())


async def _merge(session: AsyncSession, merge: merging.Merge) -> None:
    """Coupons follow, counted on after those that the other one has of the same kind."""
    query = scoped(System(), CouponGrant).where(
        col(CouponGrant.merchant_id) == merge.merchant_id,
        col(CouponGrant.account_id).in_([merge.old, merge.new]),
    )
    grants = (await session.exec(query.order_by(col(CouponGrant.id)))).all()
    last: dict[str, int] = {}
    for one in grants:
        if one.account_id == merge.new:
            last[one.coupon_id] = max(last.get(one.coupon_id, 0), one.nth)
    for one in grants:
        if one.account_id == merge.old:
            last[one.coupon_id] = one.nth = last.get(one.coupon_id, 0) + 1
            one.account_id = merge.new
            session.add(one)
            merge.moved["coupons"] = merge.moved.get("coupons", 0) + 1
    await session.flush()


merging.register("coupons", _merge)
