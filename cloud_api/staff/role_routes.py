"""/console/roles: the presets with the merchant's limits, and its own roles."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.staff import roles
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import GROUPS
from cloud_api.staff.schemas import PermissionOut, RoleChangeIn, RoleIn, RoleOut, RolesOut

router = APIRouter(prefix="/console/roles", tags=["staff"])
StaffWho = Annotated[Staff, Depends(staff_actor)]


@router.get("")
async def list_roles(request: Request, who: StaffWho) -> RolesOut:
    """The merchant's roles, and every permission in words."""
    async with cloud_of(request).db.read() as session:
        found = await roles.list_roles(session, who)
    return RolesOut(
        items=[RoleOut.of(one) for one in found],
        permissions=[
            PermissionOut(key=key, name=name, group=group)
            for group, members in GROUPS
            for key, name in members
        ],
    )


@router.post("", response_model=RoleOut, status_code=201)
async def make_role(request: Request, body: RoleIn, who: StaffWho) -> Response:
    """An own role."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            view = await roles.make_role(
                session,
                who,
                name=body.name,
                permissions=frozenset(body.permissions),
                limits=body.limits,
                second_factor=body.second_factor,
                clocks=cloud.clocks,
            )
        return JSONResponse(RoleOut.of(view).model_dump(mode="json"), 201)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.patch("/{key}")
async def change_role(request: Request, key: str, body: RoleChangeIn, who: StaffWho) -> RoleOut:
    """Change an own role, or a preset's limits; it holds at once for everybody in it."""
    cloud = cloud_of(request)
    permissions = None if body.permissions is None else frozenset(body.permissions)
    async with cloud.db.write() as session:
        view = await roles.change_role(
            session,
            who,
            key,
            name=body.name,
            permissions=permissions,
            limits=body.limits,
            second_factor=body.second_factor,
            clocks=cloud.clocks,
        )
    return RoleOut.of(view)


@router.delete("/{key}", status_code=204)
async def delete_role(request: Request, key: str, who: StaffWho) -> None:
    """Delete an own role nobody has."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await roles.delete_role(session, who, key, cloud.clocks)
