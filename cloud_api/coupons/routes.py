"""/coupons and /me/coupons for customers, /console/coupons for staff."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.auth.deps import customer
from cloud_api.coupons import manage, service
from cloud_api.coupons.models import Coupon, CouponGrant
from cloud_api.coupons.schemas import (
    ClaimIn,
    CouponIn,
    CouponOut,
    CouponsOut,
    MyCouponOut,
    MyCouponsOut,
    text_of,
)
from cloud_api.kit.actor import Customer, Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.kit.throttle import hit
from cloud_api.staff.deps import staff_actor

router = APIRouter(tags=["coupons"])
Who = Annotated[Customer, Depends(customer)]
StaffWho = Annotated[Staff, Depends(staff_actor)]

_TRIES = (20, 600)  # codes that one person may type in ten minutes


@router.get("/me/coupons")
async def my_coupons(request: Request, who: Who) -> MyCouponsOut:
    """My coupons of all merchants."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await service.mine(session, who)
    return MyCouponsOut(items=[my(grant, coupon, cloud.clocks.now) for grant, coupon in found])


@router.post("/coupons/claim", response_model=MyCouponOut, status_code=201)
async def claim(request: Request, body: ClaimIn, who: Who) -> Response:
    """Fetch a coupon by its code."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            await hit(session, f"coupon:{who.account_id}", *_TRIES, cloud.clocks.real)
        async with cloud.db.write() as session:
            made, coupon = await service.claim(session, who, body.code, cloud.clocks)
        told = my(made, coupon, cloud.clocks.now)
        return JSONResponse(told.model_dump(mode="json"), 201)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/console/coupons")
async def list_coupons(
    request: Request,
    who: StaffWho,
    cursor: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> CouponsOut:
    """The merchant's coupons, newest first."""
    async with cloud_of(request).db.read() as session:
        found, following = await manage.listed(session, who, cursor, limit)
        used = await manage.used_counts(session, [one.id for one in found])
    return CouponsOut(
        items=[CouponOut.of(one, used.get(one.id, 0)) for one in found], next=following
    )


@router.post("/console/coupons", response_model=CouponOut, status_code=201)
async def make_coupon(request: Request, body: CouponIn, who: StaffWho) -> Response:
    """A new kind of coupon."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            made = await manage.make(session, who, body.model_dump(), cloud.clocks)
        return JSONResponse(CouponOut.of(made).model_dump(mode="json"), 201)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/console/coupons/{coupon_id}")
async def get_coupon(request: Request, coupon_id: str, who: StaffWho) -> CouponOut:
    """One of them."""
    async with cloud_of(request).db.read() as session:
        found = await manage.one(session, who, coupon_id)
        used = await manage.used_counts(session, [found.id])
    return CouponOut.of(found, used.get(found.id, 0))


@router.post("/console/coupons/{coupon_id}/stop", response_model=CouponOut)
async def stop_coupon(request: Request, coupon_id: str, who: StaffWho) -> Response:
    """Give out no more of it; what customers hold stays good."""
    cloud = cloud_of(request)

    async def act() -> CouponOut:
        async with cloud.db.write() as session:
            return CouponOut.of(await manage.stop(session, who, coupon_id, cloud.clocks))

    return await once(cloud, who.ref, request, await request.body(), act)


def my(grant: CouponGrant, coupon: Coupon, now: datetime) -> MyCouponOut:
    """A coupon in a hand, as its holder sees it."""
    over = grant.expires_at is not None and grant.expires_at <= now
    return MyCouponOut(
        id=grant.id,
        name=coupon.name,
        text=text_of(coupon),
        state="expired" if grant.state == "unused" and over else grant.state,
        merchant_id=coupon.merchant_id,
        expires_at=grant.expires_at,
        order_id=grant.order_id,
    )
