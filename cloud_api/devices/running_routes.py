"""/console: what a store does by itself (schedules, scenes, devices' own times), staff's keys, diagnostics."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints
from sqlmodel import col
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.devices import air_defaults, diagnostics, schedules, service, staff_keys
from cloud_api.devices.air_defaults import AirDefaults
from cloud_api.devices.models import Schedule, StaffKey
from cloud_api.devices.schemas import CommandOut, Why
from cloud_api.kit.actor import Staff, scoped
from cloud_api.kit.errors import NotFound
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.kit.seen import Saw, marked
from cloud_api.staff.deps import staff_actor
from cloud_api.stores import service as stores
from cloud_api.stores.models import Room
from store_link.rules import Clock, Day, Scenes, SceneStep

router = APIRouter(prefix="/console", tags=["store rules"])
Who = Annotated[Staff, Depends(staff_actor)]
SceneRole = Literal["table", "light", "ac", "fan", "other"]
Roles = Annotated[list[SceneRole], Field(max_length=5)]
Seconds = Annotated[int, Field(ge=0, le=7200)]


class ScheduleIn(BaseModel):
    """Devices on from ``begins`` to ``ends``, local time of the store; over midnight if it ends first."""

    model_config = ConfigDict(extra="forbid")
    name: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]
    bindings: Annotated[list[str], Field(min_length=1, max_length=64)]
    days: Annotated[list[Day], Field(min_length=1, max_length=8)]
    begins: Clock
    ends: Clock
    active: bool = True


class ScheduleOut(ScheduleIn):
    """A schedule."""

    id: str
    store_id: str

    @classmethod
    def of(cls, row: Schedule) -> ScheduleOut:
        """From its row."""
        return cls.model_validate(row, from_attributes=True)

    model_config = ConfigDict(extra="ignore")


class SchedulesOut(BaseModel):
    """A list."""

    items: list[ScheduleOut]


class ScenesIn(BaseModel):
    """What is on in each phase, by role; ``own`` false: the store's (of a room), the usual (of a store)."""

    model_config = ConfigDict(extra="forbid")
    own: bool = True
    arrival: Roles = []
    in_use: Roles = []
    grace: Roles = []
    after: Roles = []
    after_s: Annotated[int, Field(ge=0, le=86_400)] = 0
    cleaning: Roles = []

    def scenes(self) -> Scenes | None:
        """As the wire has it."""
        if not self.own:
            return None
        return Scenes(
            arrival=_steps(self.arrival),
            in_use=_steps(self.in_use),
            grace=_steps(self.grace),
            after=_steps(self.after),
            after_s=self.after_s,
            cleaning=_steps(self.cleaning),
        )


def _steps(roles: list[SceneRole]) -> tuple[SceneStep, ...]:
    return tuple(SceneStep(role=role, on=True) for role in roles)


class TimesIn(BaseModel):
    """Seconds before and after a stay in which a device runs by itself; null: by the scenes alone."""

    model_config = ConfigDict(extra="forbid")
    lead_s: Seconds | None = None
    linger_s: Seconds | None = None


class KeyIn(BaseModel):
    """``card``: its number, for a card; a code is made. No ``doors``: all of the stores one works in."""

    model_config = ConfigDict(extra="forbid")
    staff_id: Annotated[str, Field(max_length=64)]
    kind: Literal["card", "code"]
    card: Annotated[str, Field(max_length=64)] = ""
    doors: Annotated[list[str], Field(max_length=64)] | None = None
    begins: Clock | None = None
    ends: Clock | None = None
    until: AwareDatetime | None = None


class KeyOut(BaseModel):
    """A key; the code itself is on the page for who manages staff."""

    id: str
    staff_id: str
    kind: str
    tail: str
    doors: list[str] | None
    begins: str | None
    ends: str | None
    until: AwareDatetime | None

    @classmethod
    def of(cls, row: StaffKey) -> KeyOut:
        """From its row."""
        return cls.model_validate(row, from_attributes=True)


class KeysOut(BaseModel):
    """A list."""

    items: list[KeyOut]


class AskIn(BaseModel):
    """Why the bundle is wanted: kept as the consent."""

    model_config = ConfigDict(extra="forbid")
    why: Why


class AskOut(BaseModel):
    """Where the bundle will be, and what the store said."""

    id: str
    command: CommandOut


@router.get("/stores/{store_id}/schedules")
async def list_schedules(request: Request, store_id: str, who: Who) -> SchedulesOut:
    """A store's schedules."""
    async with cloud_of(request).db.read() as session:
        await stores.get_store(session, who, store_id)
        found = await schedules.of_stores(session, who, [store_id])
    return SchedulesOut(items=[ScheduleOut.of(row) for row in found])


@router.post("/stores/{store_id}/schedules", response_model=ScheduleOut)
async def make_schedule(request: Request, store_id: str, body: ScheduleIn, who: Who) -> Response:
    """Make one; sent to the store at once."""
    cloud = cloud_of(request)

    async def act() -> ScheduleOut:
        async with cloud.db.write() as session:
            return ScheduleOut.of(
                await schedules.save(session, who, store_id, None, body.model_dump(), cloud.clocks)
            )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.put("/stores/{store_id}/schedules/{schedule_id}")
async def change_schedule(
    request: Request,
    response: Response,
    store_id: str,
    schedule_id: str,
    body: ScheduleIn,
    who: Who,
    saw: Saw = None,
) -> ScheduleOut:
    """Change one; sent to the store at once."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        row = await schedules.save(
            session, who, store_id, schedule_id, body.model_dump(), cloud.clocks, saw
        )
        marked(response, schedules.facts_of(row))
        return ScheduleOut.of(row)


@router.delete("/schedules/{schedule_id}", status_code=204)
async def remove_schedule(request: Request, schedule_id: str, who: Who) -> None:
    """Take one away; its devices stay as they are."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await schedules.remove(session, who, schedule_id, cloud.clocks)


@router.put("/stores/{store_id}/scenes", status_code=204)
async def store_scenes(
    request: Request,
    response: Response,
    store_id: str,
    body: ScenesIn,
    who: Who,
    saw: Saw = None,
) -> None:
    """The scenes of a store."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        store = await stores.get_store(session, who, store_id)
        await schedules.set_scenes(session, who, store, body.scenes(), cloud.clocks, saw)
        marked(response, schedules.facts_of_scenes(store))


@router.put("/rooms/{room_id}/scenes", status_code=204)
async def room_scenes(
    request: Request,
    response: Response,
    room_id: str,
    body: ScenesIn,
    who: Who,
    saw: Saw = None,
) -> None:
    """A room's own scenes."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        room = await _room(session, who, room_id)
        await schedules.set_scenes(session, who, room, body.scenes(), cloud.clocks, saw)
        marked(response, schedules.facts_of_scenes(room))


class AirIn(AirDefaults):
    """``own`` false: the store's (of a room), none (of a store)."""

    own: bool = True

    def defaults(self) -> AirDefaults | None:
        """As it is kept."""
        return AirDefaults.model_validate(self.model_dump(exclude={"own"})) if self.own else None


@router.put("/stores/{store_id}/air", status_code=204)
async def store_air(
    request: Request, response: Response, store_id: str, body: AirIn, who: Who, saw: Saw = None
) -> None:
    """What the air conditioners of a store are set to when a stay or a cleaning begins."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        store = await stores.get_store(session, who, store_id)
        await air_defaults.save(session, who, store, body.defaults(), cloud.clocks, saw)
        marked(response, air_defaults.facts_of(store))


@router.put("/rooms/{room_id}/air", status_code=204)
async def room_air(
    request: Request, response: Response, room_id: str, body: AirIn, who: Who, saw: Saw = None
) -> None:
    """A room's own."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        room = await _room(session, who, room_id)
        await air_defaults.save(session, who, room, body.defaults(), cloud.clocks, saw)
        marked(response, air_defaults.facts_of(room))


async def _room(session: AsyncSession, who: Staff, room_id: str) -> Room:
    query = scoped(who, Room).where(col(Room.id) == room_id)
    room = (await session.exec(query)).one_or_none()
    if room is None:
        raise NotFound("room")
    return room


@router.put("/bindings/{binding_id}/times", status_code=204)
async def binding_times(
    request: Request,
    response: Response,
    binding_id: str,
    body: TimesIn,
    who: Who,
    saw: Saw = None,
) -> None:
    """How long before and after a stay a device runs by itself."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        row = await schedules.set_times(
            session, who, binding_id, body.model_dump(), cloud.clocks, saw
        )
        marked(response, schedules.facts_of_times(row))


@router.get("/staff-keys")
async def list_keys(request: Request, who: Who) -> KeysOut:
    """Cards and codes in force, without their numbers."""
    async with cloud_of(request).db.read() as session:
        return KeysOut(items=[KeyOut.of(row) for row in await staff_keys.keys_of(session, who)])


@router.post("/staff-keys", response_model=KeyOut)
async def give_key(request: Request, body: KeyIn, who: Who) -> Response:
    """Give somebody a card or a code."""
    cloud = cloud_of(request)

    async def act() -> KeyOut:
        async with cloud.db.write() as session:
            row = await staff_keys.give(
                session,
                who,
                staff_id=body.staff_id,
                kind=body.kind,
                card=body.card,
                doors=body.doors or None,
                begins=body.begins,
                ends=body.ends,
                until=body.until,
                clocks=cloud.clocks,
            )
            return KeyOut.of(row)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.delete("/staff-keys/{key_id}", status_code=204)
async def take_key(request: Request, key_id: str, who: Who) -> None:
    """Take a card or a code away."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        await staff_keys.take(session, who, key_id, cloud.clocks)


@router.post("/stores/{store_id}/diagnostics", response_model=AskOut)
async def ask_diagnostics(request: Request, store_id: str, body: AskIn, who: Who) -> Response:
    """Ask a store for its diagnostics bundle."""
    cloud = cloud_of(request)

    async def act() -> AskOut:
        async with cloud.db.write() as session:
            row, command = await diagnostics.ask(
                session,
                who,
                store_id,
                why=body.why,
                clocks=cloud.clocks,
                instance=cloud.waiters.instance,
            )
        told = CommandOut(**await service.wait_for(cloud, command.id))
        return AskOut(id=row.id, command=told)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/diagnostics/{bundle}", response_class=Response)
async def get_diagnostics(request: Request, bundle: str, who: Who) -> Response:
    """A bundle that came, as a file."""
    async with cloud_of(request).db.read() as session:
        row = await diagnostics.get(session, who, bundle)
    name = f"kaimen-{row.store_id}-{row.created_at:%Y%m%dT%H%M}.json"
    return Response(
        row.content,
        media_type="application/json",
        headers={
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        },
    )
