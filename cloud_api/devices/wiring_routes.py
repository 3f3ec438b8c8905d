"""/console: boards, what they work, and doors of a store that is being set up. Needs store.edit."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.devices import wiring
from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console", tags=["devices"])
Who = Annotated[Staff, Depends(staff_actor)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
Id = Annotated[str, Field(max_length=64)]
Rooms = Annotated[list[Id], Field(max_length=64)]


class BoardIn(BaseModel):
    """A board: its profile, the line it hangs on, its address there."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    profile: Annotated[str, Field(max_length=80)]
    port: Name
    unit: Annotated[int, Field(ge=1, le=247)] = 1


class WireIn(BaseModel):
    """What a channel works; ``channel`` null where the device has none."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    capability: Annotated[str, Field(max_length=40)]
    channel: Annotated[int, Field(ge=1, le=64)] | None = None
    role: Annotated[str, Field(max_length=20)]
    rooms: Rooms


class DoorIn(BaseModel):
    """A door; an entrance leads to every room."""

    model_config = ConfigDict(extra="forbid")
    name: Name
    kind: Literal["room", "entrance"] = "room"
    rooms: Rooms = []
    lock_binding_id: Id | None = None


class MadeOut(BaseModel):
    """What was made."""

    id: str


@router.post("/stores/{store_id}/boards", response_model=MadeOut)
async def add_board(store_id: str, body: BoardIn, request: Request, who: Who) -> Response:
    """Add a board."""
    cloud = cloud_of(request)

    async def act() -> MadeOut:
        async with cloud.db.write() as session:
            made = await wiring.add_board(
                session, who, store_id,
                name=body.name, profile=body.profile, port=body.port, unit=body.unit,
                clocks=cloud.clocks,
            )  # fmt: skip
            return MadeOut(id=made.id)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.delete("/boards/{board_id}", status_code=204)
async def drop_board(board_id: str, request: Request, who: Who) -> None:
    """Take a board out that nothing uses."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await wiring.drop_board(session, who, board_id, cloud.clocks)


@router.post("/boards/{board_id}/bindings", response_model=MadeOut)
async def wire(board_id: str, body: WireIn, request: Request, who: Who) -> Response:
    """Say what a channel works, and for which rooms."""
    cloud = cloud_of(request)

    async def act() -> MadeOut:
        async with cloud.db.write() as session:
            made = await wiring.wire(
                session, who, board_id,
                name=body.name, capability=body.capability, channel=body.channel, role=body.role,
                rooms=body.rooms, clocks=cloud.clocks,
            )  # fmt: skip
            return MadeOut(id=made.id)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.delete("/bindings/{binding_id}", status_code=204)
async def unwire(binding_id: str, request: Request, who: Who) -> None:
    """Take a device away that nothing uses."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await wiring.unwire(session, who, binding_id, cloud.clocks)


@router.post("/stores/{store_id}/doors", response_model=MadeOut)
async def add_door(store_id: str, body: DoorIn, request: Request, who: Who) -> Response:
    """Add a door; its sticker is ready at once."""
    cloud = cloud_of(request)

    async def act() -> MadeOut:
        async with cloud.db.write() as session:
            made = await wiring.add_door(
                session, who, store_id,
                name=body.name, kind=body.kind, rooms=body.rooms,
                lock_binding_id=body.lock_binding_id, clocks=cloud.clocks,
            )  # fmt: skip
            return MadeOut(id=made.id)

    return await once(cloud, who.ref, request, await request.body(), act)
