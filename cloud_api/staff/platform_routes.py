"""/platform: merchants, for administrators of the installation; helping at a console, seen by its owner."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.auth import agents
from cloud_api.auth.csrf import ACTING_COOKIE, set_cookie
from cloud_api.kit.actor import Platform
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.kit.paging import MOST
from cloud_api.staff import platform
from cloud_api.staff.deps import platform_actor
from cloud_api.staff.schemas import (
    ActingOut,
    ImpersonateIn,
    MerchantIn,
    MerchantOut,
    MerchantsOut,
    PlatformMeOut,
    WhyIn,
)

router = APIRouter(prefix="/platform", tags=["platform"])
Admin = Annotated[Platform, Depends(platform_actor)]


@router.get("/me")
async def me(who: Admin) -> PlatformMeOut:
    """The administrator of this login."""
    return PlatformMeOut(admin_id=who.admin_id, name=who.name, fresh=who.fresh)


@router.get("/merchants")
async def merchants(
    request: Request,
    who: Admin,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> MerchantsOut:
    """All merchants, the oldest first; nothing of what they do."""
    async with cloud_of(request).db.read() as session:
        found, following = await platform.merchants_page(session, cursor=cursor, limit=limit)
    return MerchantsOut(items=[MerchantOut.of(one) for one in found], next_cursor=following)


@router.post("/merchants", response_model=MerchantOut, status_code=201)
async def make_merchant(request: Request, body: MerchantIn, who: Admin) -> Response:
    """A merchant and its owner."""
    cloud = cloud_of(request)
    who.need_fresh()

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            merchant, member = await platform.make_merchant(
                session,
                who,
                name=body.name,
                phone=body.phone,
                owner=body.owner,
                clocks=cloud.clocks,
            )
        made = MerchantOut.of(platform.MerchantView(merchant, 1, (member.name,)))
        return JSONResponse(made.model_dump(mode="json"), 201)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/merchants/{merchant_id}/suspend", status_code=204)
async def suspend(request: Request, merchant_id: str, body: WhyIn, who: Admin) -> None:
    """Close a merchant's console at once; what was booked still runs."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await platform.suspend(session, who, merchant_id, body.why, cloud.clocks)


@router.post("/merchants/{merchant_id}/resume", status_code=204)
async def resume(request: Request, merchant_id: str, body: WhyIn, who: Admin) -> None:
    """Open a suspended merchant's console again."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await platform.resume(session, who, merchant_id, body.why, cloud.clocks)


@router.post("/merchants/{merchant_id}/impersonate", status_code=201)
async def impersonate(
    request: Request, response: Response, merchant_id: str, body: ImpersonateIn, who: Admin
) -> ActingOut:
    """Act for the owner at the merchant's console, for an hour at most; the owner sees it."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        made = await platform.impersonate(
            session,
            who,
            merchant_id,
            read_only=body.read_only,
            why=body.why,
            minutes=body.minutes,
            device=agents.words(request.headers.get("user-agent", "")),
            clocks=cloud.clocks,
        )
    _cookie(request, response, made.token, body.minutes * 60)
    return ActingOut.of(made.impersonation, made.token, made.merchant)


@router.post("/impersonations/{impersonation_id}/end", status_code=204)
async def end(request: Request, response: Response, impersonation_id: str, who: Admin) -> None:
    """Stop acting; fine where it is over already."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await platform.end_impersonation(session, who, impersonation_id, cloud.clocks)
    _cookie(request, response, "", 0)


def _cookie(request: Request, response: Response, token: str, life_s: int) -> None:
    secure = cloud_of(request).settings.cookie_secure
    made = set_cookie(ACTING_COOKIE, token, max_age_s=life_s, secure=secure)
    response.headers.append("Set-Cookie", made)
    response.headers["Cache-Control"] = "no-store"
