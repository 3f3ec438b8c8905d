"""/console: temperatures, words, a whole store at once, and how a door hangs on its devices."""

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from cloud_api.devices import control, doors, service
from cloud_api.devices.schemas import CommandOut, Why
from cloud_api.kit.actor import Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.i18n import gettext as _
from cloud_api.kit.idempotency import once
from cloud_api.kit.seen import Saw, marked
from cloud_api.staff.deps import staff_actor
from cloud_api.stores.schemas import DoorOut
from store_link.rules import AirAim, AirFan, AirMode

router = APIRouter(prefix="/console", tags=["devices"])
StaffWho = Annotated[Staff, Depends(staff_actor)]
Length = Annotated[int, Field(ge=60, le=86400)]


class ClimateIn(BaseModel):
    """Hold a temperature (°C), a mode or a fan speed for ``for_s`` seconds: one of them at least."""

    model_config = ConfigDict(extra="forbid")
    setpoint: Annotated[int, Field(ge=5, le=40)] | None = None
    mode: AirMode | None = None
    fan: AirFan | None = None
    for_s: Length = 3600
    why: Why


class SayIn(BaseModel):
    """A clip of the speaker's own list; it is played once."""

    model_config = ConfigDict(extra="forbid")
    clip: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    why: Why = ""


class BulkIn(BaseModel):
    """``force``: also where guests have paid for it; their power goes at once."""

    model_config = ConfigDict(extra="forbid")
    what: Literal["all_off", "lights_on", "lights_off"]
    for_s: Length = 3600
    why: Why
    force: bool = False


class BulkOneOut(BaseModel):
    """One device of many, with the store's answer."""

    binding_id: str
    name: str
    rooms: list[str]
    state: str
    reason: str | None
    message: str


class BulkOut(BaseModel):
    """All of them; ``done`` counts those that the store confirmed."""

    total: int
    done: int
    message: str
    items: list[BulkOneOut]


class DoorEdit(BaseModel):
    """What may be changed of a door; a field left out stays, null takes the device off the door."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)] = ""
    pulse_ms: Annotated[int, Field(ge=500, le=10_000)] = 1000
    lock_binding_id: Annotated[str, Field(max_length=64)] | None = None
    contact_binding_id: Annotated[str, Field(max_length=64)] | None = None
    reader_binding_id: Annotated[str, Field(max_length=64)] | None = None
    cards_binding_id: Annotated[str, Field(max_length=64)] | None = None


@router.post("/bindings/{binding_id}/climate", response_model=CommandOut)
async def set_climate(
    request: Request, binding_id: str, body: ClimateIn, who: StaffWho
) -> Response:
    """Set an air conditioner for a while; answers with what the store said. Needs device.control."""
    cloud = cloud_of(request)

    async def act() -> CommandOut:
        async with cloud.db.write() as session:
            command = await control.set_climate(
                session,
                who,
                binding_id,
                aim=AirAim(setpoint=body.setpoint, mode=body.mode, fan=body.fan),
                for_s=body.for_s,
                why=body.why,
                clocks=cloud.clocks,
                instance=cloud.waiters.instance,
            )
        return CommandOut(**await service.wait_for(cloud, command.id))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/bindings/{binding_id}/say", response_model=CommandOut)
async def say(request: Request, binding_id: str, body: SayIn, who: StaffWho) -> Response:
    """Have a clip played in the room; answers with what the store said. Needs device.control."""
    cloud = cloud_of(request)

    async def act() -> CommandOut:
        async with cloud.db.write() as session:
            command = await control.say(
                session,
                who,
                binding_id,
                clip=body.clip,
                why=body.why,
                clocks=cloud.clocks,
                instance=cloud.waiters.instance,
            )
        return CommandOut(**await service.wait_for(cloud, command.id))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/stores/{store_id}/bulk", response_model=BulkOut)
async def bulk(request: Request, store_id: str, body: BulkIn, who: StaffWho) -> Response:
    """Switch many devices of a store; each with the store's own answer. Needs device.bulk."""
    cloud = cloud_of(request)

    async def act() -> BulkOut:
        async with cloud.db.write() as session:
            made = await control.bulk(
                session,
                who,
                store_id,
                what=body.what,
                for_s=body.for_s,
                why=body.why,
                force=body.force,
                clocks=cloud.clocks,
                instance=cloud.waiters.instance,
            )
            asked = [(b.id, b.name, list(map(str, b.rooms)), c.id) for b, c in made]
        answers = await asyncio.gather(*(service.wait_for(cloud, one[3]) for one in asked))
        items = [
            BulkOneOut(
                binding_id=one[0],
                name=one[1],
                rooms=one[2],
                state=told["state"],
                reason=told["reason"],
                message=told["message"],
            )
            for one, told in zip(asked, answers, strict=True)
        ]
        return _summed_up(items)

    return await once(cloud, who.ref, request, await request.body(), act)


def _summed_up(items: list[BulkOneOut]) -> BulkOut:
    done = sum(item.state == "done" for item in items)
    spared = sum(item.reason == "stay_running" for item in items)
    parts = [_("{done} 个照办").format(done=done)] if done or not items else []
    if spared:
        parts.append(_("{spared} 个客人在用，没有动").format(spared=spared))
    rest = len(items) - done - spared
    if rest:
        parts.append(_("{rest} 个没有做成或没有回话").format(rest=rest))
    return BulkOut(total=len(items), done=done, message=_("，").join(parts), items=items)


@router.patch("/doors/{door_id}")
async def edit_door(
    request: Request,
    response: Response,
    door_id: str,
    body: DoorEdit,
    who: StaffWho,
    saw: Saw = None,
) -> DoorOut:
    """Change a door's name, pulse, lock, contact or reader. Needs store.edit."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        door = await doors.edit_door(
            session, who, door_id, body.model_dump(exclude_unset=True), cloud.clocks, saw
        )
        marked(response, doors.facts_of(door))
    return DoorOut.of(door)
