"""/console/stores and /console/rooms: setting stores and rooms up."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import STORE_READ
from cloud_api.stores import manage, service
from cloud_api.stores.room_schemas import (
    RoomEdit,
    RoomFacts,
    RoomFactsList,
    RoomIn,
    RoomOrder,
    StoreNew,
)
from cloud_api.stores.schemas import StoreFacts, StoreOut

router = APIRouter(prefix="/console", tags=["stores"])
StaffWho = Annotated[Staff, Depends(staff_actor)]


@router.post("/stores", response_model=StoreOut, status_code=201)
async def make_store(request: Request, body: StoreNew, who: StaffWho) -> Response:
    """A new store of the merchant."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            made = await manage.make_store(session, who, body.model_dump(), cloud.clocks)
        return JSONResponse(StoreOut.of(made).model_dump(mode="json"), 201)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/stores/{store_id}")
async def get_store(request: Request, store_id: str, who: StaffWho) -> StoreFacts:
    """All of a store, with what only staff may know."""
    who.need(STORE_READ)
    async with cloud_of(request).db.read() as session:
        return StoreFacts.of(await service.get_store(session, who, store_id))


@router.get("/stores/{store_id}/rooms")
async def list_rooms(request: Request, store_id: str, who: StaffWho) -> RoomFactsList:
    """The rooms of a store, and those that were given up."""
    who.need(STORE_READ)
    async with cloud_of(request).db.read() as session:
        await service.get_store(session, who, store_id)
        rooms = await service.rooms_of(session, who, store_id)
        retired = await manage.retired_rooms(session, who, store_id)
    return RoomFactsList(
        items=[RoomFacts.of(room) for room in rooms],
        retired=[RoomFacts.of(room) for room in retired],
    )


@router.post("/stores/{store_id}/rooms", response_model=RoomFacts, status_code=201)
async def make_room(request: Request, store_id: str, body: RoomIn, who: StaffWho) -> Response:
    """A new room at the end of the store's."""
    cloud = cloud_of(request)

    async def act() -> JSONResponse:
        async with cloud.db.write() as session:
            made = await manage.make_room(session, who, store_id, body.model_dump(), cloud.clocks)
        return JSONResponse(RoomFacts.of(made).model_dump(mode="json"), 201)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.put("/stores/{store_id}/room-order")
async def order_rooms(
    request: Request, store_id: str, body: RoomOrder, who: StaffWho
) -> RoomFactsList:
    """The order in which guests and staff see the rooms."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        rooms = await manage.order_rooms(session, who, store_id, body.room_ids, cloud.clocks)
    return RoomFactsList(items=[RoomFacts.of(room) for room in rooms])


@router.patch("/rooms/{room_id}")
async def edit_room(request: Request, room_id: str, body: RoomEdit, who: StaffWho) -> RoomFacts:
    """Change facts of a room."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        room = await manage.edit_room(session, who, room_id, body.changes(), cloud.clocks)
    return RoomFacts.of(room)


@router.post("/rooms/{room_id}/retire", response_model=RoomFacts)
async def retire_room(request: Request, room_id: str, who: StaffWho) -> Response:
    """Give the room up: nobody sees or books it; orders that there are stay."""
    return await _retire(request, room_id, who, True)


@router.post("/rooms/{room_id}/restore", response_model=RoomFacts)
async def restore_room(request: Request, room_id: str, who: StaffWho) -> Response:
    """Take a room back that was given up."""
    return await _retire(request, room_id, who, False)


async def _retire(request: Request, room_id: str, who: Staff, retired: bool) -> Response:
    cloud = cloud_of(request)

    async def act() -> Any:
        async with cloud.db.write() as session:
            room = await manage.retire_room(session, who, room_id, retired, cloud.clocks)
        return RoomFacts.of(room)

    return await once(cloud, who.ref, request, await request.body(), act)
