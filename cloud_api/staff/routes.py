"""/console: who am I here, the merchant's staff, and where they are logged in."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.auth.models import Account
from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.kit.paging import MOST
from cloud_api.staff import service
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.schemas import (
    ConsoleMeOut,
    SecondFactorIn,
    StaffChangeIn,
    StaffIn,
    StaffListOut,
    StaffLoginOut,
    StaffLoginsOut,
    StaffOut,
    WorkplaceOut,
)

router = APIRouter(prefix="/console", tags=["staff"])
StaffWho = Annotated[Staff, Depends(staff_actor)]


@router.get("/me")
async def me(request: Request, who: StaffWho) -> ConsoleMeOut:
    """The member of staff of this login, what they may do, and where else they work."""
    async with cloud_of(request).db.read() as session:
        places = await service.workplaces(session, who.account_id)
    return ConsoleMeOut(
        staff_id=who.staff_id,
        name=who.name,
        merchant_id=who.merchant_id,
        permissions=sorted(who.permissions),
        store_ids=None if who.store_ids is None else sorted(who.store_ids),
        refund_fen=who.limits.refund_fen,
        waiver_fen=who.limits.waiver_fen,
        fresh=who.fresh,
        acting=bool(who.platform_admin),
        workplaces=[
            WorkplaceOut(merchant_id=merchant.id, merchant=merchant.name, role=member.role)
            for member, merchant in places
            if not who.platform_admin or merchant.id == who.merchant_id
        ],
    )


@router.get("/staff")
async def list_staff(
    request: Request,
    who: StaffWho,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> StaffListOut:
    """The merchant's staff, who came first before the others."""
    async with cloud_of(request).db.read() as session:
        found, following = await service.staff_page(session, who, cursor=cursor, limit=limit)
    items = [StaffOut.of(member, account) for member, account in found]
    return StaffListOut(items=items, next_cursor=following)


@router.post("/staff", response_model=StaffOut, status_code=201)
async def add_staff(request: Request, body: StaffIn, who: StaffWho) -> Response:
    """Make somebody a member of staff by phone at once; they log in with their own code."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            member = await service.add_staff(
                session,
                who,
                merchant_id=who.merchant_id,
                phone=body.phone,
                name=body.name,
                role=body.role,
                store_ids=body.store_ids,
                clocks=cloud.clocks,
            )
            account = await session.get_one(Account, member.account_id)
            made = StaffOut.of(member, account)
        return JSONResponse(made.model_dump(mode="json"), 201)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.patch("/staff/{staff_id}")
async def change_staff(
    request: Request, staff_id: str, body: StaffChangeIn, who: StaffWho
) -> StaffOut:
    """Another name, role or set of stores; it holds from their next request on."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        # Before reading what stays: else it would bring back what somebody takes away meanwhile.
        await service.lock_merchant(session, who.merchant_id)
        known = await service.get_staff(session, who, staff_id)
        stores = None if known.store_ids is None else list(map(str, known.store_ids))
        member = await service.change_staff(
            session,
            who,
            staff_id,
            name=body.name or known.name,
            role=body.role or known.role,
            store_ids=body.store_ids if "store_ids" in body.model_fields_set else stores,
            clocks=cloud.clocks,
        )
        account = await session.get_one(Account, member.account_id)
        return StaffOut.of(member, account)


@router.post("/staff/{staff_id}/deactivate", status_code=204)
async def deactivate(request: Request, staff_id: str, who: StaffWho) -> None:
    """Take somebody's rights away at once; doing it twice is fine."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await service.deactivate(session, who, staff_id, cloud.clocks)


@router.get("/logins")
async def logins(request: Request, who: StaffWho) -> StaffLoginsOut:
    """Where the merchant's staff are logged in, the platform acting for one included."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        found = await service.logins_of_staff(session, who, cloud.clocks)
    return StaffLoginsOut(items=[StaffLoginOut.of(member, login) for member, login in found])


@router.post("/logins/{login_id}/revoke", status_code=204)
async def end_login(request: Request, login_id: str, who: StaffWho) -> None:
    """End a login of one's staff, or the platform's, at once."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await service.end_login(session, who, login_id, cloud.clocks)


@router.put("/second-factor")
async def second_factor(request: Request, body: SecondFactorIn, who: StaffWho) -> SecondFactorIn:
    """Who needs a second factor at the console: whoever has one, owners, or everybody."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await service.set_second_factor(session, who, body.who, cloud.clocks)
    return body
