"""/stores and /rooms for everybody, /console/stores for staff."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request

from cloud_api.auth.deps import actor
from cloud_api.kit.actor import Actor, Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.paging import MOST
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import STORE_READ
from cloud_api.stores import service
from cloud_api.stores.schemas import (
    DoorOut,
    DoorsOut,
    RoomOut,
    RoomsOut,
    StoreEdit,
    StoreOut,
    StoresOut,
)

router = APIRouter(tags=["stores"])
Who = Annotated[Actor, Depends(actor)]
StaffWho = Annotated[Staff, Depends(staff_actor)]


@router.get("/stores/{store_id}")
async def get_store(request: Request, store_id: str, who: Who) -> StoreOut:
    """One store with its rules."""
    async with cloud_of(request).db.read() as session:
        return StoreOut.of(await service.get_store(session, who, store_id))


@router.get("/stores/{store_id}/rooms")
async def list_rooms(request: Request, store_id: str, who: Who) -> RoomsOut:
    """The rooms of a store."""
    async with cloud_of(request).db.read() as session:
        await service.get_store(session, who, store_id)
        found = await service.rooms_of(session, who, store_id)
    return RoomsOut(items=[RoomOut.of(room) for room in found])


@router.get("/rooms/{room_id}")
async def get_room(request: Request, room_id: str, who: Who) -> RoomOut:
    """One room."""
    async with cloud_of(request).db.read() as session:
        return RoomOut.of(await service.get_room(session, who, room_id))


@router.get("/console/stores")
async def console_stores(
    request: Request,
    who: StaffWho,
    cursor: Annotated[str | None, Query(max_length=700)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST)] = MOST,
) -> StoresOut:
    """The stores this member of staff works in, by name."""
    async with cloud_of(request).db.read() as session:
        found, following = await service.stores_page(session, who, cursor=cursor, limit=limit)
    return StoresOut(items=[StoreOut.of(store) for store in found], next_cursor=following)


@router.get("/console/stores/{store_id}/doors")
async def console_doors(request: Request, store_id: str, who: StaffWho) -> DoorsOut:
    """The doors of a store with the tokens of their stickers."""
    who.need(STORE_READ)
    async with cloud_of(request).db.read() as session:
        await service.get_store(session, who, store_id)
        found = await service.doors_of(session, who, store_id)
    return DoorsOut(items=[DoorOut.of(door) for door in found])


@router.patch("/console/stores/{store_id}")
async def edit_store(request: Request, store_id: str, body: StoreEdit, who: StaffWho) -> StoreOut:
    """Change a store's rules; sent to the store at once."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        store = await service.edit_store(session, who, store_id, body.changes(), cloud.clocks)
    return StoreOut.of(store)
