"""/console: the devices of a store, switching by hand, enrolment codes."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from cloud_api.devices import codes, service
from cloud_api.devices.models import DeviceCommand
from cloud_api.devices.schemas import (
    BindingOut,
    BoardOut,
    ClearIn,
    CommandOut,
    DevicesOut,
    EnrolmentOut,
    SetIn,
)
from cloud_api.kit.actor import Staff
from cloud_api.kit.cloud import Cloud
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import once
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.permissions import DEVICE_READ

router = APIRouter(prefix="/console", tags=["devices"])
StaffWho = Annotated[Staff, Depends(staff_actor)]
SETTLE = timedelta(seconds=1)  # the answer to a command that expires at its end is on its way


@router.get("/stores/{store_id}/devices")
async def list_devices(request: Request, store_id: str, who: StaffWho) -> DevicesOut:
    """Boards and their uses with what the store last reported of them."""
    who.need(DEVICE_READ)
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        status = await service.get_status(session, who, store_id, cloud.clocks.real)
        boards = await service.boards_of(session, who, store_id)
        bindings = await service.bindings_of(session, who, store_id)
    never = service.ValueView(None, "never", None)
    return DevicesOut(
        online=status.online,
        stale=status.stale,
        reported_at=status.reported_at,
        clock=status.clock,
        version=status.version,
        desired_epoch=status.epoch,
        desired_rev=status.rev,
        outbox_depth=status.outbox_depth,
        boards=[
            BoardOut(
                id=board.id,
                name=board.name,
                profile=board.profile,
                port=board.port,
                state=status.boards.get(board.id, "unknown"),
            )
            for board in boards
        ],
        bindings=[
            BindingOut(
                id=binding.id,
                board_id=binding.board_id,
                name=binding.name,
                capability=binding.capability,
                channel=binding.channel,
                role=binding.role,
                rooms=list(binding.rooms),
                value=(known := status.values.get(binding.id, never)).value,
                quality=known.quality if not status.stale or known is never else "stale",
                at=known.at,
                override_until=status.overrides.get(binding.id),
            )
            for binding in bindings
        ],
    )


@router.post("/bindings/{binding_id}/set", response_model=CommandOut)
async def set_binding(request: Request, binding_id: str, body: SetIn, who: StaffWho) -> Response:
    """Switch a device and hold it for a while; answers with what the store said."""
    cloud = cloud_of(request)

    async def act() -> CommandOut:
        async with cloud.db.write() as session:
            command = await service.set_binding(
                session,
                who,
                binding_id,
                on=body.on,
                for_s=body.for_s,
                why=body.why,
                force=body.force,
                clocks=cloud.clocks,
                instance=cloud.waiters.instance,
            )
        return await _outcome(cloud, command)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/bindings/{binding_id}/clear", response_model=CommandOut)
async def clear_binding(
    request: Request, binding_id: str, body: ClearIn, who: StaffWho
) -> Response:
    """End an override; answers with what the store said."""
    cloud = cloud_of(request)

    async def act() -> CommandOut:
        async with cloud.db.write() as session:
            command = await service.clear_binding(
                session,
                who,
                binding_id,
                why=body.why,
                clocks=cloud.clocks,
                instance=cloud.waiters.instance,
            )
        return await _outcome(cloud, command)

    return await once(cloud, who.ref, request, await request.body(), act)


@router.get("/commands/{command_id}")
async def get_command(request: Request, command_id: str, who: StaffWho) -> CommandOut:
    """How far a command came."""
    who.need(DEVICE_READ)
    async with cloud_of(request).db.read() as session:
        command = await service.get_command(session, who, command_id)
    return CommandOut(**service.answer(command))


@router.post("/stores/{store_id}/enrolment-codes", status_code=201)
async def make_code(request: Request, store_id: str, who: StaffWho) -> EnrolmentOut:
    """A one-time code for a store's controller. Not repeatable by key: the code is kept nowhere."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        code = await service.make_enrolment_code(
            session, who, store_id=store_id, clocks=cloud.clocks
        )
    return EnrolmentOut(code=code, expires_in_s=int(codes.LIFE.total_seconds()))


async def _outcome(cloud: Cloud, command: DeviceCommand) -> CommandOut:
    return CommandOut(**await service.wait_for(cloud, command.id, command.expires_at + SETTLE))
