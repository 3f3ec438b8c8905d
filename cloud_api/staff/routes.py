"""/console: who am I here, and the merchant's staff."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.auth.models import Account
from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.staff import service
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.schemas import ConsoleMeOut, StaffIn, StaffListOut, StaffOut, WorkplaceOut

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
        workplaces=[
            WorkplaceOut(merchant_id=merchant.id, merchant=merchant.name, role=member.role)
            for member, merchant in places
        ],
    )


@router.get("/staff")
async def list_staff(request: Request, who: StaffWho) -> StaffListOut:
    """The merchant's staff."""
    async with cloud_of(request).db.read() as session:
        found = await service.list_staff(session, who)
    return StaffListOut(items=[StaffOut.of(member, account) for member, account in found])


@router.post("/staff", response_model=StaffOut, status_code=201)
async def add_staff(request: Request, body: StaffIn, who: StaffWho) -> Response:
    """Make somebody a member of staff by phone; they log in with their own code."""
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
                now=cloud.clocks.real,
            )
            account = await session.get(Account, member.account_id)
            assert account is not None  # foreign key
            made = StaffOut.of(member, account)
        return JSONResponse(made.model_dump(mode="json"), 201)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/staff/{staff_id}/deactivate", status_code=204)
async def deactivate(request: Request, staff_id: str, who: StaffWho) -> None:
    """Take somebody's rights away at once; doing it twice is fine."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await service.deactivate(session, who, staff_id, cloud.clocks.real)
