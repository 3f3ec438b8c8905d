"""/console/coupons/{id}/issue: coupons into the hands of a segment of customers."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.coupons import manage
from cloud_api.coupons.schemas import IssuedOut, IssueIn
from cloud_api.kit.actor import Staff
from cloud_api.kit.errors import Conflict
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.orders.segments import accounts_of
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console/coupons", tags=["coupons"])


@router.post("/{coupon_id}/issue", response_model=IssuedOut)
async def issue_coupon(
    request: Request, coupon_id: str, body: IssueIn, who: Annotated[Staff, Depends(staff_actor)]
) -> Response:
    """Give a coupon to everybody in a segment who has not got theirs yet."""
    cloud = cloud_of(request)

    async def act() -> IssuedOut:
        async with cloud.db.write() as session:
            coupon = await manage.one(session, who, coupon_id)
            accounts, unknown = await accounts_of(session, who.merchant_id, body, cloud.clocks.now)
            if not accounts:
                raise Conflict("coupon.nobody", "没有符合条件的顾客", unknown=unknown)
            done = await manage.issue(session, who, coupon, accounts, body.segment, cloud.clocks)
        return IssuedOut(given=done.given, had=done.had, unknown=unknown, sold_out=done.sold_out)

    return await once(cloud, who.ref, request, await request.body(), act)
