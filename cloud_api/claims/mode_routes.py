"""/console/rooms/{id}/mode: always open, cleaning, maintenance, and back to normal."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.claims import modes
from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.staff.deps import staff_actor

router = APIRouter(prefix="/console", tags=["rooms: modes"])
Who = Annotated[Staff, Depends(staff_actor)]


class RoomModeIn(BaseModel):
    """A mode, for how long (seconds of elapsed time; null = the mode's default), and why."""

    model_config = ConfigDict(extra="forbid")
    mode: Literal["normal", "open", "cleaning", "maintenance"]
    for_s: Annotated[int, Field(ge=60, le=7_776_000)] | None = None
    why: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)] = ""


class RoomModeOut(BaseModel):
    """The room's mode now. ``booked``: when those come who booked a room that cannot be used."""

    id: str
    mode: str
    mode_until: AwareDatetime | None
    mode_why: str
    booked: list[AwareDatetime]


@router.post("/rooms/{room_id}/mode", response_model=RoomModeOut)
async def room_mode(request: Request, room_id: str, body: RoomModeIn, who: Who) -> Response:
    """Set a room's mode. Needs room.mode; every mode but the normal one needs a reason."""
    cloud = cloud_of(request)

    async def act() -> RoomModeOut:
        async with cloud.db.write() as session:
            room = await modes.set_mode(
                session,
                who,
                room_id,
                mode=body.mode,
                for_s=body.for_s,
                why=body.why,
                clocks=cloud.clocks,
            )
            return RoomModeOut(
                id=room.id,
                mode=room.mode,
                mode_until=room.mode_until,
                mode_why=room.mode_why,
                booked=await modes.booked_under(session, room, cloud.clocks),
            )

    return await once(cloud, who.ref, request, await request.body(), act)
