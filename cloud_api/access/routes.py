"""/doors for who stands at one, /orders/{id}/pass, and staff opening a door from afar."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from sqlmodel.ext.asyncio.session import AsyncSession

from cloud_api.access import at_once, other_room, room_control, service
from cloud_api.access.schemas import (
    DoorView,
    OtherRoomIn,
    OtherRoomOut,
    PassOut,
    RoomActionIn,
    StaffUnlockIn,
    StickersOut,
    UnlockOut,
)
from cloud_api.access.tap import tap
from cloud_api.auth.deps import actor, customer
from cloud_api.devices import service as devices
from cloud_api.devices.models import DeviceCommand
from cloud_api.devices.schemas import CommandOut
from cloud_api.kit.actor import Actor, Customer, Staff
from cloud_api.kit.http import cloud_of
from cloud_api.kit.idempotency import Claim, once
from cloud_api.staff.deps import staff_actor
from cloud_api.staff.remembered import NotProved, anew, tapping_staff

router = APIRouter(tags=["access"])
Who = Annotated[Actor, Depends(actor)]
CustomerWho = Annotated[Customer, Depends(customer)]
StaffWho = Annotated[Staff, Depends(staff_actor)]
TapWho = Annotated[Staff, Depends(tapping_staff)]


@router.get("/doors/{token}")
async def get_door(request: Request, token: str, who: Who) -> DoorView:
    """What this person may do at this door, and why not. Opens nothing."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        return await service.door_view(session, who, token, cloud.clocks, cloud.settings.data_dir)


@router.post("/doors/{token}/unlock", response_model=UnlockOut)
async def unlock(request: Request, token: str, who: CustomerWho) -> Response:
    """Open the door; answers with what the store said, at the latest a second after the command's life.

    Tapping again while a command runs joins it: the lock pulses once.
    """
    cloud = cloud_of(request)

    async def begin(session: AsyncSession, ref: str) -> tuple[DeviceCommand, bool]:
        return await service.unlock(session, who, token, cloud.clocks, cloud.waiters.instance, ref)

    return await tap(request, who.ref, begin)


@router.get("/orders/{order_id}/pass")
async def get_pass(request: Request, order_id: str, who: CustomerWho) -> PassOut:
    """A fresh pass for the reader at the door and the PIN; renew it every 60 s while online."""
    cloud = cloud_of(request)
    async with cloud.db.write() as session:
        return await service.order_pass(
            session, who, order_id, cloud.clocks, cloud.settings.data_dir
        )


@router.post("/orders/{order_id}/other-room", response_model=OtherRoomOut)
async def take_other_room(
    request: Request, order_id: str, body: OtherRoomIn, who: CustomerWho
) -> Response:
    """Another room for the rest of the time, free and once, because the lock of one's own does not answer."""
    cloud = cloud_of(request)

    async def act() -> OtherRoomOut:
        async with cloud.db.write() as session:
            made = await other_room.take(session, who, order_id, body.room_id, cloud.clocks)
            return OtherRoomOut(
                change_id=made.id,
                room_id=made.room_id,
                starts_at=made.starts_at,
                ends_at=made.ends_at,
            )

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/orders/{order_id}/devices/{binding_id}/actions", response_model=CommandOut)
async def steer(
    request: Request, order_id: str, binding_id: str, body: RoomActionIn, who: CustomerWho
) -> Response:
    """Steer a device of one's room while the stay runs; answers with what the store said."""
    cloud = cloud_of(request)

    async def act() -> CommandOut:
        async with cloud.db.write() as session:
            command = await room_control.act(
                session,
                who,
                order_id,
                binding_id,
                cloud.clocks,
                cloud.waiters.instance,
                on=body.on,
                aim=body.aim,
            )
        until = command.expires_at + devices.ON_ITS_WAY
        return CommandOut(**await devices.wait_for(cloud, command.id, until))

    return await once(cloud, who.ref, request, await request.body(), act)


@router.post("/console/doors/{door_id}/unlock", response_model=UnlockOut)
async def staff_unlock(
    request: Request, door_id: str, body: StaffUnlockIn, tapping: TapWho
) -> Response:
    """Open a door from afar, with a reason that is kept."""
    cloud, why = cloud_of(request), body.why

    async def by(who: Staff) -> Response:
        async def begin(session: AsyncSession, ref: str) -> tuple[DeviceCommand, bool]:
            instance = cloud.waiters.instance
            return await service.staff_unlock(
                session, who, door_id, why, cloud.clocks, instance, ref
            ), False

        async def quick(claim: Claim) -> DeviceCommand | None:
            return await at_once.unlock(cloud, who, door_id, why, claim)

        return await tap(request, who.ref, begin, at_once=quick)

    try:
        return await by(tapping)
    except NotProved:
        return await by(await anew(request))


@router.post("/console/doors/{door_id}/unlock-to-clean", response_model=UnlockOut)
async def unlock_to_clean(request: Request, door_id: str, who: StaffWho) -> Response:
    """Open a door of a room that is set to be cleaned."""
    cloud = cloud_of(request)

    async def begin(session: AsyncSession, ref: str) -> tuple[DeviceCommand, bool]:
        instance = cloud.waiters.instance
        return await service.unlock_to_clean(
            session, who, door_id, cloud.clocks, instance, ref
        ), False

    return await tap(request, who.ref, begin)


@router.get("/console/stores/{store_id}/stickers")
async def stickers(request: Request, store_id: str, who: StaffWho) -> StickersOut:
    """What to print for the doors of a store."""
    cloud = cloud_of(request)
    async with cloud.db.read() as session:
        store, items = await service.stickers(session, who, store_id, cloud.settings.public_url)
    return StickersOut(store=store.name, items=items)
