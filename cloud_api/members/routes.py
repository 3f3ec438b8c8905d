"""/me: one's own data, to take along or to have deleted."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.auth.deps import customer
from cloud_api.kit.actor import Customer
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.members import levels, service
from cloud_api.members.schemas import (
    DeleteIn,
    ExportOut,
    ExportsOut,
    OwnLevelOut,
    OwnLevelsOut,
)

router = APIRouter(prefix="/me", tags=["me"])
Who = Annotated[Customer, Depends(customer)]


@router.get("/levels")
async def my_levels(request: Request, who: Who) -> OwnLevelsOut:
    """My member levels, and what of a room's price I pay by them."""
    async with cloud_of(request).db.read() as session:
        found = await levels.of_customer(session, who)
    return OwnLevelsOut(items=[OwnLevelOut.of(name, level) for name, level in found])


@router.post("/export", response_model=ExportOut, status_code=202)
async def ask_export(request: Request, who: Who) -> Response:
    """Ask for a copy of everything known of me; a job makes it within moments."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            made = ExportOut.of(await service.ask_export(session, who, cloud.clocks))
        return JSONResponse(made.model_dump(mode="json"), 202)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/exports")
async def list_exports(request: Request, who: Who) -> ExportsOut:
    """My copies, newest first."""
    async with cloud_of(request).db.read() as session:
        return ExportsOut(items=[ExportOut.of(one) for one in await service.exports(session, who)])


@router.get("/exports/{export_id}")
async def get_export(request: Request, export_id: str, who: Who) -> Response:
    """The copy itself: a zip with JSON and a page to read."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        row, content = await service.fetch(session, who, export_id, cloud.clocks.real)
    name = f"kaimen-{row.created_at:%Y%m%d}.zip"
    return Response(
        content,
        media_type="application/zip",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )


@router.post("/delete", status_code=204)
async def delete_me(request: Request, body: DeleteIn, who: Who) -> None:
    """Delete my account for good. 409 ``me.delete_blocked`` names what must be settled before."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await service.delete_account(session, who, body.confirm, cloud.clocks)
